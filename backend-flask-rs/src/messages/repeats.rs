//! Whether a message is there already: a client that lost the answer to its request sends it again, with the
//! same idempotency key.

use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::item::MESSAGE_UUID;
use super::{TimeRange, conversation};

/// How long a key means the same message: as long as DynamoDB remembers a transaction's own token.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
const WINDOW: TimeDelta = TimeDelta::minutes(10);

/// The uuid of the message that `sender` sends to `group` with an idempotency key: the same however often
/// it is sent.
pub fn message_of_key(group: Uuid, sender: Uuid, key: &str) -> Uuid {
    Uuid::new_v5(&group, format!("{sender}/{key}").as_bytes())
}

/// The query for the message `uuid` of `group`, if it was sent within ten minutes before `now`. Strongly
/// consistent, newest first; a page may hold no message and not be the last.
pub fn repeated(table: &str, group: Uuid, uuid: Uuid, now: DateTime<Utc>) -> QueryInputBuilder {
    let range = TimeRange { from: now.checked_sub_signed(WINDOW), to: None };
    conversation(table, group, &range)
        .filter_expression(format!("{MESSAGE_UUID} = :uuid"))
        .expression_attribute_values(":uuid", AttributeValue::S(uuid.to_string()))
        .consistent_read(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Uuid = uuid::uuid!("5ae290ed-55d1-47a0-bc6d-fe2bc2700399");
    const ONE: Uuid = uuid::uuid!("9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01");
    const TWO: Uuid = uuid::uuid!("9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e02");

    #[test]
    fn a_key_is_its_sender_s_and_its_group_s() {
        let uuid = message_of_key(GROUP, ONE, "k");
        assert_eq!(message_of_key(GROUP, ONE, "k"), uuid);
        for other in
            [message_of_key(GROUP, TWO, "k"), message_of_key(ONE, ONE, "k"), message_of_key(GROUP, ONE, "l")]
        {
            assert_ne!(other, uuid);
        }
    }

    #[test]
    fn only_the_last_minutes_are_looked_through() -> Result<(), crate::time::ParseTimeError> {
        let query = repeated("t", GROUP, ONE, crate::time::parse("2023-03-20T14:05:09Z")?);
        assert_eq!(*query.get_consistent_read(), Some(true));
        assert_eq!(query.get_filter_expression().as_deref(), Some("message_uuid = :uuid"));
        let value = |name| query.get_expression_attribute_values().as_ref()?.get(name)?.as_s().ok().cloned();
        assert_eq!(value(":from").as_deref(), Some("2023-03-20T13:55:09.000000+00:00"));
        assert_eq!(value(":uuid"), Some(ONE.to_string()));
        Ok(())
    }
}
