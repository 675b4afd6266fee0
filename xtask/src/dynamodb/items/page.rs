//! One response of a Query or Scan.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::dynamodb::items::Item;

/// One response of a Query or Scan. Its items stay text until they are asked for.
#[derive(Debug)]
pub(crate) struct Page {
    body: Vec<u8>,
    /// Where in the body the list of items is.
    items: Option<Range<usize>>,
    /// How many items there are, or were kept.
    pub(crate) count: u64,
    /// How many were read to find them.
    pub(crate) scanned_count: u64,
    /// Where the next page begins, if this one is not the last: a key in DynamoDB JSON.
    pub(crate) last_evaluated_key: Option<Box<RawValue>>,
    /// What the page cost, if that was asked for.
    pub(crate) consumed_capacity: Option<Capacity>,
}

/// The capacity that one request consumed.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ConsumedCapacity.html>
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Capacity {
    /// The table's name.
    pub(crate) table_name: Option<String>,
    /// How many units.
    pub(crate) capacity_units: f64,
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
    /// Reads what a response's body says beside its items. Where they stand as servers write them they are not
    /// looked at yet: the next page can be asked for before this one is gone through.
    ///
    /// # Errors
    /// The body is not a response in DynamoDB JSON.
    pub(crate) fn read(body: Vec<u8>) -> Result<Self, serde_json::Error> {
        if let Some(page) = Self::beside_items(&body) {
            return Ok(Self { body, ..page });
        }
        let read: Body = serde_json::from_slice(&body)?;
        let items = read.items.map(|items| {
            let start = items.get().as_ptr().addr() - body.as_ptr().addr();
            start..start + items.get().len()
        });
        let page = Self::from(read);
        Ok(Self { items, body, ..page })
    }

    /// The page of a body that is a response once all between the brackets of `"Items"` is left out.
    ///
    /// The last `],"` of the body is taken for the list's end. Were it within a string, what follows would end
    /// within one too; were it deeper than the list's own, a bracket would be left over: neither is JSON. So
    /// nothing but the list's own text is left out, and that is read when it is asked for.
    fn beside_items(body: &[u8]) -> Option<Self> {
        let place = |pattern: &[u8]| body.windows(pattern.len()).position(|window| window == pattern);
        let end = body.windows(3).rposition(|window| window == b"],\"")?;
        let start = place(b"\"Items\":[")? + b"\"Items\":[".len();
        if end < start {
            return None;
        }
        let beside = [body.get(..start)?, body.get(end..)?].concat();
        let read: Body = serde_json::from_slice(&beside).ok()?;
        let is_left_out = read.items.is_some_and(|items| items.get() == "[]");
        is_left_out.then(|| Self { items: Some(start - 1..end + 1), ..Self::from(read) })
    }

    /// The items, in the order of the response.
    ///
    /// # Errors
    /// An item is not DynamoDB JSON.
    pub(crate) fn items(&self) -> Result<Vec<Item>, serde_json::Error> {
        self.items_of()
    }

    /// The same, of another kind of text.
    pub(crate) fn items_of<'a, T: Deserialize<'a> + Ord>(
        &'a self,
    ) -> Result<Vec<Item<T>>, serde_json::Error> {
        let mut items = Vec::with_capacity(usize::try_from(self.count).unwrap_or_default().min(1 << 16));
        self.each(|item| items.push(item))?;
        Ok(items)
    }

    /// Keeps no more than the first `most` items; says whether there were more.
    pub(crate) fn keep(&mut self, most: u64) -> bool {
        let more = self.count > most;
        self.count = self.count.min(most);
        more
    }

    /// How many bytes of text the items are.
    pub(crate) fn bytes(&self) -> usize {
        self.items.as_ref().map_or(0, Range::len)
    }

    /// Hands the items on one after another.
    ///
    /// # Errors
    /// An item is not DynamoDB JSON; those before it have been handed on.
    pub(crate) fn each<'a, T: Deserialize<'a> + Ord>(
        &'a self,
        take: impl FnMut(Item<T>),
    ) -> Result<(), serde_json::Error> {
        let Some(items) = &self.items else { return Ok(()) };
        // Once, and not for each text.
        let text = str::from_utf8(&self.body[items.clone()]).map_err(serde_json::Error::custom)?;
        let mut text = serde_json::Deserializer::from_str(text);
        Each { left: self.count, take, kind: PhantomData }.deserialize(&mut text)?;
        text.end()
    }
}

impl From<Body<'_>> for Page {
    fn from(read: Body) -> Self {
        Self {
            body: Vec::new(),
            items: None,
            count: read.count,
            scanned_count: read.scanned_count,
            last_evaluated_key: read.last_evaluated_key,
            consumed_capacity: read.consumed_capacity,
        }
    }
}

/// Hands a list's items on while it is read.
struct Each<T, F> {
    left: u64,
    take: F,
    kind: PhantomData<T>,
}

impl<'de, T: Deserialize<'de> + Ord, F: FnMut(Item<T>)> DeserializeSeed<'de> for Each<T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de> + Ord, F: FnMut(Item<T>)> Visitor<'de> for Each<T, F> {
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
    use crate::dynamodb::items::Attribute;

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
    fn items_are_left_out_where_they_stand_as_a_server_writes_them() {
        let strings = ["", "],", "],\"", "\"],\"Count\":7}", "\\", "\\\"],\"", "\"Items\":["];
        for (text, other) in strings.iter().flat_map(|text| strings.map(|other| (*text, other))) {
            let [text, other] = [text, other].map(|text| serde_json::to_string(text).unwrap());
            let key = format!(r#"{{{other}:{{"S":{text}}},"n":{{"S":{other}}}}}"#);
            let items = format!(r#"[{key},{{"l":{{"L":[{{"S":{text}}},{{"L":[]}}]}},"n":{{"S":{other}}}}}]"#);
            for body in [
                format!(r#"{{"Items":{items},"Count":2,"ScannedCount":3,"LastEvaluatedKey":{key}}}"#),
                format!(r#"{{"Count":2,"Items":{items},"LastEvaluatedKey":{key},"ScannedCount":3}}"#),
                format!(r#"{{"LastEvaluatedKey":{key},"Items":{items},"ScannedCount":3,"Count":2}}"#),
                format!(r#"{{"Count":2,"ScannedCount":3,"LastEvaluatedKey":{key},"Items":{items}}}"#),
            ] {
                let page = Page::read(body.clone().into_bytes()).unwrap();
                assert_eq!(
                    page.items().unwrap(),
                    serde_json::from_str::<Vec<Item>>(&items).unwrap(),
                    "{body}"
                );
                assert_eq!((page.count, page.scanned_count), (2, 3), "{body}");
                assert_eq!(page.last_evaluated_key.unwrap().get(), key, "{body}");
            }
        }
    }

    #[test]
    fn other_lists_are_told_from_the_items() {
        let before = Page::read(br#"{"Other":[],"Items":[],"Count":0}"#.to_vec()).unwrap();
        assert_eq!(before.items().unwrap(), []);
        let last = Page::read(br#"{"Other":[{}],"Items":[]}"#.to_vec()).unwrap();
        assert_eq!(last.items().unwrap(), []);
        let behind = Page::read(br#"{"Items":[{}],"Other":[{}],"Count":2}"#.to_vec()).unwrap();
        assert!(behind.items().is_err());
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
