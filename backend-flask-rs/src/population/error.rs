//! What is wrong with the numbers of a population.

use std::error::Error;
use std::fmt;

use chrono::{DateTime, Utc};

use super::EARLIEST_END;
use crate::time;

/// A population that there cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PopulationError {
    /// A conversation takes two users.
    FewUsers {
        /// How many there are.
        users: u32,
    },
    /// There is none.
    NoConversation,
    /// No two users have two conversations.
    ManyConversations {
        /// How many there are.
        conversations: u32,
        /// Between how many users.
        users: u32,
        /// How many pairs they are.
        pairs: u64,
    },
    /// Each conversation has a message.
    FewMessages {
        /// How many there are.
        messages: u32,
        /// In how many conversations.
        conversations: u32,
    },
    /// Its end is before [`EARLIEST_END`].
    Early {
        /// When it ends.
        end: DateTime<Utc>,
    },
}

impl fmt::Display for PopulationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewUsers { users } => {
                write!(f, "the number of users is {users}: a conversation takes two")
            }
            Self::NoConversation => {
                f.write_str("the number of conversations is 0: a population has one at least")
            }
            Self::ManyConversations { conversations, users, pairs } => write!(
                f,
                "the number of conversations is {conversations}: {users} users can have {pairs} at most, one \
                 for each pair"
            ),
            Self::FewMessages { messages, conversations } => write!(
                f,
                "the number of messages is {messages}: {conversations} conversations take one each at least"
            ),
            Self::Early { end } => write!(
                f,
                "{} is too early for a population's end: {} is the earliest",
                time::format(*end),
                time::format(EARLIEST_END)
            ),
        }
    }
}

impl Error for PopulationError {}
