//! Plain JSON as DynamoDB's types.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde_json::value::RawValue;

use crate::{Attribute, DEPTH, Item, is_too_deep};

/// The attribute that a plain JSON value means: text S, a number N with its digits as they are written,
/// true and false BOOL, null NULL, an object M, a list L. Sets and binary have no plain form.
///
/// # Errors
/// The text is not JSON, or nested too deep.
pub fn from_plain(text: &str) -> Result<Attribute, serde_json::Error> {
    check_depth(text)?;
    of_raw(serde_json::from_str(text)?)
}

/// The item that a plain JSON object means; see [`from_plain`].
///
/// # Errors
/// The text is not a JSON object, or nested too deep.
pub fn item_from_plain(text: &str) -> Result<Item, serde_json::Error> {
    check_depth(text)?;
    map_of(text)
}

fn check_depth(text: &str) -> Result<(), serde_json::Error> {
    match is_too_deep(text) {
        true => Err(serde_json::Error::custom(format_args!(
            "more than {DEPTH} objects and lists within each other"
        ))),
        false => Ok(()),
    }
}

fn map_of(text: &str) -> Result<Item, serde_json::Error> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
    members.into_iter().map(|(name, value)| Ok((name, of_raw(value)?))).collect()
}

fn of_raw(value: &RawValue) -> Result<Attribute, serde_json::Error> {
    let text = value.get();
    Ok(match text.as_bytes().first() {
        Some(b'"') => Attribute::S(serde_json::from_str(text)?),
        Some(b'{') => Attribute::M(map_of(text)?),
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(text)?;
            Attribute::L(values.into_iter().map(of_raw).collect::<Result<_, _>>()?)
        }
        Some(b't' | b'f') => Attribute::Bool(text == "true"),
        Some(b'n') => Attribute::Null(true),
        _ => Attribute::N(text.to_owned()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn plain_json_has_a_type_for_each_value() {
        let text = r#"{"s": "é\n", "n": 12345678901234567890.0123456789, "t": true, "f": false, "z": null, "l": [1, ["x"]], "m": {"a": {}}}"#;
        let typed = serde_json::to_string(&item_from_plain(text).unwrap()).unwrap();
        assert_eq!(
            typed,
            r#"{"f":{"BOOL":false},"l":{"L":[{"N":"1"},{"L":[{"S":"x"}]}]},"m":{"M":{"a":{"M":{}}}},"n":{"N":"12345678901234567890.0123456789"},"s":{"S":"é\n"},"t":{"BOOL":true},"z":{"NULL":true}}"#
        );
        assert_eq!(from_plain("-1.5e3").unwrap(), Attribute::N("-1.5e3".to_owned()));
    }

    #[test]
    fn what_is_not_json_is_an_error() {
        for text in ["", "bayko", "{", "[1,]", "01"] {
            assert!(from_plain(text).is_err(), "{text}");
        }
        assert!(item_from_plain("[]").is_err());
    }

    #[test]
    fn what_is_nested_too_deep_is_an_error() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(from_plain(&nested(DEPTH)).is_ok());
        for deep in [DEPTH + 1, 100_000] {
            let error = from_plain(&nested(deep)).unwrap_err().to_string();
            assert_eq!(error, "more than 127 objects and lists within each other");
            assert!(item_from_plain(&format!("{{\"a\":{}}}", nested(deep))).is_err());
        }
        // Brackets in a text are none.
        assert!(from_plain(&format!("[\"\\\"{}\"]", nested(1_000))).is_ok());
    }
}
