//! The items: typed in Rust, strings in DynamoDB.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{GROUP_PREFIX, MESSAGE_PREFIX, PARTITION_KEY, SORT_KEY, group_key, message_key};
use crate::excerpt::excerpt;
use crate::time;
use crate::users::User;

/// An item as the SDK sends and receives it: attributes by name.
pub type Item = HashMap<String, AttributeValue>;

/// How many characters of an attribute's value an error shows.
const SHOWN: usize = 60;

/// The attribute of a group row that names the conversation.
pub const MESSAGE_GROUP_UUID: &str = "message_group_uuid";
/// The attribute of a message that is its own uuid.
pub const MESSAGE_UUID: &str = "message_uuid";
/// The attribute with the text, of a message or of a group's last one.
pub const MESSAGE: &str = "message";
/// The attribute that names the sender of a message, and in a group row the other member.
pub const USER_UUID: &str = "user_uuid";
/// The display name of that user.
pub const USER_DISPLAY_NAME: &str = "user_display_name";
/// The handle of that user.
pub const USER_HANDLE: &str = "user_handle";
/// The attribute of an idempotency key that says when its message was sent.
pub const CREATED_AT: &str = "created_at";

/// A conversation in the list of one of its members: with whom, and what was said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageGroup {
    /// The user in whose list this is; the partition key holds it.
    pub member_uuid: Uuid,
    /// When the last message was sent: the sort key, to the microsecond.
    pub last_message_at: DateTime<Utc>,
    /// The conversation, the same for both members.
    pub message_group_uuid: Uuid,
    /// The text of the last message.
    pub message: String,
    /// The other member.
    pub other: User,
}

impl MessageGroup {
    /// The rows that the two `members` have of a group whose last message is `last`, each naming the other one.
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
        self.clone().into_item()
    }

    /// The item to put.
    pub fn into_item(self) -> Item {
        strings([
            (PARTITION_KEY, group_key(self.member_uuid)),
            (SORT_KEY, time::format(self.last_message_at)),
            (MESSAGE_GROUP_UUID, self.message_group_uuid.to_string()),
            (MESSAGE, self.message),
            (USER_UUID, self.other.uuid.to_string()),
            (USER_DISPLAY_NAME, self.other.display_name),
            (USER_HANDLE, self.other.handle),
        ])
    }

    /// Reads an item that any program wrote. Unknown attributes are ignored.
    pub fn from_item(item: &Item) -> Result<Self, ItemError> {
        let attributes = Reader(item);
        Ok(Self {
            member_uuid: attributes.partition(GROUP_PREFIX, "GRP# and a uuid")?,
            last_message_at: attributes.time(SORT_KEY)?,
            message_group_uuid: attributes.uuid(MESSAGE_GROUP_UUID)?,
            message: attributes.string(MESSAGE)?.to_owned(),
            other: attributes.user()?,
        })
    }
}

/// A member's row of a group, with the sort key as it is written there: another program may have chosen another
/// RFC 3339 form than ours, and a key is found by its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// The bytes of the sort key.
    pub sort_key: String,
    /// What the row says.
    pub group: MessageGroup,
}

impl MemberRow {
    /// Reads an item that any program wrote.
    pub fn from_item(item: &Item) -> Result<Self, ItemError> {
        Ok(Self {
            sort_key: Reader(item).string(SORT_KEY)?.to_owned(),
            group: MessageGroup::from_item(item)?,
        })
    }
}

/// A message in a message group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The conversation; the partition key holds it.
    pub message_group_uuid: Uuid,
    /// When it was sent: the sort key, to the microsecond.
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
        self.clone().into_item()
    }

    /// The item to put.
    pub fn into_item(self) -> Item {
        strings([
            (PARTITION_KEY, message_key(self.message_group_uuid)),
            (SORT_KEY, time::format(self.created_at)),
            (MESSAGE_UUID, self.message_uuid.to_string()),
            (MESSAGE, self.message),
            (USER_UUID, self.sender.uuid.to_string()),
            (USER_DISPLAY_NAME, self.sender.display_name),
            (USER_HANDLE, self.sender.handle),
        ])
    }

    /// Reads an item that any program wrote. Unknown attributes are ignored.
    pub fn from_item(item: &Item) -> Result<Self, ItemError> {
        let attributes = Reader(item);
        Ok(Self {
            message_group_uuid: attributes.partition(MESSAGE_PREFIX, "MSG# and a uuid")?,
            created_at: attributes.time(SORT_KEY)?,
            message_uuid: attributes.uuid(MESSAGE_UUID)?,
            message: attributes.string(MESSAGE)?.to_owned(),
            sender: attributes.user()?,
        })
    }
}

/// The item with these attributes, each a string.
pub(super) fn strings<const N: usize>(attributes: [(&str, String); N]) -> Item {
    attributes.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into()
}

/// Reads an item's attributes.
struct Reader<'a>(&'a Item);

impl<'a> Reader<'a> {
    fn string(&self, name: &'static str) -> Result<&'a str, ItemError> {
        let value = self.0.get(name).ok_or_else(|| self.error(name, "is missing".to_owned()))?;
        let value = value.as_s().map_err(|_| self.error(name, "is not a string".to_owned()));
        value.map(String::as_str)
    }

    fn uuid(&self, name: &'static str) -> Result<Uuid, ItemError> {
        let value = self.string(name)?;
        Uuid::try_parse(value).map_err(|_| self.unexpected(name, "a uuid", value))
    }

    fn time(&self, name: &'static str) -> Result<DateTime<Utc>, ItemError> {
        let value = self.string(name)?;
        time::parse(value).map_err(|_| self.unexpected(name, "an RFC 3339 time", value))
    }

    /// The uuid behind the partition key's prefix.
    fn partition(&self, prefix: &str, expected: &str) -> Result<Uuid, ItemError> {
        let value = self.string(PARTITION_KEY)?;
        let uuid = value.strip_prefix(prefix).and_then(|uuid| Uuid::try_parse(uuid).ok());
        uuid.ok_or_else(|| self.unexpected(PARTITION_KEY, expected, value))
    }

    fn user(&self) -> Result<User, ItemError> {
        Ok(User {
            uuid: self.uuid(USER_UUID)?,
            display_name: self.string(USER_DISPLAY_NAME)?.to_owned(),
            handle: self.string(USER_HANDLE)?.to_owned(),
        })
    }

    fn unexpected(&self, name: &'static str, expected: &str, found: &str) -> ItemError {
        self.error(name, format!("should be {expected}, is {:?}", excerpt(found, SHOWN)))
    }

    fn error(&self, attribute: &'static str, problem: String) -> ItemError {
        let key = |name| self.0.get(name).and_then(|key| key.as_s().ok()).map_or("?", String::as_str);
        let item = format!("item pk={} sk={}", key(PARTITION_KEY), key(SORT_KEY));
        ItemError { item, attribute, problem }
    }
}

/// An attribute that is missing or is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemError {
    /// The item, by its keys.
    item: String,
    attribute: &'static str,
    /// What is wrong with the attribute, such as `is missing`.
    problem: String,
}

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { item, attribute, problem } = self;
        write!(f, "{item}: attribute {attribute} {problem}")
    }
}

impl Error for ItemError {}

#[cfg(test)]
mod tests;
