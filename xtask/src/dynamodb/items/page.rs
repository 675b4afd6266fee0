//! One response of a Query or Scan.

use crate::dynamodb::json::{Item, Typed, Unique};
use serde::Deserialize;

/// One response of a Query or Scan.
#[derive(Debug)]
pub(crate) struct Page {
    /// The items, in the order of the response.
    pub(crate) items: Vec<Item>,
    /// How many items there are, or were kept.
    pub(crate) count: u64,
    /// How many were read to find them.
    pub(crate) scanned_count: u64,
    /// Where the next page begins, if this one is not the last.
    pub(crate) last_evaluated_key: Option<Item>,
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
struct Body {
    #[serde(default)]
    items: Vec<Unique<Typed>>,
    #[serde(default)]
    count: u64,
    #[serde(default)]
    scanned_count: u64,
    last_evaluated_key: Option<Unique<Typed>>,
    consumed_capacity: Option<Capacity>,
}

impl Page {
    /// Reads a response's body.
    pub(crate) fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        let read: Body = serde_json::from_slice(body)?;
        Ok(Self {
            items: read.items.into_iter().map(|item| item.0).collect(),
            count: read.count,
            scanned_count: read.scanned_count,
            last_evaluated_key: read.last_evaluated_key.map(|key| key.0),
            consumed_capacity: read.consumed_capacity,
        })
    }

    /// Keeps no more than the first `most` items; says whether there were more.
    pub(crate) fn keep(&mut self, most: u64) -> bool {
        let more = self.count > most;
        self.count = self.count.min(most);
        self.items.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        more
    }
}
