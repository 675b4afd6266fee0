//! Synthetic users, message groups and messages for load tests, in any number.
//!
//! The distribution resembles real data: few users have many conversations, few conversations are long, and messages
//! come in bursts between pauses. The same numbers and the same end give the same bytes. Items are generated one by
//! one, so memory does not grow with their number.
//!
//! The uuids mark synthetic data: they are UUIDv8 (<https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-8>)
//! whose last twelve hexadecimal digits are an index.
//!
//! | what | uuid |
//! |---|---|
//! | user | `5eed0001-0000-8000-8000-…` |
//! | message group | `5eed0002-0000-8000-8000-…` |
//! | message | `5eed0003-0000-8000-8000-…` |

mod conversations;
mod random;
mod users;
mod words;

use std::time::Duration;

use anyhow::{Result, bail};
use aws_sdk_dynamodb::operation::scan::ScanInput;
use aws_sdk_dynamodb::operation::scan::builders::ScanInputBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::messages::{Item, Message, MessageGroup, group_key, message_key};
use crate::time;
use crate::users::User;

use conversations::{Conversation, pairs_of};
use random::{Draw, Random};

/// The default time of the last message: 2024-01-01T00:00:00Z.
pub const DEFAULT_END: DateTime<Utc> = match DateTime::from_timestamp_secs(1_704_067_200) {
    Some(end) => end,
    None => DateTime::UNIX_EPOCH,
};

/// The earliest end. It leaves room for the first message in a year of four digits.
pub const EARLIEST_END: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// The default average number of messages in a conversation.
const MESSAGES_PER_CONVERSATION: u32 = 100;

/// The default number of conversations for each user.
const CONVERSATIONS_PER_USER: u32 = 5;

const USERS: Uuid = uuid::uuid!("5eed0001-0000-8000-8000-000000000000");
const GROUPS: Uuid = uuid::uuid!("5eed0002-0000-8000-8000-000000000000");
const MESSAGES: Uuid = uuid::uuid!("5eed0003-0000-8000-8000-000000000000");

/// The number of hexadecimal digits of an index.
const INDEX_DIGITS: usize = 12;

/// The longest duration of a conversation. If it has very many messages, the pauses become shorter.
const LONGEST: u64 = 4 * 365 * DAY;

const DAY: u64 = 24 * 60 * 60 * MICROSECONDS;
const MICROSECONDS: u64 = 1_000_000;

/// The pauses between two messages: percentage, and minimum and maximum in seconds. They are pauses while both
/// members are present, of a few hours, and of a few days.
const PAUSES: [(u64, [u64; 2]); 3] = [(90, [5, 120]), (9, [1_800, 18_000]), (1, [30_000, 170_000])];

/// The mean of [`PAUSES`] in seconds.
const MEAN_PAUSE: u64 = 1_950;

/// Synthetic users, conversations and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Population {
    /// The number of users.
    pub users: u32,
    /// The number of conversations.
    pub conversations: u32,
    /// The number of messages in all conversations.
    pub messages: u32,
    end: DateTime<Utc>,
}

impl Population {
    /// A population whose last message is sent at `end`, to the microsecond. Missing numbers follow from the others:
    /// 100 messages for each conversation; a conversation for each 100 messages, or 5 for each user; a user for each
    /// 5 conversations, or as many as needed for the conversations.
    pub fn new(
        users: Option<u32>,
        conversations: Option<u32>,
        messages: Option<u32>,
        end: DateTime<Utc>,
    ) -> Result<Self> {
        let conversations = conversations.unwrap_or_else(|| conversations_for(users, messages));
        let users = users.unwrap_or_else(|| users_for(conversations));
        let messages = messages.unwrap_or_else(|| conversations.saturating_mul(MESSAGES_PER_CONVERSATION));
        let pairs = pairs_of(users);
        if users < 2 {
            bail!("the number of users is {users}: a conversation takes two");
        }
        if conversations == 0 {
            bail!("the number of conversations is 0: a population needs at least one");
        }
        if u64::from(conversations) > pairs {
            bail!(
                "the number of conversations is {conversations}: {users} users can have {pairs} at most, one \
                 for each pair"
            );
        }
        if messages < conversations {
            bail!(
                "the number of messages is {messages}: at least {conversations} are needed, one for each conversation"
            );
        }
        if end < EARLIEST_END {
            let [end, earliest] = [end, EARLIEST_END].map(time::format);
            bail!("{end} is too early for a population's end: {earliest} is the earliest");
        }
        Ok(Self { users, conversations, messages, end: time::truncate(end) })
    }

    /// The number of [`items`](Self::items): one for each message, and two rows for each conversation.
    pub fn item_count(&self) -> u64 {
        u64::from(self.messages) + 2 * u64::from(self.conversations)
    }

    /// The [`item_count`](Self::item_count) items to put, conversation by conversation: both members' rows, then the
    /// messages, newest first. All keys are unique.
    pub fn items(self) -> impl Iterator<Item = Item> {
        self.all_conversations().flat_map(move |conversation| {
            let members = conversation.members.map(|index| self.user(index));
            let messages = self.messages_of(conversation, members.clone());
            let last = messages.clone().next();
            let rows = last.into_iter().flat_map(move |last| MessageGroup::rows(members.each_ref(), &last));
            rows.map(|row| row.to_item()).chain(messages.map(|message| message.to_item()))
        })
    }

    /// The messages of a conversation, newest first.
    fn messages_of(
        self,
        conversation: Conversation,
        members: [User; 2],
    ) -> impl Iterator<Item = Message> + Clone {
        let Conversation { index, first, behind, mut before_end, .. } = conversation;
        let second = second(behind - first);
        (first..behind).rev().map(move |message| {
            let mut random = Random::of(Draw::Message, message);
            let sender = random.choose(&members).clone();
            let created_at = self.end - Duration::from_micros(before_end);
            let text = words::message(&mut random);
            before_end += pause(&mut random, second);
            Message {
                message_group_uuid: nth(GROUPS, index),
                created_at,
                message_uuid: nth(MESSAGES, message),
                message: text,
                sender,
            }
        })
    }
}

/// The scan for the synthetic items of any population. A response is one page: the synthetic items in 1 MB of the
/// table.
pub fn synthetic_items(table: &str) -> ScanInputBuilder {
    ScanInput::builder()
        .table_name(table)
        .filter_expression("begins_with(pk, :groups) or begins_with(pk, :messages)")
        .expression_attribute_values(":groups", AttributeValue::S(without_index(group_key(USERS))))
        .expression_attribute_values(":messages", AttributeValue::S(without_index(message_key(GROUPS))))
}

/// The uuid with an index, of the kind whose first one is `first`.
fn nth(first: Uuid, index: u32) -> Uuid {
    Uuid::from_u128(first.as_u128() | u128::from(index))
}

/// The largest uuid of the kind whose first one is `first`.
fn last(first: Uuid) -> Uuid {
    Uuid::from_u128(first.as_u128() | ((1 << (4 * INDEX_DIGITS)) - 1))
}

/// The common prefix of the keys of all uuids of a kind.
fn without_index(mut key: String) -> String {
    key.truncate(key.len() - INDEX_DIGITS);
    key
}

fn conversations_for(users: Option<u32>, messages: Option<u32>) -> u32 {
    let pairs = users.map_or(u64::MAX, pairs_of).max(1);
    let conversations = match messages {
        Some(messages) => messages / MESSAGES_PER_CONVERSATION,
        None => users.unwrap_or_default().saturating_mul(CONVERSATIONS_PER_USER),
    };
    conversations.clamp(1, u32::try_from(pairs).unwrap_or(u32::MAX))
}

/// The default number of users: a fifth of the conversations, or as many as are needed for that many pairs.
fn users_for(conversations: u32) -> u32 {
    // At most 92,682.
    let enough = (2..).find(|users| pairs_of(*users) >= u64::from(conversations)).unwrap_or(u32::MAX);
    enough.max(conversations / CONVERSATIONS_PER_USER)
}

/// The microseconds that a second of [`PAUSES`] takes in a conversation with this many messages.
fn second(messages: u32) -> u64 {
    MICROSECONDS.min(LONGEST / (MEAN_PAUSE * u64::from(messages)))
}

/// A random pause before a message in microseconds, never 0.
fn pause(random: &mut Random, second: u64) -> u64 {
    let [from, to] = *random.weigh(&PAUSES);
    from * second + random.below((to - from) * second)
}

#[cfg(test)]
mod tests;
