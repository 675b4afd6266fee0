//! Attribute values as JSON: with their types, as DynamoDB and the AWS CLI write them, or plain.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity};
use aws_smithy_types::base64;
use backend_flask::messages::Item;
use serde::ser::{Error as _, SerializeMap as _};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// DynamoDB JSON, the keys of maps sorted: `{"S": "text"}`.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html>
pub(crate) struct DynamoDbJson<'a, T>(pub(crate) &'a T);

impl Serialize for DynamoDbJson<'_, AttributeValue> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self.0 {
            AttributeValue::S(text) => map.serialize_entry("S", text)?,
            AttributeValue::N(number) => map.serialize_entry("N", number)?,
            AttributeValue::B(bytes) => map.serialize_entry("B", &encoded(bytes))?,
            AttributeValue::Bool(value) => map.serialize_entry("BOOL", value)?,
            AttributeValue::Null(value) => map.serialize_entry("NULL", value)?,
            AttributeValue::M(attributes) => map.serialize_entry("M", &DynamoDbJson(attributes))?,
            AttributeValue::L(values) => {
                map.serialize_entry("L", &values.iter().map(DynamoDbJson).collect::<Vec<_>>())?;
            }
            AttributeValue::Ss(texts) => map.serialize_entry("SS", texts)?,
            AttributeValue::Ns(numbers) => map.serialize_entry("NS", numbers)?,
            AttributeValue::Bs(values) => {
                map.serialize_entry("BS", &values.iter().map(encoded).collect::<Vec<_>>())?;
            }
            other => {
                return Err(S::Error::custom(format!("an attribute of a type unknown to us: {other:?}")));
            }
        }
        map.end()
    }
}

impl Serialize for DynamoDbJson<'_, Item> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(sorted(self.0).into_iter().map(|(name, value)| (name, DynamoDbJson(value))))
    }
}

/// Plain JSON: what a person would write. Sets become lists, binary base64; numbers keep all their digits.
pub(crate) struct PlainJson<'a, T>(pub(crate) &'a T);

impl Serialize for PlainJson<'_, AttributeValue> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            AttributeValue::S(text) => serializer.serialize_str(text),
            AttributeValue::N(number) => plain_number(number).serialize(serializer),
            AttributeValue::B(bytes) => serializer.serialize_str(&encoded(bytes)),
            AttributeValue::Bool(value) => serializer.serialize_bool(*value),
            AttributeValue::Null(_) => serializer.serialize_unit(),
            AttributeValue::M(attributes) => PlainJson(attributes).serialize(serializer),
            AttributeValue::L(values) => serializer.collect_seq(values.iter().map(PlainJson)),
            AttributeValue::Ss(texts) => serializer.collect_seq(texts),
            AttributeValue::Ns(numbers) => {
                serializer.collect_seq(numbers.iter().map(|number| plain_number(number)))
            }
            AttributeValue::Bs(values) => serializer.collect_seq(values.iter().map(encoded)),
            other => Err(S::Error::custom(format!("an attribute of a type unknown to us: {other:?}"))),
        }
    }
}

impl Serialize for PlainJson<'_, Item> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(sorted(self.0).into_iter().map(|(name, value)| (name, PlainJson(value))))
    }
}

/// A number with the digits DynamoDB gave, no float in between; as text, should it not be one of JSON's.
#[derive(Serialize)]
#[serde(untagged)]
enum PlainNumber<'a> {
    Digits(Box<RawValue>),
    Text(&'a str),
}

fn plain_number(number: &str) -> PlainNumber<'_> {
    RawValue::from_string(number.to_owned()).map_or(PlainNumber::Text(number), PlainNumber::Digits)
}

fn encoded(bytes: &Blob) -> String {
    base64::encode(bytes.as_ref())
}

/// An item's attributes in the order of their names.
pub(crate) fn sorted(item: &Item) -> Vec<(&String, &AttributeValue)> {
    let mut attributes: Vec<_> = item.iter().collect();
    attributes.sort_unstable_by_key(|(name, _)| *name);
    attributes
}

/// What a Query or Scan answered beside its items, summed over its pages.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) count: u64,
    pub(crate) scanned_count: u64,
    /// Where a read that stopped early would go on.
    pub(crate) last_evaluated_key: Option<HashMap<String, AttributeValue>>,
    pub(crate) table: Option<String>,
    /// Capacity units, where the server reports them.
    pub(crate) capacity_units: Option<f64>,
}

impl Response {
    /// Adds one page's figures.
    pub(crate) fn add(
        &mut self,
        count: i32,
        scanned_count: i32,
        capacity: Option<&ConsumedCapacity>,
        last_evaluated_key: Option<&Item>,
    ) {
        self.count += u64::try_from(count).unwrap_or_default();
        self.scanned_count += u64::try_from(scanned_count).unwrap_or_default();
        self.last_evaluated_key = last_evaluated_key.cloned();
        if let Some(capacity) = capacity {
            self.table = capacity.table_name.clone();
            *self.capacity_units.get_or_insert_default() += capacity.capacity_units.unwrap_or_default();
        }
    }
}

/// A line for the user: how many items, and what they cost.
impl std::fmt::Display for Response {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} items", self.count)?;
        if self.scanned_count != self.count {
            write!(formatter, " of {} read", self.scanned_count)?;
        }
        match self.capacity_units {
            Some(units) => write!(formatter, "; consumed capacity: {units} units"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_written_in_both_forms() {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let item = Item::from([
            ("s".to_owned(), text("é\"\n")),
            ("n".to_owned(), AttributeValue::N("12345678901234567890123456789012345678".to_owned())),
            ("b".to_owned(), AttributeValue::B(Blob::new([1, 2, 255]))),
            ("bool".to_owned(), AttributeValue::Bool(true)),
            ("null".to_owned(), AttributeValue::Null(true)),
            (
                "m".to_owned(),
                AttributeValue::M(Item::from([("z".to_owned(), text("")), ("a".to_owned(), text("1"))])),
            ),
            ("l".to_owned(), AttributeValue::L(vec![text("x"), AttributeValue::N("-1.5E+3".to_owned())])),
            ("ss".to_owned(), AttributeValue::Ss(vec!["x".to_owned()])),
            ("ns".to_owned(), AttributeValue::Ns(vec!["1".to_owned(), "2.50".to_owned()])),
            ("bs".to_owned(), AttributeValue::Bs(vec![Blob::new([0])])),
        ]);
        let typed = serde_json::to_string(&DynamoDbJson(&item)).unwrap();
        assert_eq!(
            typed,
            r#"{"b":{"B":"AQL/"},"bool":{"BOOL":true},"bs":{"BS":["AA=="]},"l":{"L":[{"S":"x"},{"N":"-1.5E+3"}]},"m":{"M":{"a":{"S":"1"},"z":{"S":""}}},"n":{"N":"12345678901234567890123456789012345678"},"ns":{"NS":["1","2.50"]},"null":{"NULL":true},"s":{"S":"é\"\n"},"ss":{"SS":["x"]}}"#
        );
        let plain = serde_json::to_string(&PlainJson(&item)).unwrap();
        assert_eq!(
            plain,
            r#"{"b":"AQL/","bool":true,"bs":["AA=="],"l":["x",-1.5E+3],"m":{"a":"1","z":""},"n":12345678901234567890123456789012345678,"ns":[1,2.50],"null":null,"s":"é\"\n","ss":["x"]}"#
        );
    }
}
