//! Attribute values out of JSON, typed as DynamoDB writes them or plain, with no name given twice.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;

use crate::dynamodb::items::{Attribute, Item};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A type of DynamoDB's, as it is written. As a seed, it reads what stands behind its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Type {
    S,
    N,
    B,
    Bool,
    Null,
    M,
    L,
    Ss,
    Ns,
    Bs,
}

impl Type {
    const ALL: [Self; 10] =
        [Self::S, Self::N, Self::B, Self::Bool, Self::Null, Self::M, Self::L, Self::Ss, Self::Ns, Self::Bs];

    pub(crate) fn of(value: &Attribute) -> Self {
        match value {
            Attribute::S(_) => Self::S,
            Attribute::N(_) => Self::N,
            Attribute::B(_) => Self::B,
            Attribute::Bool(_) => Self::Bool,
            Attribute::Null(_) => Self::Null,
            Attribute::M(_) => Self::M,
            Attribute::L(_) => Self::L,
            Attribute::Ss(_) => Self::Ss,
            Attribute::Ns(_) => Self::Ns,
            Attribute::Bs(_) => Self::Bs,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
            Self::Bool => "BOOL",
            Self::Null => "NULL",
            Self::M => "M",
            Self::L => "L",
            Self::Ss => "SS",
            Self::Ns => "NS",
            Self::Bs => "BS",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl<'de> DeserializeSeed<'de> for Type {
    type Value = Attribute;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Attribute, D::Error> {
        match self {
            Self::S => String::deserialize(deserializer).map(Attribute::S),
            Self::N => String::deserialize(deserializer).map(Attribute::N),
            Self::B => String::deserialize(deserializer).map(Attribute::B),
            Self::Bool => bool::deserialize(deserializer).map(Attribute::Bool),
            Self::Null => bool::deserialize(deserializer).map(Attribute::Null),
            Self::M => Unique::<Typed>::deserialize(deserializer).map(|map| Attribute::M(map.0)),
            Self::L => Vec::<Typed>::deserialize(deserializer)
                .map(|values| Attribute::L(values.into_iter().map(Attribute::from).collect())),
            Self::Ss => Vec::deserialize(deserializer).map(Attribute::Ss),
            Self::Ns => Vec::deserialize(deserializer).map(Attribute::Ns),
            Self::Bs => Vec::deserialize(deserializer).map(Attribute::Bs),
        }
    }
}

/// A value with its type: `{"S": "text"}`.
pub(crate) struct Typed(Attribute);

impl From<Typed> for Attribute {
    fn from(value: Typed) -> Self {
        value.0
    }
}

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneMember;

        impl<'de> Visitor<'de> for OneMember {
            type Value = Typed;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a value with its type, as {\"S\": \"text\"}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Typed, A::Error> {
                let Some(kind) = map.next_key::<Type>()? else {
                    return Err(A::Error::custom("an empty object has no type"));
                };
                let value = map.next_value_seed(kind)?;
                if map.next_key::<IgnoredAny>()?.is_some() {
                    return Err(A::Error::custom("a value has one type, and here are two members"));
                }
                Ok(Typed(value))
            }
        }

        deserializer.deserialize_map(OneMember)
    }
}

/// A value of plain JSON. A number keeps the digits that it is written with.
pub(crate) struct Plain(Attribute);

impl From<Plain> for Attribute {
    fn from(value: Plain) -> Self {
        value.0
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        plain(text).map(Plain).map_err(|error| D::Error::custom(without_place(&error)))
    }
}

/// The value that a user means by a text: of DynamoDB JSON, or else of plain JSON.
///
/// # Errors
/// It is neither.
pub(crate) fn value_of(text: &str) -> Result<Attribute, String> {
    let typed = serde_json::from_str::<Typed>(text).map(Attribute::from);
    let value = typed.or_else(|_| {
        check_depth(text)?;
        serde_json::from_str::<Plain>(text).map(Attribute::from)
    });
    value.map_err(|error| error.to_string())
}

/// The most objects and lists within another that are read, as of serde_json.
const DEPTH: usize = 127;

/// Plain values are read from the outside in, each level anew, where serde_json's own limit does not hold: the
/// stack would run out.
///
/// # Errors
/// The text has more than [`DEPTH`] objects and lists within each other.
pub(crate) fn check_depth(text: &str) -> serde_json::Result<()> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            let why = format!("more than {DEPTH} objects and lists within each other");
            return Err(serde_json::Error::custom(why));
        }
    }
    Ok(())
}

/// A value whose syntax has been checked.
fn plain(text: &str) -> serde_json::Result<Attribute> {
    Ok(match text.as_bytes().first() {
        Some(b'"') => Attribute::S(serde_json::from_str(text)?),
        Some(b't') => Attribute::Bool(true),
        Some(b'f') => Attribute::Bool(false),
        Some(b'n') => Attribute::Null(true),
        Some(b'{') => Attribute::M(serde_json::from_str::<Unique<Plain>>(text)?.0),
        Some(b'[') => {
            let values: Vec<Plain> = serde_json::from_str(text)?;
            Attribute::L(values.into_iter().map(Attribute::from).collect())
        }
        _ => Attribute::N(text.to_owned()),
    })
}

/// Attributes, none of them twice, out of values in the notation `V`.
pub(crate) struct Unique<V>(pub(crate) Item, PhantomData<V>);

impl<'de, V: Deserialize<'de> + Into<Attribute>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de> + Into<Attribute>> Visitor<'de> for Members<V> {
            type Value = Unique<V>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<V>, A::Error> {
                let mut item: Item = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    match item.entry(name) {
                        Entry::Vacant(entry) => match map.next_value::<V>() {
                            Ok(value) => drop(entry.insert(value.into())),
                            Err(error) => {
                                return Err(A::Error::custom(format_args!(
                                    "attribute `{}`: {error}",
                                    entry.key()
                                )));
                            }
                        },
                        Entry::Occupied(entry) => {
                            return Err(A::Error::custom(format_args!(
                                "attribute `{}` is given twice",
                                entry.key()
                            )));
                        }
                    }
                }
                Ok(Unique(item, PhantomData))
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// An error's text for one line of a file: its place is a column alone, counted in bytes from 1.
pub(crate) fn on_one_line(error: &serde_json::Error) -> String {
    let why = without_place(error);
    if error.column() > 0 { format!("{why} (at byte {})", error.column()) } else { why }
}

/// An error's text without the place, which is another one's when only a part has been read.
pub(crate) fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_typed_or_plain() {
        for (text, typed) in [
            (r#"{"SS":["a"]}"#, r#"{"SS":["a"]}"#),
            (r#"{"SS":["a"],"b":null}"#, r#"{"M":{"SS":{"L":[{"S":"a"}]},"b":{"NULL":true}}}"#),
            ("-1.5e3", r#"{"N":"-1.5e3"}"#),
            (r#""é\n""#, r#"{"S":"é\n"}"#),
            ("true", r#"{"BOOL":true}"#),
        ] {
            assert_eq!(serde_json::to_string(&value_of(text).unwrap()).unwrap(), typed);
        }
        for text in ["", "bayko", "{", "[1,]", "01", r#"{"a":1,"a":2}"#] {
            assert!(value_of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_an_error() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(value_of(&nested(DEPTH)).is_ok());
        for deep in [DEPTH + 1, 100_000] {
            let error = value_of(&nested(deep)).unwrap_err();
            assert_eq!(error, "more than 127 objects and lists within each other");
        }
        // Brackets in a text are none.
        assert!(value_of(&format!("[\"\\\"{}\"]", nested(1_000))).is_ok());
    }
}
