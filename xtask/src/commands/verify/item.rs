//! Reads one item, and checks it by itself and against Postgres's users.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};

use crate::dynamodb::json::{AttributeValue, Item};
use backend_flask::messages::{
    CREATED_AT, GROUP_PREFIX, KEY_PREFIX, MESSAGE, MESSAGE_GROUP_UUID, MESSAGE_PREFIX, MESSAGE_UUID,
    PARTITION_KEY, SORT_KEY, USER_DISPLAY_NAME, USER_HANDLE, USER_UUID,
};
use backend_flask::time;
use backend_flask::users::User;
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

/// What is wrong, with its text in every output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Kind {
    #[serde(rename = "neither a group row nor a message")]
    UnknownItem,
    #[serde(rename = "attribute that cannot be read")]
    Unreadable,
    #[serde(rename = "time or uuid in another form")]
    Form,
    #[serde(rename = "user who is not in Postgres")]
    UnknownUser,
    #[serde(rename = "handle other than in Postgres")]
    Handle,
    #[serde(rename = "display name other than in Postgres")]
    DisplayName,
    #[serde(rename = "group with one row")]
    OneRow,
    #[serde(rename = "group with more than two rows")]
    ManyRows,
    #[serde(rename = "group whose rows do not mirror each other")]
    Mirror,
    #[serde(rename = "group row not of the newest message")]
    Outdated,
    #[serde(rename = "messages without a group")]
    NoRows,
    #[serde(rename = "group without messages")]
    NoMessages,
    #[serde(rename = "sender who is not a member")]
    Stranger,
    #[serde(rename = "message uuid that is there twice")]
    Twice,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    pub(super) key: [String; 2],
    pub(super) there: String,
    pub(super) should: String,
    /// Whether the source says what the value should be.
    pub(super) can_be_fixed: bool,
}

impl Finding {
    pub(super) fn new(kind: Kind, item: &Item, there: impl Into<String>, should: impl Into<String>) -> Self {
        Self { kind, key: key_of(item), there: there.into(), should: should.into(), can_be_fixed: false }
    }
}

/// An item's keys, with `?` for a key that is not a string.
pub(super) fn key_of(item: &Item) -> [String; 2] {
    [PARTITION_KEY, SORT_KEY].map(|name| match item.get(name) {
        Some(AttributeValue::S(value)) => value.clone(),
        _ => "?".to_owned(),
    })
}

/// The kind of an item, by its partition key.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Subject {
    /// A member's row of a group.
    Row,
    Message,
    /// The record of an idempotency key. It may outlive its message.
    Key,
    #[default]
    Unknown,
}

/// The attributes of an item that could be read. All but one are common to group rows and messages.
#[derive(Default)]
pub(super) struct Entry<'a> {
    pub(super) subject: Subject,
    /// The uuid in the partition key: the member of a row, the group of a message.
    pub(super) owner: Option<Uuid>,
    /// The sort key.
    pub(super) at: Option<DateTime<Utc>>,
    /// The group of a row, or the message's own uuid.
    pub(super) uuid: Option<Uuid>,
    pub(super) text: Option<&'a str>,
    /// The other member of a row, or the sender of a message.
    pub(super) user: Option<Uuid>,
    display_name: Option<&'a str>,
    handle: Option<&'a str>,
    /// What is wrong with the item by itself.
    pub(super) findings: Vec<Finding>,
}

impl<'a> Entry<'a> {
    pub(super) fn read(item: &'a Item) -> Self {
        let mut reader = Reader { item, findings: Vec::new() };
        let (subject, prefix, uuid) = match item.get(PARTITION_KEY) {
            Some(AttributeValue::S(pk)) if pk.starts_with(GROUP_PREFIX) => {
                (Subject::Row, GROUP_PREFIX, MESSAGE_GROUP_UUID)
            }
            Some(AttributeValue::S(pk)) if pk.starts_with(MESSAGE_PREFIX) => {
                (Subject::Message, MESSAGE_PREFIX, MESSAGE_UUID)
            }
            Some(AttributeValue::S(pk)) if pk.starts_with(KEY_PREFIX) => {
                reader.uuid(PARTITION_KEY, KEY_PREFIX);
                reader.uuid(SORT_KEY, MESSAGE_PREFIX);
                reader.time(CREATED_AT);
                return Self { subject: Subject::Key, findings: reader.findings, ..Self::default() };
            }
            _ => {
                let should = format!("{GROUP_PREFIX}, {MESSAGE_PREFIX} or {KEY_PREFIX}, and a uuid");
                let [pk, _] = key_of(item);
                reader.findings.push(Finding::new(Kind::UnknownItem, item, pk, should));
                return Self { findings: reader.findings, ..Self::default() };
            }
        };
        Self {
            subject,
            owner: reader.uuid(PARTITION_KEY, prefix),
            at: reader.time(SORT_KEY),
            uuid: reader.uuid(uuid, ""),
            text: reader.text(MESSAGE),
            user: reader.uuid(USER_UUID, ""),
            display_name: reader.text(USER_DISPLAY_NAME),
            handle: reader.text(USER_HANDLE),
            findings: reader.findings,
        }
    }

    pub(super) fn users(&self) -> impl Iterator<Item = Uuid> {
        let member = self.owner.filter(|_| self.subject == Subject::Row);
        member.into_iter().chain(self.user)
    }

    /// Whether the item has no finding and its names match the digests in `names`.
    pub(super) fn agrees(&self, names: &HashMap<Uuid, u64>) -> bool {
        let names_agree = match (self.user, self.display_name, self.handle) {
            (Some(user), Some(display_name), Some(handle)) => {
                names.get(&user) == Some(&digest((display_name, handle)))
            }
            // A missing or unreadable name is a finding already.
            _ => true,
        };
        self.findings.is_empty() && names_agree && self.users().all(|user| names.contains_key(&user))
    }

    /// What is wrong with the item by itself and compared with `users`.
    pub(super) fn against(self, item: &Item, users: &HashMap<Uuid, User>) -> Vec<Finding> {
        let unknown = self.users().filter(|user| !users.contains_key(user));
        let unknown = unknown.map(|user| {
            Finding::new(Kind::UnknownUser, item, user.to_string(), "the uuid of a user in Postgres")
        });
        let user = self.user.and_then(|user| users.get(&user));
        let names = user.into_iter().flat_map(|user| {
            [
                (Kind::Handle, self.handle, &user.handle),
                (Kind::DisplayName, self.display_name, &user.display_name),
            ]
        });
        let other = names.filter_map(|(kind, there, should)| {
            let there = there.filter(|there| there != should)?;
            Some(Finding::new(kind, item, there, should))
        });
        let beside: Vec<_> = unknown.chain(other).collect();
        self.findings.into_iter().chain(beside).collect()
    }
}

/// A digest of a value that is compared but not kept.
pub(super) fn digest(value: impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

struct Reader<'a> {
    item: &'a Item,
    findings: Vec<Finding>,
}

impl<'a> Reader<'a> {
    fn text(&mut self, name: &str) -> Option<&'a str> {
        let there = match self.item.get(name) {
            Some(AttributeValue::S(text)) => return Some(text),
            Some(_) => format!("{name} is not a string"),
            None => format!("no {name}"),
        };
        self.add(Kind::Unreadable, there, format!("{name}, a string"));
        None
    }

    /// The uuid after a prefix. Queries do not find another spelling of a uuid, so that counts as none.
    fn uuid(&mut self, name: &str, prefix: &str) -> Option<Uuid> {
        let text = self.text(name)?;
        let there = || format!("{name} {text:?}");
        let Some(uuid) = text.strip_prefix(prefix).and_then(|uuid| Uuid::try_parse(uuid).ok()) else {
            let behind = if prefix.is_empty() { String::new() } else { format!("{prefix} and ") };
            self.add(Kind::Unreadable, there(), format!("{name}, {behind}a uuid"));
            return None;
        };
        if text[prefix.len()..] == *uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) {
            return Some(uuid);
        }
        self.add(Kind::Form, there(), format!("{name} \"{prefix}{uuid}\""));
        None
    }

    fn time(&mut self, name: &str) -> Option<DateTime<Utc>> {
        let text = self.text(name)?;
        let there = || format!("{name} {text:?}");
        let Ok(at) = time::parse(text) else {
            self.add(Kind::Unreadable, there(), format!("{name}, an RFC 3339 time"));
            return None;
        };
        let sortable = time::format(at);
        if sortable == text {
            return Some(at);
        }
        self.add(Kind::Form, there(), format!("{name} {sortable:?}"));
        // Parsed from the sortable form, which has microseconds.
        time::parse(&sortable).ok()
    }

    fn add(&mut self, kind: Kind, there: String, should: String) {
        self.findings.push(Finding::new(kind, self.item, there, should));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01";
    const GROUP: &str = "5ae290ed-55d1-47a0-bc6d-fe2bc2700399";

    /// A message with some attributes changed.
    fn message(changes: &[(&str, &str)]) -> Item {
        let (pk, sk) = (format!("MSG#{GROUP}"), "2023-03-20T14:05:09.000000+00:00");
        let attributes = [
            ("pk", pk.as_str()),
            ("sk", sk),
            (MESSAGE_UUID, GROUP),
            (MESSAGE, "Hello"),
            (USER_UUID, USER),
            (USER_HANDLE, "one"),
            (USER_DISPLAY_NAME, "One"),
        ];
        let attributes = attributes.iter().chain(changes);
        attributes.map(|(name, value)| ((*name).to_owned(), AttributeValue::S((*value).to_owned()))).collect()
    }

    fn user(handle: &str) -> HashMap<Uuid, User> {
        let uuid = Uuid::try_parse(USER).unwrap();
        HashMap::from([(uuid, User { uuid, display_name: "One".to_owned(), handle: handle.to_owned() })])
    }

    /// The findings of an item: kind, actual and expected value.
    fn wrong(item: &Item, handle: &str) -> Vec<(Kind, String, String)> {
        let users = user(handle);
        let names = users.iter().map(|(uuid, user)| (*uuid, digest((&*user.display_name, &*user.handle))));
        let entry = Entry::read(item);
        let agrees = entry.agrees(&names.collect());
        let findings = entry.against(item, &users);
        assert_eq!(agrees, findings.is_empty(), "{item:?}");
        findings.into_iter().map(|finding| (finding.kind, finding.there, finding.should)).collect()
    }

    #[test]
    fn an_item_that_is_as_it_should_be() {
        assert_eq!(wrong(&message(&[]), "one"), []);
        let [pk, sk] = ["KEY#", "MSG#"].map(|prefix| format!("{prefix}{GROUP}"));
        let key = [("pk", &*pk), ("sk", &*sk), ("created_at", "2023-03-20T14:05:09.000000+00:00")];
        assert_eq!(wrong(&message(&key), "one"), []);
    }

    #[test]
    fn findings_show_actual_and_expected_values() {
        for (changes, kind, there, should) in [
            (("pk", "X"), Kind::UnknownItem, "X", "GRP#, MSG# or KEY#, and a uuid"),
            (("pk", "MSG#1"), Kind::Unreadable, "pk \"MSG#1\"", "pk, MSG# and a uuid"),
            (("sk", "now"), Kind::Unreadable, "sk \"now\"", "sk, an RFC 3339 time"),
            (
                ("sk", "2023-03-20T14:05:09Z"),
                Kind::Form,
                "sk \"2023-03-20T14:05:09Z\"",
                "sk \"2023-03-20T14:05:09.000000+00:00\"",
            ),
            ((MESSAGE_UUID, "1"), Kind::Unreadable, "message_uuid \"1\"", "message_uuid, a uuid"),
            ((USER_HANDLE, "two"), Kind::Handle, "two", "one"),
            ((USER_DISPLAY_NAME, "Two"), Kind::DisplayName, "Two", "One"),
            ((USER_UUID, GROUP), Kind::UnknownUser, GROUP, "the uuid of a user in Postgres"),
        ] {
            let found = wrong(&message(&[changes]), "one");
            assert_eq!(found, [(kind, there.to_owned(), should.to_owned())], "{changes:?}");
        }
        assert_eq!(wrong(&message(&[]), "two").len(), 1);
    }

    #[test]
    fn an_attribute_is_there_and_is_text() {
        let mut item = message(&[]);
        item.remove(MESSAGE);
        item.insert(USER_HANDLE.to_owned(), AttributeValue::N("1".to_owned()));
        let there: Vec<_> = wrong(&item, "one").into_iter().map(|(_, there, _)| there).collect();
        assert_eq!(there, ["no message", "user_handle is not a string"]);
    }
}
