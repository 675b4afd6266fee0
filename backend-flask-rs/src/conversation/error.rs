//! What is wrong with a conversation's text.

use std::error::Error;
use std::fmt;

use crate::excerpt::excerpt;

/// How many characters of a line an error shows.
const SHOWN: usize = 60;

/// A text that is no conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConversationError {
    /// There is no message in it.
    Empty {
        /// Where the text is from.
        source_name: String,
    },
    /// Lines are in another form.
    Lines {
        /// Where the text is from.
        source_name: String,
        /// The number, from 1, of the first such line.
        number: usize,
        /// What stands there, shortened.
        found: String,
        /// How many such lines there are.
        total: usize,
    },
}

impl ConversationError {
    pub(super) fn empty(source_name: &str) -> Self {
        Self::Empty { source_name: source_name.to_owned() }
    }

    pub(super) fn lines(source_name: &str, number: usize, line: &str, total: usize) -> Self {
        Self::Lines { source_name: source_name.to_owned(), number, found: excerpt(line, SHOWN), total }
    }
}

impl fmt::Display for ConversationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { source_name } => {
                write!(f, "{source_name}: expected lines such as \"Person 1: Hello\", found none")
            }
            Self::Lines { source_name, number, found, total } => {
                write!(
                    f,
                    "{source_name}:{number}: expected \"Person 1: \" or \"Person 2: \" and a \
                     message, found {found:?}"
                )?;
                match total {
                    1 => Ok(()),
                    _ => write!(f, " ({total} such lines in all)"),
                }
            }
        }
    }
}

impl Error for ConversationError {}
