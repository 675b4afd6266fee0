//! Items as JSON, in both notations: DynamoDB JSON (`{"n": {"N": "1"}}`) and plain JSON (`{"n": 1}`).
//!
//! Writing sorts names, keeps all digits of numbers, and encodes binary as base64. In plain JSON sets become lists.
//! Reading rejects duplicate names and keeps the digits of numbers.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html>

use std::fmt;

use aws_sdk_dynamodb::primitives::Blob;
use aws_smithy_types::base64;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(crate) use aws_sdk_dynamodb::types::AttributeValue;
pub(crate) use backend_flask::messages::Item;

use crate::text::shortened;

/// An item's attributes, sorted by name.
pub(crate) fn sorted(item: &Item) -> Vec<(&String, &AttributeValue)> {
    let mut attributes: Vec<_> = item.iter().collect();
    attributes.sort_unstable_by_key(|(name, _)| *name);
    attributes
}

/// How values are written as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    /// DynamoDB JSON: `{"n": {"N": "1"}}`.
    Typed,
    /// Plain JSON: `{"n": 1}`.
    Plain,
}

/// Serializes an item or a value.
pub(crate) struct Json<'a, T>(pub(crate) &'a T, pub(crate) Notation);

impl Serialize for Json<'_, Item> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let attributes = sorted(self.0).into_iter();
        serializer.collect_map(attributes.map(|(name, value)| (name, Json(value, self.1))))
    }
}

impl Serialize for Json<'_, AttributeValue> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let content = Content(self.0, self.1);
        match (self.1, Type::of(self.0)) {
            (Notation::Typed, Some(kind)) => serializer.collect_map([(kind.name(), content)]),
            _ => content.serialize(serializer),
        }
    }
}

/// Serializes a value without its type.
pub(crate) struct Content<'a>(pub(crate) &'a AttributeValue, pub(crate) Notation);

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, notation) = *self;
        let is_plain = notation == Notation::Plain;
        match value {
            AttributeValue::N(number) if is_plain => match json_number(number) {
                Some(digits) => digits.serialize(serializer),
                None => serializer.serialize_str(number),
            },
            AttributeValue::Ns(numbers) if is_plain => {
                let numbers: Vec<_> = numbers.iter().cloned().map(AttributeValue::N).collect();
                serializer.collect_seq(numbers.iter().map(|number| Json(number, notation)))
            }
            AttributeValue::Null(_) if is_plain => serializer.serialize_unit(),
            AttributeValue::S(text) | AttributeValue::N(text) => serializer.serialize_str(text),
            AttributeValue::B(bytes) => serializer.serialize_str(&base64::encode(bytes)),
            AttributeValue::Bool(value) | AttributeValue::Null(value) => serializer.serialize_bool(*value),
            AttributeValue::M(item) => Json(item, notation).serialize(serializer),
            AttributeValue::L(values) => {
                serializer.collect_seq(values.iter().map(|value| Json(value, notation)))
            }
            AttributeValue::Ss(texts) | AttributeValue::Ns(texts) => serializer.collect_seq(texts),
            AttributeValue::Bs(elements) => serializer.collect_seq(elements.iter().map(base64::encode)),
            // This version of the SDK does not know the type.
            _ => Err(S::Error::custom("a value of a type that is not known here")),
        }
    }
}

/// A number with exactly the digits that DynamoDB gave; `None` if it is not a JSON number.
fn json_number(text: &str) -> Option<&RawValue> {
    // The value must be a number, not other JSON such as a list.
    let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let digits: &RawValue = serde_json::from_str(text).ok().filter(|_| is_number)?;
    // `RawValue` leaves out blanks around the number.
    Some(digits).filter(|digits| digits.get().len() == text.len())
}

/// The names of DynamoDB's types.
const TYPES: [&str; 10] = ["S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"];

/// A DynamoDB type. As a serde seed it reads the value after the type's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Type(&'static str);

impl Type {
    pub(crate) const S: Self = Self("S");

    /// The type of a value; `None` if this version of the SDK does not know it.
    pub(crate) fn of(value: &AttributeValue) -> Option<Self> {
        Some(Self(match value {
            AttributeValue::S(_) => "S",
            AttributeValue::N(_) => "N",
            AttributeValue::B(_) => "B",
            AttributeValue::Bool(_) => "BOOL",
            AttributeValue::Null(_) => "NULL",
            AttributeValue::M(_) => "M",
            AttributeValue::L(_) => "L",
            AttributeValue::Ss(_) => "SS",
            AttributeValue::Ns(_) => "NS",
            AttributeValue::Bs(_) => "BS",
            _ => return None,
        }))
    }

    pub(crate) fn name(self) -> &'static str {
        self.0
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        TYPES.into_iter().find(|known| *known == name).map(Self)
    }
}

impl<'de> DeserializeSeed<'de> for Type {
    type Value = AttributeValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<AttributeValue, D::Error> {
        let blob = |text: String| bytes(&text).map_err(D::Error::custom);
        match self.0 {
            "S" => String::deserialize(deserializer).map(AttributeValue::S),
            "N" => String::deserialize(deserializer).map(AttributeValue::N),
            "B" => String::deserialize(deserializer).and_then(blob).map(AttributeValue::B),
            "BOOL" => bool::deserialize(deserializer).map(AttributeValue::Bool),
            "NULL" => bool::deserialize(deserializer).map(AttributeValue::Null),
            "M" => Attributes(Notation::Typed).deserialize(deserializer).map(AttributeValue::M),
            "L" => {
                let values = Vec::<Typed>::deserialize(deserializer)?;
                Ok(AttributeValue::L(values.into_iter().map(|value| value.0).collect()))
            }
            "SS" => Vec::deserialize(deserializer).map(AttributeValue::Ss),
            "NS" => Vec::deserialize(deserializer).map(AttributeValue::Ns),
            _ => {
                let texts = Vec::<String>::deserialize(deserializer)?;
                texts.into_iter().map(blob).collect::<Result<_, _>>().map(AttributeValue::Bs)
            }
        }
    }
}

/// An element of a list, with its type.
struct Typed(AttributeValue);

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Notation::Typed.deserialize(deserializer).map(Self)
    }
}

/// Decodes base64: the standard alphabet, padded, without surplus bits.
pub(crate) fn bytes(text: &str) -> Result<Blob, String> {
    let bytes = base64::decode(text).ok().filter(|bytes| base64::encode(bytes) == text);
    bytes.map(Blob::new).ok_or_else(|| format!("`{}` is not base64", shortened(text, SHOWN)))
}

/// How many characters of a value an error shows.
pub(super) const SHOWN: usize = 60;

/// Parses a text by a serde seed: a [`Notation`], a [`Type`] or [`Attributes`].
pub(crate) fn parsed<'de, S: DeserializeSeed<'de>>(text: &'de str, seed: S) -> serde_json::Result<S::Value> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut json)?;
    json.end().map(|()| value)
}

/// As a serde seed, a notation reads a value.
impl<'de> DeserializeSeed<'de> for Notation {
    type Value = AttributeValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<AttributeValue, D::Error> {
        match self {
            Self::Typed => deserializer.deserialize_map(OneMember),
            Self::Plain => {
                let text = <&RawValue>::deserialize(deserializer)?.get();
                plain(text).map_err(|error| D::Error::custom(without_place(&error)))
            }
        }
    }
}

/// An object that has a value's type as its only member.
struct OneMember;

impl<'de> Visitor<'de> for OneMember {
    type Value = AttributeValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value with its type, as {\"S\": \"text\"}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AttributeValue, A::Error> {
        let Some(name) = map.next_key::<String>()? else {
            return Err(A::Error::custom("an empty object has no type"));
        };
        let Some(kind) = Type::named(&name) else {
            let types = TYPES.join("`, `");
            return Err(A::Error::custom(format_args!("`{name}` is none of DynamoDB's types `{types}`")));
        };
        let value = map.next_value_seed(kind)?;
        if map.next_key::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("a value has one type, and here are two members"));
        }
        Ok(value)
    }
}

/// Parses a value whose syntax has been checked. A number keeps its digits.
fn plain(text: &str) -> serde_json::Result<AttributeValue> {
    Ok(match text.as_bytes().first() {
        Some(b'"') => AttributeValue::S(serde_json::from_str(text)?),
        Some(b't') => AttributeValue::Bool(true),
        Some(b'f') => AttributeValue::Bool(false),
        Some(b'n') => AttributeValue::Null(true),
        Some(b'{') => AttributeValue::M(parsed(text, Attributes(Notation::Plain))?),
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(text)?;
            let values = values.into_iter().map(|value| plain(value.get()));
            AttributeValue::L(values.collect::<Result<_, _>>()?)
        }
        _ => AttributeValue::N(text.to_owned()),
    })
}

/// A value that a user typed: DynamoDB JSON, or else plain JSON.
///
/// # Errors
/// It is neither.
pub(crate) fn value_of(text: &str) -> Result<AttributeValue, String> {
    let value = parsed(text, Notation::Typed).or_else(|_| {
        check_depth(text)?;
        parsed(text, Notation::Plain)
    });
    value.map_err(|error| error.to_string())
}

/// Checks the nesting of objects and lists, because plain values are read level by level, where serde_json's own limit
/// does not apply and the stack could overflow.
///
/// # Errors
/// The text has more of them within each other than serde_json permits. Other mistakes are no errors here.
pub(crate) fn check_depth(text: &str) -> serde_json::Result<()> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Err(error) if error.to_string().starts_with("recursion limit exceeded") => {
            Err(serde::de::Error::custom("more than 127 objects and lists within each other"))
        }
        _ => Ok(()),
    }
}

/// As a serde seed: attributes with unique names, whose values are in this notation.
pub(crate) struct Attributes(pub(crate) Notation);

impl<'de> DeserializeSeed<'de> for Attributes {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Attributes {
    type Value = Item;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
        let mut item = Item::new();
        while let Some(name) = map.next_key::<String>()? {
            if item.contains_key(&name) {
                return Err(A::Error::custom(format_args!("attribute `{name}` is given twice")));
            }
            let value = map.next_value_seed(self.0);
            let value =
                value.map_err(|error| A::Error::custom(format_args!("attribute `{name}`: {error}")))?;
            item.insert(name, value);
        }
        Ok(item)
    }
}

/// The text of an error without its position, which is wrong if only a part of the text was read.
pub(crate) fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    in_json_s_words(text.strip_suffix(&place).unwrap_or(&text))
}

/// Replaces Rust's type names in an error with JSON's.
fn in_json_s_words(text: &str) -> String {
    if let Some((before, problem)) = text.split_once("invalid type: ")
        && let Some((found, expected)) = problem.split_once(", expected ")
    {
        let found = match found.split_once(" `") {
            Some(("integer" | "floating point", number)) => format!("the number `{number}"),
            _ if found == "sequence" => "a list".to_owned(),
            _ if found == "map" => "an object".to_owned(),
            _ => found.to_owned(),
        };
        return format!("{before}expected {expected}, found {found}");
    }
    text.to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    const TYPED: &str = r#"{"b":{"B":"AQL/"},"bool":{"BOOL":true},"bs":{"BS":["AA=="]},"l":{"L":[{"S":"x"},{"N":"-1.5E+3"}]},"m":{"M":{"a":{"S":"1"},"z":{"S":""}}},"n":{"N":"12345678901234567890123456789012345678"},"ns":{"NS":["1","2.50"]},"null":{"NULL":true},"s":{"S":"é\"\n"},"ss":{"SS":["x"]}}"#;

    #[test]
    fn every_type_is_read_and_written_in_both_notations() {
        let item = parsed(TYPED, Attributes(Notation::Typed)).unwrap();
        assert_eq!(serde_json::to_string(&Json(&item, Notation::Typed)).unwrap(), TYPED);
        let plain = serde_json::to_string(&Json(&item, Notation::Plain)).unwrap();
        assert_eq!(
            plain,
            r#"{"b":"AQL/","bool":true,"bs":["AA=="],"l":["x",-1.5E+3],"m":{"a":"1","z":""},"n":12345678901234567890123456789012345678,"ns":[1,2.50],"null":null,"s":"é\"\n","ss":["x"]}"#
        );
    }

    #[test]
    fn invalid_numbers_are_printed_as_text() {
        for text in ["[1,\n2]", "", "null", " 1", "+5", "00042", ".5", "5.", "1\n2", "1 "] {
            let plain =
                serde_json::to_string(&Json(&AttributeValue::N(text.to_owned()), Notation::Plain)).unwrap();
            assert_eq!(plain, serde_json::to_string(text).unwrap());
        }
    }

    #[test]
    fn binary_is_base64_in_its_one_form() {
        for good in ["", "AA==", "AQL/", "+A==", "AAE=", "AAAAAA=="] {
            assert!(bytes(good).is_ok(), "{good}");
        }
        for bad in ["A", "AA", "AA=", "AB==", "AAF=", "AA-_", "AA==AA==", "====", "A===", "=AAA", "AA\n="] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_is_typed_or_plain() {
        for (text, typed) in [
            (r#"{"SS":["a"]}"#, r#"{"SS":["a"]}"#),
            (r#"{"SS":["a"],"b":null}"#, r#"{"M":{"SS":{"L":[{"S":"a"}]},"b":{"NULL":true}}}"#),
            ("-1.5e3", r#"{"N":"-1.5e3"}"#),
            (r#""é\n""#, r#"{"S":"é\n"}"#),
            ("true", r#"{"BOOL":true}"#),
        ] {
            assert_eq!(
                serde_json::to_string(&Json(&value_of(text).unwrap(), Notation::Typed)).unwrap(),
                typed
            );
        }
        for text in ["", "bayko", "{", "[1,]", "01", r#"{"a":1,"a":2}"#] {
            assert!(value_of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn too_deep_nesting_is_an_error() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(value_of(&nested(127)).is_ok());
        for deep in [128, 100_000] {
            let error = value_of(&nested(deep)).unwrap_err();
            assert_eq!(error, "more than 127 objects and lists within each other");
        }
        // Brackets inside a string do not count.
        assert!(value_of(&format!("[\"\\\"{}\"]", nested(1_000))).is_ok());
    }
}
