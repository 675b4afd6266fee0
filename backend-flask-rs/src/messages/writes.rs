//! Transactions that keep a conversation and both members' lists consistent.
//!
//! One TransactWriteItems puts a message and moves both members' rows to its time. A sort key cannot be changed, so a
//! row moves by deleting the old item and putting a new one. The conditions repeat what was read when the request was
//! built: if another writer was first, the whole transaction is cancelled, and the caller reads and builds it again.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html>

use aws_sdk_dynamodb::operation::get_item::GetItemInput;
use aws_sdk_dynamodb::operation::get_item::builders::GetItemInputBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsInput;
use aws_sdk_dynamodb::operation::transact_write_items::builders::TransactWriteItemsInputBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::item::strings;
use super::{
    CREATED_AT, Item, KEY_PREFIX, MESSAGE_GROUP_UUID, MemberRow, Message, MessageGroup, PARTITION_KEY,
    SORT_KEY, group_key, message_key,
};
use crate::time;
use crate::users::User;

/// The maximum number of characters in a message.
pub const LONGEST_MESSAGE: usize = 1024;

/// The UUIDv5 namespace of the groups of two users.
const PAIRS: Uuid = uuid::uuid!("c2a4d8f0-31b7-4a53-9a37-0f6d0a6e5b14");

/// Checks the text of a new message: not blank, and at most [`LONGEST_MESSAGE`] characters. The error completes a
/// sentence that begins with "the message".
pub fn check_text(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        return Err("is empty");
    }
    if text.chars().count() > LONGEST_MESSAGE {
        return Err("has more than 1024 characters");
    }
    Ok(())
}

/// The uuid of the group of two users. It does not depend on who writes first.
pub fn group_of_pair(users: [Uuid; 2]) -> Uuid {
    let [first, second] = if users[0] <= users[1] { users } else { [users[1], users[0]] };
    Uuid::new_v5(&PAIRS, format!("{first}/{second}").as_bytes())
}

/// The uuid of the message that `sender` sends to `group` with an idempotency key. It is always the same.
pub fn message_of_key(group: Uuid, sender: Uuid, key: &str) -> Uuid {
    Uuid::new_v5(&group, format!("{sender}/{key}").as_bytes())
}

/// The time of a new message after one at `last`: now, but later than `last` even if the clocks of two servers
/// differ.
pub fn next_time(now: DateTime<Utc>, last: DateTime<Utc>) -> DateTime<Utc> {
    time::next(last).map_or(last, |next| next.max(time::truncate(now)))
}

/// The request that puts `message` and moves both members' rows to it. It is cancelled if the message's key exists,
/// if a row has moved since it was read, or if another group's row already has the new key.
pub fn post(table: &str, message: &Message, rows: [&MemberRow; 2]) -> TransactWriteItemsInputBuilder {
    let moves = rows.into_iter().flat_map(|row| {
        let moved = moved(&row.group, message).to_item();
        [delete_row(table, row), put_new(table, moved)]
    });
    moves.fold(begin(table, message), TransactWriteItemsInputBuilder::transact_items)
}

/// The request that puts the first `message` of a group, addressed to `receiver`, and a row for each member.
pub fn open(table: &str, message: &Message, receiver: &User) -> TransactWriteItemsInputBuilder {
    let rows = MessageGroup::rows([&message.sender, receiver], message);
    let puts = rows.into_iter().map(|row| put_new(table, row.to_item()));
    puts.fold(begin(table, message), TransactWriteItemsInputBuilder::transact_items)
}

/// The part of a transaction that records when `message`, whose uuid comes from an idempotency key, was sent. Only
/// [`remembered`] reads the item. It has no condition, because the message may have been removed since; the
/// conditions of [`post`] alone ensure that a message is written once.
pub fn remember(table: &str, message: &Message) -> TransactWriteItem {
    let mut item = remembered_at(message.message_group_uuid, message.message_uuid);
    item.insert(CREATED_AT.to_owned(), AttributeValue::S(time::format(message.created_at)));
    put(table, item, None)
}

/// The request for the record of the message `uuid` in `group`. Its `created_at` is the message's.
pub fn remembered(table: &str, group: Uuid, uuid: Uuid) -> GetItemInputBuilder {
    GetItemInput::builder().table_name(table).set_key(Some(remembered_at(group, uuid))).consistent_read(true)
}

fn remembered_at(group: Uuid, uuid: Uuid) -> Item {
    strings([(PARTITION_KEY, format!("{KEY_PREFIX}{uuid}")), (SORT_KEY, message_key(group))])
}

/// The request that replaces items. Each change is an item as it was read, if it existed, and its replacement. The
/// request is cancelled if an item has changed since it was read. If the key changes, the item moves: the replacement
/// is put under the new key, which must be free, and the old item is deleted.
pub fn replace<'a>(
    table: &str,
    changes: impl IntoIterator<Item = &'a (Option<Item>, Item)>,
) -> TransactWriteItemsInputBuilder {
    let writes = changes.into_iter().flat_map(|(old, new)| match old {
        None => vec![put_new(table, new.clone())],
        Some(old) if key_of(old) == key_of(new) => vec![update(table, old, new)],
        Some(old) => vec![delete_as_read(table, old), put_new(table, new.clone())],
    });
    writes.fold(TransactWriteItemsInput::builder(), TransactWriteItemsInputBuilder::transact_items)
}

fn key_of(item: &Item) -> Item {
    let key = |(name, _): &(&String, _)| [PARTITION_KEY, SORT_KEY].contains(&name.as_str());
    item.iter().filter(key).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// An item's attributes with placeholders for each name and old value.
fn placeholders(item: &Item) -> impl Iterator<Item = (String, String, &String, &AttributeValue)> {
    (0..).zip(item).map(|(place, (name, value))| (format!("#{place}"), format!(":{place}"), name, value))
}

/// The condition that an item is unchanged.
fn as_read(item: &Item) -> String {
    let equal = placeholders(item).map(|(name, value, ..)| format!("{name} = {value}"));
    equal.collect::<Vec<_>>().join(" and ")
}

/// Sets the attributes of `new` if the item is still `old`. Both have the same key.
#[expect(clippy::expect_used, reason = "build checks only that all are set")]
fn update(table: &str, old: &Item, new: &Item) -> TransactWriteItem {
    let mut sets = Vec::new();
    let mut update = Update::builder().table_name(table).set_key(Some(key_of(old)));
    for (name_placeholder, value_placeholder, name, value) in placeholders(old) {
        update = update.expression_attribute_names(name_placeholder, name);
        update = update.expression_attribute_values(value_placeholder, value.clone());
    }
    for (place, (name, value)) in (0..).zip(new).filter(|(_, (name, value))| old.get(*name) != Some(value)) {
        sets.push(format!("#new{place} = :new{place}"));
        update = update.expression_attribute_names(format!("#new{place}"), name);
        update = update.expression_attribute_values(format!(":new{place}"), value.clone());
    }
    let update = update.update_expression(format!("set {}", sets.join(", ")));
    let update = update.condition_expression(as_read(old)).build();
    TransactWriteItem::builder().update(update.expect("a table, a key and an expression")).build()
}

#[expect(clippy::expect_used, reason = "build checks only that both are set")]
fn delete_as_read(table: &str, item: &Item) -> TransactWriteItem {
    let delete = Delete::builder().table_name(table).set_key(Some(key_of(item)));
    let delete =
        placeholders(item).fold(delete, |delete, (name_placeholder, value_placeholder, name, value)| {
            let delete = delete.expression_attribute_names(name_placeholder, name);
            delete.expression_attribute_values(value_placeholder, value.clone())
        });
    let delete = delete.condition_expression(as_read(item)).build();
    TransactWriteItem::builder().delete(delete.expect("a table and a key")).build()
}

fn begin(table: &str, message: &Message) -> TransactWriteItemsInputBuilder {
    TransactWriteItemsInput::builder().transact_items(put_new(table, message.to_item()))
}

/// A member's row after `message`. If the sender is the other member, the row takes over the sender's current name.
fn moved(row: &MessageGroup, message: &Message) -> MessageGroup {
    let other = if row.other.uuid == message.sender.uuid { &message.sender } else { &row.other };
    MessageGroup {
        last_message_at: message.created_at,
        message: message.message.clone(),
        other: other.clone(),
        ..*row
    }
}

/// Puts an item if its key is free.
fn put_new(table: &str, item: Item) -> TransactWriteItem {
    put(table, item, Some("attribute_not_exists(pk)"))
}

#[expect(clippy::expect_used, reason = "build checks only that both are set")]
fn put(table: &str, item: Item, condition: Option<&str>) -> TransactWriteItem {
    let put = Put::builder().table_name(table).set_item(Some(item));
    let put = put.set_condition_expression(condition.map(str::to_owned));
    TransactWriteItem::builder().put(put.build().expect("a table and an item")).build()
}

#[expect(clippy::expect_used, reason = "build checks only that both are set")]
fn delete_row(table: &str, row: &MemberRow) -> TransactWriteItem {
    let delete = Delete::builder()
        .table_name(table)
        .key(PARTITION_KEY, AttributeValue::S(group_key(row.group.member_uuid)))
        .key(SORT_KEY, AttributeValue::S(row.sort_key.clone()))
        .condition_expression(format!("{MESSAGE_GROUP_UUID} = :group"))
        .expression_attribute_values(":group", AttributeValue::S(row.group.message_group_uuid.to_string()));
    TransactWriteItem::builder().delete(delete.build().expect("a table and a key")).build()
}

#[cfg(test)]
mod tests;
