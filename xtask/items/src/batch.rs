//! Requests to write items, as text.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Item;

/// One request of a batch: to put this item.
pub fn put_request(item: &Item) -> String {
    format!("{{\"PutRequest\":{{\"Item\":{}}}}}", text(item))
}

/// One request of a batch: to delete the item that has this key.
pub fn delete_request(key: &Item) -> String {
    format!("{{\"DeleteRequest\":{{\"Key\":{}}}}}", text(key))
}

/// The attributes that are an item's key, as text: two items of a table that have the same are one.
pub fn key_text(item: &Item, names: &[&str]) -> String {
    names.iter().filter_map(|name| item.get(*name)).map(text).collect::<Vec<_>>().join(",")
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
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body<'a> {
        #[serde(borrow)]
        unprocessed_items: BTreeMap<String, Vec<&'a RawValue>>,
    }
    let body: Body = serde_json::from_slice(body)?;
    Ok(body.unprocessed_items.into_values().flatten().map(|request| request.get().to_owned()).collect())
}

/// Texts and maps of texts are always JSON.
fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
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
        let requests = [put_request(&item), delete_request(&item)];
        assert_eq!(
            batch_body("t", requests.iter().map(String::as_str)),
            r#"{"RequestItems":{"t":[{"PutRequest":{"Item":{"pk":{"S":"a\""},"sk":{"N":"1"}}}},{"DeleteRequest":{"Key":{"pk":{"S":"a\""},"sk":{"N":"1"}}}}]}}"#
        );
        assert_eq!(key_text(&item, &["sk", "pk"]), r#"{"N":"1"},{"S":"a\""}"#);
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
