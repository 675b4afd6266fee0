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

/// An item as the SDK sends and receives it: attributes by name.
pub type Item = HashMap<String, AttributeValue>;

/// An item as it is written: the names and values of its attributes, all of which are strings.
pub type Attributes = [(&'static str, String); 7];

/// How many characters of an attribute's value an error shows.
const SHOWN: usize = 60;

pub(super) const MESSAGE_GROUP_UUID: &str = "message_group_uuid";
pub(super) const MESSAGE_UUID: &str = "message_uuid";
const MESSAGE: &str = "message";
pub(super) const USER_UUID: &str = "user_uuid";
const USER_DISPLAY_NAME: &str = "user_display_name";
const USER_HANDLE: &str = "user_handle";

/// A conversation as one of its members sees it in a list: with whom, and what was said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageGroup {
    /// The user in whose list this is; the partition key holds it.
    pub member_uuid: Uuid,
    /// When the last message was sent: the sort key, to the microsecond.
    pub last_message_at: DateTime<Utc>,
    /// The conversation, the same for all of its members.
    pub message_group_uuid: Uuid,
    /// The last message's text, whoever sent it.
    pub message: String,
    /// The other member's uuid.
    pub user_uuid: Uuid,
    /// The other member's name to show.
    pub user_display_name: String,
    /// The other member's handle.
    pub user_handle: String,
}

impl MessageGroup {
    /// The item to put.
    pub fn to_item(&self) -> Item {
        item_of(self.clone().into_attributes())
    }

    /// The attributes of the item to put.
    pub fn into_attributes(self) -> Attributes {
        [
            (PARTITION_KEY, group_key(self.member_uuid)),
            (SORT_KEY, time::format(self.last_message_at)),
            (MESSAGE_GROUP_UUID, self.message_group_uuid.to_string()),
            (MESSAGE, self.message),
            (USER_UUID, self.user_uuid.to_string()),
            (USER_DISPLAY_NAME, self.user_display_name),
            (USER_HANDLE, self.user_handle),
        ]
    }

    /// Reads an item that anyone wrote; attributes that are not ours are passed over.
    ///
    /// # Errors
    ///
    /// [`ItemError`] for the first attribute that is missing or is not what it should be.
    pub fn from_item(item: &Item) -> Result<Self, ItemError> {
        let attributes = Found(item);
        Ok(Self {
            member_uuid: attributes.partition(GROUP_PREFIX)?,
            last_message_at: attributes.time(SORT_KEY)?,
            message_group_uuid: attributes.uuid(MESSAGE_GROUP_UUID)?,
            message: attributes.string(MESSAGE)?.to_owned(),
            user_uuid: attributes.uuid(USER_UUID)?,
            user_display_name: attributes.string(USER_DISPLAY_NAME)?.to_owned(),
            user_handle: attributes.string(USER_HANDLE)?.to_owned(),
        })
    }
}

/// A message that a member of a message group sent.
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
    /// The sender's uuid.
    pub user_uuid: Uuid,
    /// The sender's name to show.
    pub user_display_name: String,
    /// The sender's handle.
    pub user_handle: String,
}

impl Message {
    /// The item to put.
    pub fn to_item(&self) -> Item {
        item_of(self.clone().into_attributes())
    }

    /// The attributes of the item to put.
    pub fn into_attributes(self) -> Attributes {
        [
            (PARTITION_KEY, message_key(self.message_group_uuid)),
            (SORT_KEY, time::format(self.created_at)),
            (MESSAGE_UUID, self.message_uuid.to_string()),
            (MESSAGE, self.message),
            (USER_UUID, self.user_uuid.to_string()),
            (USER_DISPLAY_NAME, self.user_display_name),
            (USER_HANDLE, self.user_handle),
        ]
    }

    /// Reads an item that anyone wrote; attributes that are not ours are passed over.
    ///
    /// # Errors
    ///
    /// [`ItemError`] for the first attribute that is missing or is not what it should be.
    pub fn from_item(item: &Item) -> Result<Self, ItemError> {
        let attributes = Found(item);
        Ok(Self {
            message_group_uuid: attributes.partition(MESSAGE_PREFIX)?,
            created_at: attributes.time(SORT_KEY)?,
            message_uuid: attributes.uuid(MESSAGE_UUID)?,
            message: attributes.string(MESSAGE)?.to_owned(),
            user_uuid: attributes.uuid(USER_UUID)?,
            user_display_name: attributes.string(USER_DISPLAY_NAME)?.to_owned(),
            user_handle: attributes.string(USER_HANDLE)?.to_owned(),
        })
    }
}

/// The item that has these attributes, each a string.
pub fn item_of(attributes: Attributes) -> Item {
    attributes.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into()
}

/// Reads an item's attributes as what they should be.
struct Found<'a>(&'a Item);

impl<'a> Found<'a> {
    fn string(&self, name: &'static str) -> Result<&'a str, ItemError> {
        let value = self.0.get(name);
        let value = value.ok_or_else(|| self.error(name, Problem::Missing))?;
        let value = value.as_s().map_err(|_| self.error(name, Problem::NotAString));
        value.map(String::as_str)
    }

    fn uuid(&self, name: &'static str) -> Result<Uuid, ItemError> {
        let value = self.string(name)?;
        Uuid::try_parse(value).map_err(|_| self.unexpected(name, value, "a uuid"))
    }

    fn time(&self, name: &'static str) -> Result<DateTime<Utc>, ItemError> {
        let value = self.string(name)?;
        time::parse(value).map_err(|_| self.unexpected(name, value, "an RFC 3339 time"))
    }

    /// The uuid behind the partition key's `prefix`.
    fn partition(&self, prefix: &'static str) -> Result<Uuid, ItemError> {
        let value = self.string(PARTITION_KEY)?;
        let uuid = value.strip_prefix(prefix).map(Uuid::try_parse);
        match uuid {
            Some(Ok(uuid)) => Ok(uuid),
            _ if prefix == GROUP_PREFIX => Err(self.unexpected(PARTITION_KEY, value, "GRP# and a uuid")),
            _ => Err(self.unexpected(PARTITION_KEY, value, "MSG# and a uuid")),
        }
    }

    fn unexpected(&self, name: &'static str, value: &str, expected: &'static str) -> ItemError {
        let found = value.to_owned();
        self.error(name, Problem::Unexpected { expected, found })
    }

    fn error(&self, attribute: &'static str, problem: Problem) -> ItemError {
        let key = |name| self.0.get(name)?.as_s().ok().cloned();
        ItemError { partition_key: key(PARTITION_KEY), sort_key: key(SORT_KEY), attribute, problem }
    }
}

/// An attribute that is missing or is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemError {
    /// The item's partition key, if it has a string there.
    pub partition_key: Option<String>,
    /// The item's sort key, if it has a string there.
    pub sort_key: Option<String>,
    /// The attribute's name.
    pub attribute: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The item does not have it.
    Missing,
    /// It is of another type than `S`.
    NotAString,
    /// It is a string that does not say what it should.
    Unexpected {
        /// What it should say, such as `a uuid`.
        expected: &'static str,
        /// What it says.
        found: String,
    },
}

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |key: &Option<String>| key.clone().unwrap_or_else(|| "?".to_owned());
        let (pk, sk) = (shown(&self.partition_key), shown(&self.sort_key));
        let attribute = self.attribute;
        write!(f, "item pk={pk} sk={sk}: ")?;
        match &self.problem {
            Problem::Missing => write!(f, "attribute {attribute} is missing"),
            Problem::NotAString => write!(f, "attribute {attribute} is not a string"),
            Problem::Unexpected { expected, found } => {
                let found = excerpt(found, SHOWN);
                write!(f, "attribute {attribute} should be {expected}, is {found:?}")
            }
        }
    }
}

impl Error for ItemError {}

#[cfg(test)]
mod tests;
