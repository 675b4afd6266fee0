//! One response of a Query or Scan.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::Item;

/// The items of one response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The items, in the order of the response.
    pub items: Vec<Item>,
    /// Where the next page begins, if this one is not the last.
    pub last_evaluated_key: Option<Item>,
}

/// Takes the items out of a response's body. Returned with them is what is left, another response's body
/// without the member `Items`: for a client that would take longer to read all of it.
///
/// # Errors
/// The body is not a response in DynamoDB JSON.
pub fn split(body: &[u8]) -> Result<(Page, Vec<u8>), serde_json::Error> {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_slice(body)?;
    let items = members.remove("Items").map(|items| serde_json::from_str(items.get())).transpose()?;
    let key = members.get("LastEvaluatedKey").map(|key| serde_json::from_str(key.get())).transpose()?;
    let page = Page { items: items.unwrap_or_default(), last_evaluated_key: key };
    Ok((page, serde_json::to_vec(&members)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::Attribute;

    #[test]
    fn items_are_taken_out_and_the_rest_is_left() {
        let body = br#"{"Count": 2, "Items": [{"n": {"N": "1"}}, {}], "LastEvaluatedKey": {"n": {"N": "1"}}, "ScannedCount": 3}"#;
        let (page, rest) = split(body).unwrap();
        let item = Item::from([("n".to_owned(), Attribute::N("1".to_owned()))]);
        assert_eq!(page, Page { items: vec![item.clone(), Item::new()], last_evaluated_key: Some(item) });
        assert_eq!(
            String::from_utf8(rest).unwrap(),
            r#"{"Count":2,"LastEvaluatedKey":{"n": {"N": "1"}},"ScannedCount":3}"#
        );
    }

    #[test]
    fn a_count_alone_has_no_items() {
        let (page, rest) = split(br#"{"Count":2}"#).unwrap();
        assert_eq!((page, rest), (Page::default(), br#"{"Count":2}"#.to_vec()));
    }

    #[test]
    fn what_is_no_response_is_an_error() {
        for body in ["", "[]", r#"{"Items": [{"n": 1}]}"#, r#"{"Items": [{"n": {"N": "1"}"#] {
            assert!(split(body.as_bytes()).is_err(), "{body}");
        }
    }
}
