//! Whose a message group is: the rows that its members have of it.

use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use uuid::Uuid;

use super::item::{MESSAGE_GROUP_UUID, USER_UUID};
use super::{Item, ItemError, MessageGroup, SORT_KEY, conversations_of};

/// What the uuids of message groups that two users began are made from.
const PAIRS: Uuid = uuid::uuid!("c2a4d8f0-31b7-4a53-9a37-0f6d0a6e5b14");

/// A message group as a member's list holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// The sort key as it is written there: another program may have chosen another RFC 3339 form than
    /// ours, and a key is found by its bytes.
    pub sort_key: String,
    /// What the row says.
    pub group: MessageGroup,
}

impl MemberRow {
    /// Reads an item that anyone wrote; attributes that are not ours are passed over.
    ///
    /// # Errors
    ///
    /// [`ItemError`] for the first attribute that is missing or is not what it should be.
    pub fn from_item(item: &Item) -> Result<Self, ItemError> {
        let group = MessageGroup::from_item(item)?;
        // The group has been read, so it is a string.
        let sort_key = item.get(SORT_KEY).and_then(|key| key.as_s().ok()).cloned().unwrap_or_default();
        Ok(Self { sort_key, group })
    }
}

/// The query for the row that `user` has of `group`: whoever has one is a member. Strongly consistent,
/// newest first; a page may hold no row and not be the last.
pub fn membership(table: &str, user: Uuid, group: Uuid) -> QueryInputBuilder {
    rows_where(table, user, MESSAGE_GROUP_UUID, group)
}

/// The query for the row that `user` has of the group with `other`, in the same way.
pub fn membership_with(table: &str, user: Uuid, other: Uuid) -> QueryInputBuilder {
    rows_where(table, user, USER_UUID, other)
}

fn rows_where(table: &str, user: Uuid, attribute: &str, value: Uuid) -> QueryInputBuilder {
    conversations_of(table, user)
        .filter_expression(format!("{attribute} = :value"))
        .expression_attribute_values(":value", AttributeValue::S(value.to_string()))
        .consistent_read(true)
}

/// The uuid of the message group that two users begin: the same whichever of them writes first, so that
/// both of them beginning at once mean the same conversation.
pub fn group_of_pair(users: [Uuid; 2]) -> Uuid {
    let [first, second] = if users[0] <= users[1] { users } else { [users[1], users[0]] };
    Uuid::new_v5(&PAIRS, format!("{first}/{second}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Uuid = uuid::uuid!("9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01");
    const TWO: Uuid = uuid::uuid!("9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e02");

    #[test]
    fn a_pair_has_one_group_in_either_order() {
        assert_eq!(group_of_pair([ONE, TWO]), group_of_pair([TWO, ONE]));
        assert_ne!(group_of_pair([ONE, TWO]), group_of_pair([ONE, ONE]));
    }

    #[test]
    fn membership_is_read_consistently_in_the_members_partition() {
        let query = membership("t", ONE, TWO);
        assert_eq!(*query.get_consistent_read(), Some(true));
        assert_eq!(query.get_filter_expression().as_deref(), Some("message_group_uuid = :value"));
        let value = |name| query.get_expression_attribute_values().as_ref()?.get(name)?.as_s().ok().cloned();
        assert_eq!(value(":pk"), Some(format!("GRP#{ONE}")));
        assert_eq!(value(":value"), Some(TWO.to_string()));
    }
}
