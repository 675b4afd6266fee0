//! The DynamoDB table of message groups and messages: its definition and its access patterns.
//!
//! | item | partition key `pk` | sort key `sk` |
//! |---|---|---|
//! | [`MessageGroup`], one for each member | `GRP#<member's user uuid>` | the last message's time |
//! | [`Message`] | `MSG#<message group's uuid>` | when it was sent |
//!
//! The functions build requests and send nothing (`send_with` does, given a client): the caller owns
//! paging, retries and the runtime.

mod item;
mod membership;
mod range;
mod repeats;
mod writes;

use aws_sdk_dynamodb::operation::create_table::CreateTableInput;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableInputBuilder;
use aws_sdk_dynamodb::operation::query::QueryInput;
use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ProvisionedThroughput,
    ReturnConsumedCapacity, ScalarAttributeType,
};
use uuid::Uuid;

pub use item::{Attributes, Item, ItemError, Message, MessageGroup, Problem, item_of};
pub use membership::{MemberRow, group_of_pair, membership, membership_with};
pub use range::TimeRange;
pub use repeats::{message_of_key, repeated};
pub use writes::{LONGEST_MESSAGE, check_text, next_time, open, post};

/// The table's name where [`TABLE_VARIABLE`] does not give another.
pub const DEFAULT_TABLE: &str = "cruddur-messages";

/// The environment variable that overrides the table's name.
pub const TABLE_VARIABLE: &str = "DDB_MESSAGE_TABLE";

/// The uuid of the message group that the seed conversation belongs to.
pub const SEED_GROUP: Uuid = uuid::uuid!("5ae290ed-55d1-47a0-bc6d-fe2bc2700399");

/// The attribute that is the partition (HASH) key.
pub const PARTITION_KEY: &str = "pk";

/// The attribute that is the sort (RANGE) key.
pub const SORT_KEY: &str = "sk";

/// What the table is provisioned with, of each of read and write capacity units.
const CAPACITY_UNITS: i64 = 5;

const GROUP_PREFIX: &str = "GRP#";
const MESSAGE_PREFIX: &str = "MSG#";

/// The condition that chooses the partition.
const KEY_CONDITION: &str = "pk = :pk";

/// The partition key of the message groups that `user` is a member of.
pub fn group_key(user: Uuid) -> String {
    format!("{GROUP_PREFIX}{user}")
}

/// The partition key of the messages in `group`.
pub fn message_key(group: Uuid) -> String {
    format!("{MESSAGE_PREFIX}{group}")
}

/// The request that creates the table: both keys strings, no index, provisioned throughput.
///
/// Creating is asynchronous: the table takes items once DescribeTable says `ACTIVE`.
pub fn create_table(table: &str) -> CreateTableInputBuilder {
    CreateTableInput::builder()
        .table_name(table)
        .attribute_definitions(string_attribute(PARTITION_KEY))
        .attribute_definitions(string_attribute(SORT_KEY))
        .key_schema(key(PARTITION_KEY, KeyType::Hash))
        .key_schema(key(SORT_KEY, KeyType::Range))
        .billing_mode(BillingMode::Provisioned)
        .provisioned_throughput(throughput())
}

#[expect(clippy::expect_used, reason = "build checks only that both are set")]
fn string_attribute(name: &str) -> AttributeDefinition {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(ScalarAttributeType::S)
        .build()
        .expect("a name and a type")
}

#[expect(clippy::expect_used, reason = "build checks only that both are set")]
fn key(name: &str, key_type: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(key_type).build().expect("a name and a type")
}

#[expect(clippy::expect_used, reason = "build checks only that both are set")]
fn throughput() -> ProvisionedThroughput {
    ProvisionedThroughput::builder()
        .read_capacity_units(CAPACITY_UNITS)
        .write_capacity_units(CAPACITY_UNITS)
        .build()
        .expect("read and write units")
}

/// The query for the messages of `group` that were sent in `range`, newest first, with the capacity it
/// consumes. One response is one page, of `limit` items if the caller sets it and at most 1 MB.
///
/// DynamoDB refuses a range that [is empty](TimeRange::is_empty).
pub fn conversation(table: &str, group: Uuid, range: &TimeRange) -> QueryInputBuilder {
    in_range(newest_first(table, message_key(group)), range)
}

/// The query for the message groups that `user` is a member of, the one with the newest message first,
/// with the capacity it consumes. One response is one page, of at most 1 MB.
pub fn conversations_of(table: &str, user: Uuid) -> QueryInputBuilder {
    newest_first(table, group_key(user)).key_condition_expression(KEY_CONDITION)
}

/// The same for the groups whose last message was sent in `range`, which must not be empty.
pub fn conversations_in(table: &str, user: Uuid, range: &TimeRange) -> QueryInputBuilder {
    in_range(newest_first(table, group_key(user)), range)
}

fn in_range(query: QueryInputBuilder, range: &TimeRange) -> QueryInputBuilder {
    let (condition, bounds) = range.sort_key_condition();
    let condition = match condition {
        Some(condition) => format!("{KEY_CONDITION} and {condition}"),
        None => KEY_CONDITION.to_owned(),
    };
    bounds
        .into_iter()
        .fold(query, |query, (name, value)| query.expression_attribute_values(name, AttributeValue::S(value)))
        .key_condition_expression(condition)
}

fn newest_first(table: &str, partition_key: String) -> QueryInputBuilder {
    QueryInput::builder()
        .table_name(table)
        .expression_attribute_values(":pk", AttributeValue::S(partition_key))
        .scan_index_forward(false)
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::time;

    const USER: Uuid = uuid::uuid!("9C1F4A52-6D0E-4B7B-8A3F-1F6A0C2D7E01");
    const USER_KEY: &str = "GRP#9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01";
    const SEED_KEY: &str = "MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399";

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    /// The query's key condition and the strings in it.
    fn condition(query: &QueryInputBuilder) -> (Option<&str>, HashMap<&str, &str>) {
        let values = query.get_expression_attribute_values().iter().flatten();
        let values = values.filter_map(|(name, value)| Some((&**name, &**value.as_s().ok()?)));
        let condition = query.get_key_condition_expression().as_deref();
        (condition, values.collect())
    }

    #[track_caller]
    fn assert_newest_first_with_capacity(query: &QueryInputBuilder) {
        assert_eq!(query.get_table_name().as_deref(), Some("t"));
        assert_eq!(*query.get_scan_index_forward(), Some(false));
        let capacity = query.get_return_consumed_capacity();
        assert_eq!(capacity, &Some(ReturnConsumedCapacity::Total));
        assert_eq!(*query.get_limit(), None);
    }

    #[test]
    fn keys_are_lower_case() {
        assert_eq!(group_key(USER), USER_KEY);
        assert_eq!(message_key(SEED_GROUP), SEED_KEY);
    }

    #[test]
    fn conversations_of_a_user() {
        let query = conversations_of("t", USER);
        assert_newest_first_with_capacity(&query);
        let values = HashMap::from([(":pk", USER_KEY)]);
        assert_eq!(condition(&query), (Some("pk = :pk"), values));
    }

    #[test]
    fn conversation_of_all_times() {
        let query = conversation("t", SEED_GROUP, &TimeRange::default());
        assert_newest_first_with_capacity(&query);
        let values = HashMap::from([(":pk", SEED_KEY)]);
        assert_eq!(condition(&query), (Some("pk = :pk"), values));
    }

    #[test]
    fn conversation_in_a_range() -> TestResult {
        let from = Some(time::parse("2023-03-20T14:05:09+01:00")?);
        let to = Some(time::parse("2024-03-20T14:05:09.25Z")?);
        let (pk, from_value, to_value) = (
            (":pk", SEED_KEY),
            (":from", "2023-03-20T13:05:09.000000+00:00"),
            (":to", "2024-03-20T14:05:09.250000+00:00"),
        );
        for (from, to, expected, values) in [
            (from, to, "pk = :pk and sk between :from and :to", vec![pk, from_value, to_value]),
            (from, None, "pk = :pk and sk >= :from", vec![pk, from_value]),
            (None, to, "pk = :pk and sk <= :to", vec![pk, to_value]),
        ] {
            let query = conversation("t", SEED_GROUP, &TimeRange { from, to });
            assert_newest_first_with_capacity(&query);
            let values = values.into_iter().collect();
            assert_eq!(condition(&query), (Some(expected), values));
        }
        Ok(())
    }

    #[test]
    fn table_definition() -> TestResult {
        let table = create_table("t").build()?;
        assert_eq!(table.table_name(), Some("t"));
        let attributes = table.attribute_definitions().iter();
        let attributes = attributes.map(|a| (a.attribute_name(), a.attribute_type().as_str()));
        assert_eq!(attributes.collect::<Vec<_>>(), [("pk", "S"), ("sk", "S")]);
        let keys = table.key_schema().iter();
        let keys = keys.map(|k| (k.attribute_name(), k.key_type().as_str()));
        assert_eq!(keys.collect::<Vec<_>>(), [("pk", "HASH"), ("sk", "RANGE")]);
        assert_eq!(table.billing_mode(), Some(&BillingMode::Provisioned));
        let units = table.provisioned_throughput();
        let units = units.map(|u| (u.read_capacity_units(), u.write_capacity_units()));
        assert_eq!(units, Some((5, 5)));
        assert!(table.global_secondary_indexes().is_empty());
        assert!(table.local_secondary_indexes().is_empty());
        Ok(())
    }
}
