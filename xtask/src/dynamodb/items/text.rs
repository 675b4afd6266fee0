//! The texts of items that are printed and forgotten.

use std::borrow::Borrow;
use std::cmp::Ordering;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A text of a response, which is not copied where it is printed as it stands. It can be read from JSON text only,
/// and is written as a value, not as a member's name.
#[derive(Debug)]
pub(crate) enum Text<'a> {
    /// A string without escapes: the text is what is between the quotes.
    Verbatim(&'a RawValue),
    Decoded(String),
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        match self {
            Self::Verbatim(json) => json.get().get(1..json.get().len() - 1).unwrap_or_default(),
            Self::Decoded(text) => text,
        }
    }
}

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        self.as_ref()
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Text<'_> {}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(other.as_ref())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?;
        if json.get().starts_with('"') && !json.get().as_bytes().contains(&b'\\') {
            return Ok(Self::Verbatim(json));
        }
        serde_json::from_str(json.get()).map(Self::Decoded).map_err(D::Error::custom)
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Verbatim(json) => json.serialize(serializer),
            Self::Decoded(text) => serializer.serialize_str(text),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_as_any_other() {
        for text in ["", "plain", "名前 é \u{7f}", "\"", "a\\b", "\n\t\u{1}", "\u{2028}"] {
            let json = serde_json::to_string(text).unwrap();
            let read: Text = serde_json::from_str(&json).unwrap();
            assert_eq!(read.as_ref(), text);
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
        }
        let escaped: Text = serde_json::from_str(r#""\u00e9\/""#).unwrap();
        assert_eq!(serde_json::to_string(&escaped).unwrap(), r#""é/""#);
    }

    #[test]
    fn what_is_no_text_is_an_error() {
        for json in ["1", "null", "[]", "{}", "\"a\nb\"", r#""\x""#] {
            assert!(serde_json::from_str::<Text>(json).is_err(), "{json}");
        }
    }
}
