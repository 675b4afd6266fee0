//! Plain JSON as DynamoDB's types.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{Attribute, Item};

/// The attribute that a plain JSON value means: text S, a number N with its digits as they are written,
/// true and false BOOL, null NULL, an object M, a list L. Sets and binary have no plain form.
///
/// # Errors
/// The text is not JSON.
pub fn from_plain(text: &str) -> Result<Attribute, serde_json::Error> {
    of_raw(serde_json::from_str(text)?)
}

/// The item that a plain JSON object means; see [`from_plain`].
///
/// # Errors
/// The text is not a JSON object.
pub fn item_from_plain(text: &str) -> Result<Item, serde_json::Error> {
    map_of(text)
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
}
