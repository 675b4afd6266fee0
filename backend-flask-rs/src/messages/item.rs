//! The items of the messages table: Rust types, stored as string attributes.

use std::collections::HashMap;

use anyhow::{Error, Result, anyhow};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{GROUP_PREFIX, MESSAGE_PREFIX, PARTITION_KEY, SORT_KEY, group_key, message_key};
use crate::excerpt::excerpt;
use crate::time;
use crate::users::User;

/// An item as the SDK sends and receives it: attributes by name.
pub type Item = HashMap<String, AttributeValue>;

/// The attribute of a group row with the conversation's uuid.
pub const MESSAGE_GROUP_UUID: &str = "message_group_uuid";
/// The attribute of a message with its own uuid.
pub const MESSAGE_UUID: &str = "message_uuid";
/// The attribute with the text: the message's own, or a group's last one.
pub const MESSAGE: &str = "message";
/// The attribute with a user's uuid: the sender of a message, or the other member in a group row.
pub const USER_UUID: &str = "user_uuid";
/// The display name of that user.
pub const USER_DISPLAY_NAME: &str = "user_display_name";
/// The handle of that user.
pub const USER_HANDLE: &str = "user_handle";
/// The attribute of an idempotency key with the time of its message.
pub const CREATED_AT: &str = "created_at";

/// A group row: a conversation as one of its members sees it in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageGroup {
    /// The member whose list contains this row; part of the partition key.
    pub member_uuid: Uuid,
    /// The time of the last message, to the microsecond; the sort key.
    pub last_message_at: DateTime<Utc>,
    /// The conversation's uuid, which is the same for both members.
    pub message_group_uuid: Uuid,
    /// The text of the last message.
    pub message: String,
    /// The other member.
    pub other: User,
}

impl MessageGroup {
    /// The two `members`' rows of a group whose last message is `last`. Each names the other member.
    pub fn rows(members: [&User; 2], last: &Message) -> [Self; 2] {
        let [one, two] = members;
        [(one, two), (two, one)].map(|(member, other)| Self {
            member_uuid: member.uuid,
            last_message_at: last.created_at,
            message_group_uuid: last.message_group_uuid,
            message: last.message.clone(),
            other: other.clone(),
        })
    }

    /// The item to put.
    pub fn to_item(&self) -> Item {
        strings([
            (PARTITION_KEY, group_key(self.member_uuid)),
            (SORT_KEY, time::format(self.last_message_at)),
            (MESSAGE_GROUP_UUID, self.message_group_uuid.to_string()),
            (MESSAGE, self.message.clone()),
            (USER_UUID, self.other.uuid.to_string()),
            (USER_DISPLAY_NAME, self.other.display_name.clone()),
            (USER_HANDLE, self.other.handle.clone()),
        ])
    }

    /// Parses an item. Another program may have written it, so unknown attributes are ignored.
    pub fn from_item(item: &Item) -> Result<Self> {
        Ok(Self {
            member_uuid: partition(item, GROUP_PREFIX, "GRP# and a uuid")?,
            last_message_at: moment(item)?,
            message_group_uuid: uuid(item, MESSAGE_GROUP_UUID)?,
            message: string(item, MESSAGE)?.to_owned(),
            other: user(item)?,
        })
    }
}

/// A group row with the sort key exactly as it is stored. Another program may have written it in another RFC 3339
/// form, and a key must match byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// The stored sort key.
    pub sort_key: String,
    /// The row.
    pub group: MessageGroup,
}

impl MemberRow {
    /// Parses an item, which another program may have written.
    pub fn from_item(item: &Item) -> Result<Self> {
        Ok(Self { sort_key: string(item, SORT_KEY)?.to_owned(), group: MessageGroup::from_item(item)? })
    }
}

/// A message in a message group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The conversation's uuid; part of the partition key.
    pub message_group_uuid: Uuid,
    /// The time of sending, to the microsecond; the sort key.
    pub created_at: DateTime<Utc>,
    /// The message's own uuid.
    pub message_uuid: Uuid,
    /// The text.
    pub message: String,
    /// The member who sent it.
    pub sender: User,
}

impl Message {
    /// The item to put.
    pub fn to_item(&self) -> Item {
        strings([
            (PARTITION_KEY, message_key(self.message_group_uuid)),
            (SORT_KEY, time::format(self.created_at)),
            (MESSAGE_UUID, self.message_uuid.to_string()),
            (MESSAGE, self.message.clone()),
            (USER_UUID, self.sender.uuid.to_string()),
            (USER_DISPLAY_NAME, self.sender.display_name.clone()),
            (USER_HANDLE, self.sender.handle.clone()),
        ])
    }

    /// Parses an item. Another program may have written it, so unknown attributes are ignored.
    pub fn from_item(item: &Item) -> Result<Self> {
        Ok(Self {
            message_group_uuid: partition(item, MESSAGE_PREFIX, "MSG# and a uuid")?,
            created_at: moment(item)?,
            message_uuid: uuid(item, MESSAGE_UUID)?,
            message: string(item, MESSAGE)?.to_owned(),
            sender: user(item)?,
        })
    }
}

pub(super) fn strings<const N: usize>(attributes: [(&str, String); N]) -> Item {
    attributes.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into()
}

fn string<'a>(item: &'a Item, name: &str) -> Result<&'a str> {
    let value = item.get(name).ok_or_else(|| error(item, name, "is missing"))?;
    let value = value.as_s().map_err(|_| error(item, name, "is not a string"));
    value.map(String::as_str)
}

fn uuid(item: &Item, name: &str) -> Result<Uuid> {
    let value = string(item, name)?;
    Uuid::try_parse(value).map_err(|_| unexpected(item, name, "a uuid", value))
}

fn moment(item: &Item) -> Result<DateTime<Utc>> {
    let value = string(item, SORT_KEY)?;
    time::parse(value).map_err(|_| unexpected(item, SORT_KEY, "an RFC 3339 time", value))
}

/// The uuid after the partition key's prefix.
fn partition(item: &Item, prefix: &str, expected: &str) -> Result<Uuid> {
    let value = string(item, PARTITION_KEY)?;
    let uuid = value.strip_prefix(prefix).and_then(|uuid| Uuid::try_parse(uuid).ok());
    uuid.ok_or_else(|| unexpected(item, PARTITION_KEY, expected, value))
}

fn user(item: &Item) -> Result<User> {
    Ok(User {
        uuid: uuid(item, USER_UUID)?,
        display_name: string(item, USER_DISPLAY_NAME)?.to_owned(),
        handle: string(item, USER_HANDLE)?.to_owned(),
    })
}

fn unexpected(item: &Item, name: &str, expected: &str, found: &str) -> Error {
    error(item, name, &format!("should be {expected}, is {:?}", excerpt(found)))
}

fn error(item: &Item, attribute: &str, problem: &str) -> Error {
    let key = |name| item.get(name).and_then(|key| key.as_s().ok()).map_or("?", String::as_str);
    anyhow!("item pk={} sk={}: attribute {attribute} {problem}", key(PARTITION_KEY), key(SORT_KEY))
}

#[cfg(test)]
mod tests;
