//! The DynamoDB table of message groups and messages: its definition, items and access patterns.
//!
//! | item | partition key `pk` | sort key `sk` |
//! |---|---|---|
//! | [`MessageGroup`], one for each member | `GRP#<member's user uuid>` | the last message's time |
//! | [`Message`] | `MSG#<message group's uuid>` | when it was sent |
//! | idempotency key, see [`remember`] | `KEY#<message's uuid>` | `MSG#<message group's uuid>` |
//!
//! The functions build requests and send nothing. The caller handles paging, retries and the runtime.

mod item;
mod writes;

use aws_sdk_dynamodb::operation::create_table::CreateTableInput;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableInputBuilder;
use aws_sdk_dynamodb::operation::query::QueryInput;
use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ProvisionedThroughput,
    ReturnConsumedCapacity, ScalarAttributeType,
};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::time;
pub use item::{
    CREATED_AT, Item, MESSAGE, MESSAGE_GROUP_UUID, MESSAGE_UUID, MemberRow, Message, MessageGroup,
    USER_DISPLAY_NAME, USER_HANDLE, USER_UUID,
};
pub use writes::{
    LONGEST_MESSAGE, check_text, group_of_pair, message_of_key, next_time, open, post, remember, remembered,
    replace,
};

/// The table's name unless [`TABLE_VARIABLE`] is set.
pub const DEFAULT_TABLE: &str = "cruddur-messages";

/// The environment variable that overrides the table's name.
pub const TABLE_VARIABLE: &str = "DDB_MESSAGE_TABLE";

/// The message group of the seed conversation.
pub const SEED_GROUP: Uuid = uuid::uuid!("5ae290ed-55d1-47a0-bc6d-fe2bc2700399");

/// The attribute with the partition (HASH) key.
pub const PARTITION_KEY: &str = "pk";

/// The attribute with the sort (RANGE) key.
pub const SORT_KEY: &str = "sk";

/// The provisioned read capacity units, and the provisioned write capacity units.
const CAPACITY_UNITS: i64 = 5;

/// The prefix of the partition key of a [`MessageGroup`].
pub const GROUP_PREFIX: &str = "GRP#";

/// The prefix of the partition key of a [`Message`], and of the sort key of an idempotency key.
pub const MESSAGE_PREFIX: &str = "MSG#";

/// The prefix of the partition key of an idempotency key.
pub const KEY_PREFIX: &str = "KEY#";

/// The partition key of the groups of which `user` is a member.
pub fn group_key(user: Uuid) -> String {
    format!("{GROUP_PREFIX}{user}")
}

/// The partition key of the messages in `group`.
pub fn message_key(group: Uuid) -> String {
    format!("{MESSAGE_PREFIX}{group}")
}

/// The request that creates the table: string keys, no index, provisioned throughput.
///
/// The table is created asynchronously: it accepts items when DescribeTable says `ACTIVE`.
#[expect(clippy::expect_used, reason = "each builder has all that it needs")]
pub fn create_table(table: &str) -> CreateTableInputBuilder {
    let keys = [(PARTITION_KEY, KeyType::Hash), (SORT_KEY, KeyType::Range)];
    let create = keys.into_iter().fold(CreateTableInput::builder(), |create, (name, kind)| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        let attribute = attribute.attribute_type(ScalarAttributeType::S).build().expect("a name and a type");
        let key = KeySchemaElement::builder().attribute_name(name).key_type(kind);
        create.attribute_definitions(attribute).key_schema(key.build().expect("a name and a type"))
    });
    let throughput = ProvisionedThroughput::builder()
        .read_capacity_units(CAPACITY_UNITS)
        .write_capacity_units(CAPACITY_UNITS);
    create
        .table_name(table)
        .billing_mode(BillingMode::Provisioned)
        .provisioned_throughput(throughput.build().expect("read and write units"))
}

/// The query for the messages of `group` in `range`, newest first, with the consumed capacity. A response is one page
/// of at most 1 MB.
///
/// DynamoDB refuses [empty](TimeRange::is_empty) ranges.
pub fn conversation(table: &str, group: Uuid, range: &TimeRange) -> QueryInputBuilder {
    newest_first(table, message_key(group), range)
}

/// The query for the groups of `user`, newest last message first.
pub fn conversations_of(table: &str, user: Uuid) -> QueryInputBuilder {
    conversations_in(table, user, &TimeRange::default())
}

/// The query for the groups of `user` whose last message is in `range`, which must not be empty.
pub fn conversations_in(table: &str, user: Uuid, range: &TimeRange) -> QueryInputBuilder {
    newest_first(table, group_key(user), range)
}

/// The query for the row of `user` in `group`: every member has one. A page without the row need not be the last
/// page.
pub fn membership(table: &str, user: Uuid, group: Uuid) -> QueryInputBuilder {
    only(conversations_of(table, user), MESSAGE_GROUP_UUID, group)
}

/// Like [`membership`], for the group of `user` with `other`.
pub fn membership_with(table: &str, user: Uuid, other: Uuid) -> QueryInputBuilder {
    only(conversations_of(table, user), USER_UUID, other)
}

/// The query for the messages of `sender` in `group`.
pub fn messages_of(table: &str, group: Uuid, sender: Uuid) -> QueryInputBuilder {
    only(conversation(table, group, &TimeRange::default()), USER_UUID, sender)
}

/// Adds a filter for items whose `attribute` is `value`, and makes the query strongly consistent.
fn only(query: QueryInputBuilder, attribute: &str, value: Uuid) -> QueryInputBuilder {
    query
        .filter_expression(format!("{attribute} = :value"))
        .expression_attribute_values(":value", AttributeValue::S(value.to_string()))
        .consistent_read(true)
}

fn newest_first(table: &str, partition_key: String, range: &TimeRange) -> QueryInputBuilder {
    let condition = match (range.from, range.to) {
        (Some(_), Some(_)) => "pk = :pk and sk between :from and :to",
        (Some(_), None) => "pk = :pk and sk >= :from",
        (None, Some(_)) => "pk = :pk and sk <= :to",
        (None, None) => "pk = :pk",
    };
    let bounds = [(":from", range.from), (":to", range.to)];
    let bounds = bounds.into_iter().filter_map(|(name, bound)| Some((name, time::format(bound?))));
    bounds
        .chain([(":pk", partition_key)])
        .fold(QueryInput::builder(), |query, (name, value)| {
            query.expression_attribute_values(name, AttributeValue::S(value))
        })
        .table_name(table)
        .key_condition_expression(condition)
        .scan_index_forward(false)
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
}

/// A range of times, both ends included. Without an end, that side is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The start.
    pub from: Option<DateTime<Utc>>,
    /// The end.
    pub to: Option<DateTime<Utc>>,
}

impl TimeRange {
    /// The year `year` in UTC; `None` outside the years 0 to 9999, which a sort key cannot hold.
    pub fn year(year: i32) -> Option<Self> {
        let moment = |rest: &str| time::parse(&format!("{year:04}-{rest}Z")).ok();
        Some(Self { from: Some(moment("01-01T00:00:00")?), to: Some(moment("12-31T23:59:59.999999")?) })
    }

    /// Whether the range ends before it begins.
    pub fn is_empty(&self) -> bool {
        matches!((self.from, self.to), (Some(from), Some(to)) if to < from)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const USER: Uuid = uuid::uuid!("9C1F4A52-6D0E-4B7B-8A3F-1F6A0C2D7E01");
    const USER_KEY: &str = "GRP#9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01";
    const SEED_KEY: &str = "MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399";

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    /// The query's key condition, and its string values.
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

    #[test]
    fn membership_is_read_consistently_in_the_members_partition() {
        let query = membership("t", USER, SEED_GROUP);
        assert_eq!(*query.get_consistent_read(), Some(true));
        assert_eq!(query.get_filter_expression().as_deref(), Some("message_group_uuid = :value"));
        let values = HashMap::from([(":pk", USER_KEY), (":value", "5ae290ed-55d1-47a0-bc6d-fe2bc2700399")]);
        assert_eq!(condition(&query), (Some("pk = :pk"), values));
    }

    #[test]
    fn a_year_is_all_of_it() {
        let range = TimeRange::year(2024).unwrap_or_default();
        assert_eq!(
            [range.from, range.to].map(|t| t.map(time::format)),
            [
                Some("2024-01-01T00:00:00.000000+00:00".to_owned()),
                Some("2024-12-31T23:59:59.999999+00:00".to_owned()),
            ]
        );
    }

    #[test]
    fn a_year_must_be_writable() {
        let some = [-1, 0, 9999, 10_000, i32::MAX].map(|y| TimeRange::year(y).is_some());
        assert_eq!(some, [false, true, true, false, false]);
    }

    #[test]
    fn only_a_range_that_ends_before_it_begins_is_empty() -> TestResult {
        let early = Some(time::parse("2024-01-01T00:00:00Z")?);
        let late = Some(time::parse("2024-01-01T00:00:00.000001Z")?);
        let empty = |from, to| TimeRange { from, to }.is_empty();
        assert!(empty(late, early));
        assert!(!empty(early, late));
        assert!(!empty(early, early));
        assert!(!empty(late, None));
        assert!(!empty(None, early));
        assert!(!TimeRange::default().is_empty());
        Ok(())
    }
}
