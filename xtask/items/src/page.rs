//! One response of a Query or Scan.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::Item;

/// One response of a Query or Scan. Its items stay text until they are asked for.
#[derive(Debug)]
pub struct Page {
    body: Vec<u8>,
    /// Where in the body the list of items is.
    items: Option<Range<usize>>,
    /// How many items there are, or were kept.
    pub count: u64,
    /// How many were read to find them.
    pub scanned_count: u64,
    /// Where the next page begins, if this one is not the last: a key in DynamoDB JSON.
    pub last_evaluated_key: Option<Box<RawValue>>,
    /// What the page cost, if that was asked for.
    pub consumed_capacity: Option<Capacity>,
}

/// The capacity that one request consumed.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ConsumedCapacity.html>
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Capacity {
    /// The table's name.
    pub table_name: Option<String>,
    /// How many units.
    pub capacity_units: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    #[serde(borrow)]
    items: Option<&'a RawValue>,
    #[serde(default)]
    count: u64,
    #[serde(default)]
    scanned_count: u64,
    last_evaluated_key: Option<Box<RawValue>>,
    consumed_capacity: Option<Capacity>,
}

impl Page {
    /// Reads what a response's body says beside its items.
    ///
    /// # Errors
    /// The body is not a response in DynamoDB JSON.
    pub fn read(body: Vec<u8>) -> Result<Self, serde_json::Error> {
        let read: Body = serde_json::from_slice(&body)?;
        let items = read.items.map(|items| {
            let start = items.get().as_ptr().addr() - body.as_ptr().addr();
            start..start + items.get().len()
        });
        Ok(Self {
            items,
            count: read.count,
            scanned_count: read.scanned_count,
            last_evaluated_key: read.last_evaluated_key,
            consumed_capacity: read.consumed_capacity,
            body,
        })
    }

    /// The items, in the order of the response.
    ///
    /// # Errors
    /// An item is not DynamoDB JSON.
    pub fn items(&self) -> Result<Vec<Item>, serde_json::Error> {
        let mut items = Vec::with_capacity(usize::try_from(self.count).unwrap_or_default().min(1 << 16));
        self.each(|item| items.push(item))?;
        Ok(items)
    }

    /// Keeps no more than the first `most` items; says whether there were more.
    pub fn keep(&mut self, most: u64) -> bool {
        let more = self.count > most;
        self.count = self.count.min(most);
        more
    }

    /// How many bytes of text the items are.
    pub fn bytes(&self) -> usize {
        self.items.as_ref().map_or(0, Range::len)
    }

    /// Hands the items on one after another.
    ///
    /// # Errors
    /// An item is not DynamoDB JSON; those before it have been handed on.
    pub fn each(&self, take: impl FnMut(Item)) -> Result<(), serde_json::Error> {
        let Some(items) = &self.items else { return Ok(()) };
        let mut text = serde_json::Deserializer::from_slice(&self.body[items.clone()]);
        Each { left: self.count, take }.deserialize(&mut text)
    }
}

/// Hands a list's items on while it is read.
struct Each<F> {
    left: u64,
    take: F,
}

impl<'de, F: FnMut(Item)> DeserializeSeed<'de> for Each<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Item)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of items")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while self.left > 0
            && let Some(item) = list.next_element()?
        {
            self.left -= 1;
            (self.take)(item);
        }
        // What is not kept is read all the same: the text must be whole.
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;
    use crate::Attribute;

    #[test]
    fn a_page_has_items_and_what_is_beside_them() {
        let body = br#"{"Count": 2, "Items": [{"n": {"N": "1"}}, {}], "LastEvaluatedKey": {"n": {"N": "1"}}, "ScannedCount": 3, "ConsumedCapacity": {"TableName": "t", "CapacityUnits": 0.5}}"#;
        let page = Page::read(body.to_vec()).unwrap();
        let item = Item::from([("n".to_owned(), Attribute::N("1".to_owned()))]);
        assert_eq!(page.items().unwrap(), [item, Item::new()]);
        assert_eq!((page.count, page.scanned_count), (2, 3));
        assert_eq!(page.last_evaluated_key.unwrap().get(), r#"{"n": {"N": "1"}}"#);
        let capacity = Capacity { table_name: Some("t".to_owned()), capacity_units: 0.5 };
        assert_eq!(page.consumed_capacity, Some(capacity));
    }

    #[test]
    fn a_page_can_be_cut() {
        let mut page = Page::read(br#"{"Count":3,"Items":[{"a":{"S":"1"}},{},{}]}"#.to_vec()).unwrap();
        assert!(!page.keep(3));
        assert!(page.keep(1));
        assert_eq!((page.count, page.items().unwrap().len()), (1, 1));
    }

    #[test]
    fn a_count_alone_has_no_items() {
        let page = Page::read(br#"{"Count":2}"#.to_vec()).unwrap();
        assert_eq!((page.count, page.bytes(), page.items().unwrap()), (2, 0, Vec::new()));
    }

    #[test]
    fn what_is_no_response_is_an_error() {
        for body in ["", "[]", r#"{"Items": [{"n": {"N": "1"}"#] {
            assert!(Page::read(body.as_bytes().to_vec()).is_err(), "{body}");
        }
        let page = Page::read(br#"{"Count": 2, "Items": [{}, {"n": 1}]}"#.to_vec()).unwrap();
        assert!(page.items().is_err());
    }
}
