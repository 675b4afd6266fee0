//! The requests and answers of BatchWriteItem, as text.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>

use std::collections::{BTreeMap, HashSet};

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;

use crate::Item;

/// How many bytes the text of an item is likely to take at most. To make room again and again costs as much as
/// to write.
const TEXT: usize = 1024;

/// A request to put or to delete an item.
pub struct WriteRequest {
    /// The attributes that are the item's key, as text.
    pub key: String,
    /// The request, in JSON.
    pub text: String,
}

impl WriteRequest {
    /// Puts an item into a table whose keys have these names.
    pub fn put(item: &Item, keys: &[&str]) -> Self {
        Self { key: key_text(item, keys), text: put(item) }
    }

    /// As [`WriteRequest::put`], where each attribute is a string.
    pub fn put_strings(item: &[(&str, String)], keys: &[&str]) -> Self {
        let of = |name| item.iter().filter(move |attribute| attribute.0 == name);
        let key = keys.iter().flat_map(|name| of(*name)).map(|(_, value)| StringAttribute { s: value });
        Self { key: text(&key.collect::<Vec<_>>()), text: put(&Strings(item)) }
    }

    /// Deletes the item that has this key, from a table whose keys have these names.
    pub fn delete(key: &Item, keys: &[&str]) -> Self {
        let text = text_between("{\"DeleteRequest\":{\"Key\":", key, "}}");
        Self { key: key_text(key, keys), text }
    }
}

fn put(item: &impl Serialize) -> String {
    text_between("{\"PutRequest\":{\"Item\":", item, "}}")
}

/// An item whose attributes are all strings.
struct Strings<'a>(&'a [(&'a str, String)]);

impl Serialize for Strings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, &StringAttribute { s: value })?;
        }
        map.end()
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct StringAttribute<'a> {
    s: &'a str,
}

/// Keys, as [`WriteRequest::key`] has them.
// A set of the standard library's own is compiled, unoptimised, by who uses it.
#[derive(Default)]
pub struct KeySet(HashSet<String>);

impl KeySet {
    /// Whether this one is there.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains(key)
    }

    /// Adds one.
    pub fn insert(&mut self, key: &str) {
        self.0.insert(key.to_owned());
    }

    /// Takes one out.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }
}

/// The attributes that are an item's key, as text: two items of a table that have the same are one.
pub fn key_text(item: &Item, names: &[&str]) -> String {
    text(&names.iter().filter_map(|name| item.get(*name)).collect::<Vec<_>>())
}

/// BatchWriteItem's body for these requests to one table.
pub fn batch_body<'a>(table: &str, requests: impl Iterator<Item = &'a str>) -> String {
    let mut body = format!("{{\"RequestItems\":{{{}:[", text(&table));
    for (index, request) in requests.enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(request);
    }
    body.push_str("]}}");
    body
}

/// The requests that BatchWriteItem handed back in its answer's body.
///
/// # Errors
/// The body is not an answer of BatchWriteItem.
pub fn unprocessed(body: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body<'a> {
        #[serde(borrow)]
        unprocessed_items: BTreeMap<String, Vec<&'a RawValue>>,
    }
    let body: Body = serde_json::from_slice(body)?;
    Ok(body.unprocessed_items.into_values().flatten().map(|request| request.get().to_owned()).collect())
}

fn text(value: &impl Serialize) -> String {
    text_between("", value, "")
}

/// JSON between two texts. What is given here can always be written as JSON: it is texts, in lists and maps.
fn text_between(before: &str, value: &impl Serialize, after: &str) -> String {
    let mut text = Vec::with_capacity(TEXT);
    text.extend_from_slice(before.as_bytes());
    serde_json::to_writer(&mut text, value).unwrap_or_default();
    text.extend_from_slice(after.as_bytes());
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::Attribute;

    #[test]
    fn a_batch_is_what_the_api_takes() {
        let attribute = |name: &str, value: Attribute| (name.to_owned(), value);
        let item = Item::from([
            attribute("pk", Attribute::S("a\"".to_owned())),
            attribute("sk", Attribute::N("1".to_owned())),
        ]);
        let keys = ["sk", "pk"];
        let requests = [WriteRequest::put(&item, &keys), WriteRequest::delete(&item, &keys)];
        assert_eq!(
            batch_body("t", requests.iter().map(|request| request.text.as_str())),
            r#"{"RequestItems":{"t":[{"PutRequest":{"Item":{"pk":{"S":"a\""},"sk":{"N":"1"}}}},{"DeleteRequest":{"Key":{"pk":{"S":"a\""},"sk":{"N":"1"}}}}]}}"#
        );
        for request in requests {
            assert_eq!(request.key, r#"[{"N":"1"},{"S":"a\""}]"#);
        }
    }

    #[test]
    fn an_item_of_strings_is_put_as_any_other() {
        let strings =
            [("pk", "a\""), ("sk", "1"), ("message", "é")].map(|(name, value)| (name, value.to_owned()));
        let item = strings.clone().map(|(name, value)| (name.to_owned(), Attribute::S(value))).into();
        let keys = ["pk", "sk"];
        let [any, of_strings] = [WriteRequest::put(&item, &keys), WriteRequest::put_strings(&strings, &keys)];
        let [any_json, json] = [&any, &of_strings]
            .map(|request| serde_json::from_str::<serde_json::Value>(&request.text).unwrap());
        assert_eq!((of_strings.key, json), (any.key, any_json));
    }

    #[test]
    fn keys_come_and_go() {
        let mut keys = KeySet::default();
        keys.insert("a");
        assert!(keys.contains("a") && !keys.contains("b"));
        keys.remove("a");
        assert!(!keys.contains("a"));
    }

    #[test]
    fn what_is_handed_back_is_found() {
        assert!(unprocessed(br#"{"UnprocessedItems":{}}"#).unwrap().is_empty());
        let body =
            br#"{"UnprocessedItems":{"t":[{"PutRequest":{"Item":{}}}, {"DeleteRequest":{"Key":{}}}]}}"#;
        let expected = [r#"{"PutRequest":{"Item":{}}}"#, r#"{"DeleteRequest":{"Key":{}}}"#];
        assert_eq!(unprocessed(body).unwrap(), expected);
        for other in ["[]", "{}"] {
            assert!(unprocessed(other.as_bytes()).is_err(), "{other}");
        }
    }
}
