//! Writes that keep a conversation and its members' lists of conversations together.
//!
//! A message and the move of both members' rows to its time are one TransactWriteItems. A sort key cannot
//! be changed, so that a row moves by being deleted under its old key and put under the new one. The
//! conditions say what was seen when the request was built: where another writer was first, the request is
//! cancelled as a whole, and the caller looks and builds it again.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html>

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsInput;
use aws_sdk_dynamodb::operation::transact_write_items::builders::TransactWriteItemsInputBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use chrono::{DateTime, TimeDelta, Utc};

use super::item::MESSAGE_GROUP_UUID;
use super::{Item, MemberRow, Message, MessageGroup, PARTITION_KEY, SORT_KEY, group_key};
use crate::time;
use crate::users::User;

/// How many characters a message may have.
pub const LONGEST_MESSAGE: usize = 1024;

/// What may become a message's text: not empty or blank, and not longer than [`LONGEST_MESSAGE`].
///
/// # Errors
///
/// What is wrong with it, to follow the words "the message".
pub fn check_text(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        return Err("is empty");
    }
    if text.chars().count() > LONGEST_MESSAGE {
        return Err("has more than 1024 characters");
    }
    Ok(())
}

/// When a message is sent that follows one of the time `last`: now, but later than that, whatever the
/// clocks of two servers say.
pub fn next_time(now: DateTime<Utc>, last: DateTime<Utc>) -> DateTime<Utc> {
    let next = time::truncate(last).checked_add_signed(TimeDelta::microseconds(1));
    next.map_or(last, |next| next.max(time::truncate(now)))
}

/// The request that puts `message` and moves both members' rows to it. It is cancelled where the message's
/// key is taken, where a row is no longer where it was seen, or where another group's row has its place.
pub fn post(table: &str, message: &Message, rows: [&MemberRow; 2]) -> TransactWriteItemsInputBuilder {
    let moves = rows.into_iter().flat_map(|row| {
        let moved = moved(&row.group, message).to_item();
        [delete_row(table, row), put_new(table, moved)]
    });
    moves.fold(begin(table, message), TransactWriteItemsInputBuilder::transact_items)
}

/// The request that puts the first `message` of a group, from `sender` to `receiver`, with a row for each.
pub fn open(
    table: &str,
    message: &Message,
    sender: &User,
    receiver: &User,
) -> TransactWriteItemsInputBuilder {
    let row = |member: &User, other: &User| {
        let group = MessageGroup {
            member_uuid: member.uuid,
            last_message_at: message.created_at,
            message_group_uuid: message.message_group_uuid,
            message: message.message.clone(),
            user_uuid: other.uuid,
            user_display_name: other.display_name.clone(),
            user_handle: other.handle.clone(),
        };
        put_new(table, group.to_item())
    };
    begin(table, message).transact_items(row(sender, receiver)).transact_items(row(receiver, sender))
}

fn begin(table: &str, message: &Message) -> TransactWriteItemsInputBuilder {
    TransactWriteItemsInput::builder().transact_items(put_new(table, message.to_item()))
}

/// A member's row after `message`. The other member sees the sender as they are called now.
fn moved(row: &MessageGroup, message: &Message) -> MessageGroup {
    let mut moved =
        MessageGroup { last_message_at: message.created_at, message: message.message.clone(), ..row.clone() };
    if row.user_uuid == message.user_uuid {
        moved.user_display_name.clone_from(&message.user_display_name);
        moved.user_handle.clone_from(&message.user_handle);
    }
    moved
}

#[expect(clippy::expect_used, reason = "build checks only that both are set")]
fn put_new(table: &str, item: Item) -> TransactWriteItem {
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(item))
        .condition_expression(format!("attribute_not_exists({PARTITION_KEY})"));
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
