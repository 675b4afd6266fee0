//! The requests and answers of BatchWriteItem, as text.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::ser::Serialize;
use serde_json::value::RawValue;

use crate::dynamodb::items::Number;
use crate::dynamodb::json::{AttributeValue, Item, TypedJson};

/// How many bytes the text of an item is likely to take at most. To make room again and again costs as much as
/// to write.
const TEXT: usize = 1024;

/// A request to put or to delete an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WriteRequest {
    /// Says which item it is: requests for the same item have the same, and those for two hardly ever do.
    pub(crate) key: u64,
    /// The request, in JSON.
    pub(crate) text: String,
}

impl WriteRequest {
    /// Puts an item into a table whose keys have these names.
    pub(crate) fn put(item: &Item, keys: &[&str]) -> Self {
        Self {
            key: key_of(item, keys),
            text: text_between("{\"PutRequest\":{\"Item\":", &TypedJson(item), "}}"),
        }
    }

    /// As [`WriteRequest::put`], where each attribute is a string.
    pub(crate) fn put_strings(item: &[(&str, String)], keys: &[&str]) -> Self {
        let of = |name| item.iter().filter(move |attribute| attribute.0 == name);
        let mut key = DefaultHasher::new();
        keys.iter().flat_map(|name| of(*name)).for_each(|(_, value)| ("S", value).hash(&mut key));
        let mut text = String::with_capacity(TEXT);
        text.push_str("{\"PutRequest\":{\"Item\":{");
        for (index, (name, value)) in item.iter().enumerate() {
            text.push_str(if index == 0 { "" } else { "," });
            push_string(&mut text, name);
            text.push_str(":{\"S\":");
            push_string(&mut text, value);
            text.push('}');
        }
        text.push_str("}}}");
        Self { key: key.finish(), text }
    }

    /// Deletes the item that has this key, from a table whose keys have these names.
    pub(crate) fn delete(key: &Item, keys: &[&str]) -> Self {
        let text = text_between("{\"DeleteRequest\":{\"Key\":", &TypedJson(key), "}}");
        Self { key: key_of(key, keys), text }
    }
}

/// Adds a JSON string. Most have nothing to escape, and to find that out takes a tenth of the time.
fn push_string(json: &mut String, value: &str) {
    let is_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if value.bytes().fold(false, |any, byte| any | is_escaped(byte)) {
        json.push_str(&text(&value));
    } else {
        json.push('"');
        json.push_str(value);
        json.push('"');
    }
}

/// By types and values; a number is the same however it is written.
fn key_of(item: &Item, names: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for value in names.iter().filter_map(|name| item.get(*name)) {
        match value {
            AttributeValue::S(value) => ("S", value).hash(&mut hasher),
            AttributeValue::N(value) => {
                ("N", Number::read(value).map(|(number, _)| number)).hash(&mut hasher)
            }
            AttributeValue::B(value) => ("B", value.as_ref()).hash(&mut hasher),
            // No key, as the server is going to say.
            _ => {}
        }
    }
    hasher.finish()
}

/// BatchWriteItem's body for these requests to one table.
pub(crate) fn batch_body<'a>(table: &str, requests: impl Iterator<Item = &'a str>) -> String {
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
pub(crate) fn unprocessed(body: &[u8]) -> Result<Vec<String>, serde_json::Error> {
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

    #[test]
    fn a_key_is_the_same_however_its_number_is_written() {
        let key = |number: &str| {
            let item = Item::from([("n".to_owned(), AttributeValue::N(number.to_owned()))]);
            WriteRequest::put(&item, &["n"]).key
        };
        for ways in [["1", "1.0", "10e-1"], ["0", "0.00", "-0"], ["-20", "-2e1", "-020.0"]] {
            assert_eq!(ways.map(key), [key(ways[0]); 3], "{ways:?}");
        }
        assert_ne!(key("1"), key("-1"));
        assert_ne!(key("1"), key("10"));
    }

    #[test]
    fn a_batch_is_what_the_api_takes() {
        let attribute = |name: &str, value: AttributeValue| (name.to_owned(), value);
        let item = Item::from([
            attribute("pk", AttributeValue::S("a\"".to_owned())),
            attribute("sk", AttributeValue::N("1".to_owned())),
        ]);
        let keys = ["sk", "pk"];
        let requests = [WriteRequest::put(&item, &keys), WriteRequest::delete(&item, &keys)];
        assert_eq!(
            batch_body("t", requests.iter().map(|request| request.text.as_str())),
            r#"{"RequestItems":{"t":[{"PutRequest":{"Item":{"pk":{"S":"a\""},"sk":{"N":"1"}}}},{"DeleteRequest":{"Key":{"pk":{"S":"a\""},"sk":{"N":"1"}}}}]}}"#
        );
        assert_eq!(requests[0].key, requests[1].key);
    }

    #[test]
    fn requests_for_the_same_item_have_the_same_key() {
        let item = |pk: AttributeValue, other: &str| {
            Item::from([("pk".to_owned(), pk), ("other".to_owned(), AttributeValue::S(other.to_owned()))])
        };
        let key = |pk, other| WriteRequest::put(&item(pk, other), &["pk"]).key;
        let s = |text: &str| AttributeValue::S(text.to_owned());
        assert_eq!(key(s("1"), "a"), key(s("1"), "b"));
        assert_ne!(key(s("1"), "a"), key(s("2"), "a"));
        assert_ne!(key(s("1"), "a"), key(AttributeValue::N("1".to_owned()), "a"));
    }

    #[test]
    fn an_item_of_strings_is_put_as_any_other() {
        let strings = [("pk", "a\""), ("sk", "1"), ("message", "é\\\u{1}\n")]
            .map(|(name, value)| (name, value.to_owned()));
        let item = strings.clone().map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into();
        let keys = ["pk", "sk"];
        let [any, of_strings] = [WriteRequest::put(&item, &keys), WriteRequest::put_strings(&strings, &keys)];
        let [any_json, json] = [&any, &of_strings]
            .map(|request| serde_json::from_str::<serde_json::Value>(&request.text).unwrap());
        assert_eq!((of_strings.key, json), (any.key, any_json));
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
