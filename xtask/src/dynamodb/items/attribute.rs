//! Attribute values, with their types as DynamoDB and the AWS CLI write them, or plain.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::dynamodb::items::text::Text;

/// An item: its attributes in the order of their names. `T` is what holds a text.
pub(crate) type Item<T = String> = BTreeMap<T, Attribute<T>>;

/// An attribute's value. Its serialized form is DynamoDB JSON: `{"S": "text"}`. Numbers keep all their
/// digits, and binary stays the base64 that it is in a response.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(serialize = "T: AsRef<str> + Serialize", deserialize = "T: Deserialize<'de> + Ord"))]
pub(crate) enum Attribute<T = String> {
    /// A text.
    S(T),
    /// A number.
    N(T),
    /// Bytes, in base64.
    B(T),
    /// True or false.
    #[serde(rename = "BOOL")]
    Bool(bool),
    /// Null; the value is always true.
    #[serde(rename = "NULL")]
    Null(bool),
    /// A map.
    #[serde(serialize_with = "members")]
    M(Item<T>),
    /// A list.
    L(Vec<Self>),
    /// A set of texts.
    #[serde(rename = "SS")]
    Ss(Vec<T>),
    /// A set of numbers.
    #[serde(rename = "NS")]
    Ns(Vec<T>),
    /// A set of byte strings, each in base64.
    #[serde(rename = "BS")]
    Bs(Vec<T>),
}

/// Plain JSON: what a person would write. Sets become lists, binary base64; numbers keep all their digits.
pub(crate) struct PlainJson<'a, T>(pub(crate) &'a T);

impl<T: AsRef<str> + Serialize> Serialize for PlainJson<'_, Attribute<T>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Attribute::S(text) | Attribute::B(text) => text.serialize(serializer),
            Attribute::N(number) => plain_number(number.as_ref()).serialize(serializer),
            Attribute::Bool(value) => serializer.serialize_bool(*value),
            Attribute::Null(_) => serializer.serialize_unit(),
            Attribute::M(attributes) => PlainJson(attributes).serialize(serializer),
            Attribute::L(values) => serializer.collect_seq(values.iter().map(PlainJson)),
            Attribute::Ss(texts) | Attribute::Bs(texts) => serializer.collect_seq(texts),
            Attribute::Ns(numbers) => {
                serializer.collect_seq(numbers.iter().map(|number| plain_number(number.as_ref())))
            }
        }
    }
}

impl<T: AsRef<str> + Serialize> Serialize for PlainJson<'_, Item<T>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name.as_ref(), PlainJson(value))))
    }
}

/// DynamoDB JSON.
pub(crate) struct TypedJson<'a>(pub(crate) &'a Item<Text<'a>>);

impl Serialize for TypedJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        members(self.0, serializer)
    }
}

fn members<T: AsRef<str> + Serialize, S: Serializer>(
    item: &Item<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(item.iter().map(|(name, value)| (name.as_ref(), value)))
}

/// A number with the digits DynamoDB gave, no float in between; as text, should it not be one of JSON's.
#[derive(Serialize)]
#[serde(untagged)]
enum PlainNumber<'a> {
    Digits(&'a RawValue),
    Text(&'a str),
}

fn plain_number(number: &str) -> PlainNumber<'_> {
    // What begins so and is JSON is a number, and no list with a line end in it, say.
    if !number.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return PlainNumber::Text(number);
    }
    match serde_json::from_str::<&RawValue>(number) {
        // Blanks around it are left out of the value.
        Ok(digits) if digits.get().len() == number.len() => PlainNumber::Digits(digits),
        _ => PlainNumber::Text(number),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    const TYPED: &str = r#"{"b":{"B":"AQL/"},"bool":{"BOOL":true},"bs":{"BS":["AA=="]},"l":{"L":[{"S":"x"},{"N":"-1.5E+3"}]},"m":{"M":{"a":{"S":"1"},"z":{"S":""}}},"n":{"N":"12345678901234567890123456789012345678"},"ns":{"NS":["1","2.50"]},"null":{"NULL":true},"s":{"S":"é\"\n"},"ss":{"SS":["x"]}}"#;

    #[test]
    fn every_type_is_read_and_written_in_both_forms() {
        let item: Item = serde_json::from_str(TYPED).unwrap();
        assert_eq!(serde_json::to_string(&item).unwrap(), TYPED);
        let plain = serde_json::to_string(&PlainJson(&item)).unwrap();
        assert_eq!(
            plain,
            r#"{"b":"AQL/","bool":true,"bs":["AA=="],"l":["x",-1.5E+3],"m":{"a":"1","z":""},"n":12345678901234567890123456789012345678,"ns":[1,2.50],"null":null,"s":"é\"\n","ss":["x"]}"#
        );
    }

    #[test]
    fn what_is_no_number_is_printed_as_text() {
        for text in ["[1,\n2]", "", "null", " 1", "+5", "00042", ".5", "5.", "1\n2", "1 "] {
            let plain = serde_json::to_string(&PlainJson(&Attribute::N(text.to_owned()))).unwrap();
            assert_eq!(plain, serde_json::to_string(text).unwrap());
        }
    }

    #[test]
    fn a_type_unknown_to_us_is_an_error_that_names_it() {
        let error = serde_json::from_str::<Attribute>(r#"{"X":"y"}"#).unwrap_err().to_string();
        assert!(error.contains("unknown variant `X`"), "{error}");
    }
}
