//! What a Query or Scan answered beside its items.

use std::fmt;

use crate::dynamodb::items::{Page, counted};
use crate::dynamodb::json::Item;

/// Figures summed over the pages of a Query or Scan.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// How many items there were.
    pub(crate) count: u64,
    /// How many were read to find them.
    pub(crate) scanned_count: u64,
    /// Whether it stopped at a limit, with more to come.
    pub(crate) stopped_early: bool,
    /// Where a read that stopped early would go on.
    pub(crate) last_evaluated_key: Option<Item>,
    /// The table, where the server reports capacity.
    pub(crate) table: Option<String>,
    /// Capacity units, where the server reports them.
    pub(crate) capacity_units: Option<f64>,
}

impl Response {
    /// Adds a page's figures.
    pub(crate) fn add(&mut self, page: &Page) {
        self.count = self.count.saturating_add(page.count);
        self.scanned_count = self.scanned_count.saturating_add(page.scanned_count);
        self.cost(page);
    }

    /// Adds the figures of another part of the table.
    pub(crate) fn join(&mut self, part: Self) {
        self.count = self.count.saturating_add(part.count);
        self.scanned_count = self.scanned_count.saturating_add(part.scanned_count);
        self.table = part.table.or(self.table.take());
        if let Some(units) = part.capacity_units {
            *self.capacity_units.get_or_insert_default() += units;
        }
    }

    /// Adds what a page cost, and nothing else.
    pub(crate) fn cost(&mut self, page: &Page) {
        if let Some(capacity) = &page.consumed_capacity {
            self.table.clone_from(&capacity.table_name);
            *self.capacity_units.get_or_insert_default() += capacity.capacity_units;
        }
    }
}

/// A line for the user: how many items, and what they cost.
impl fmt::Display for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&counted(self.count, "item", "items"))?;
        if self.scanned_count != self.count {
            write!(formatter, " of {} read", self.scanned_count)?;
        }
        match self.capacity_units {
            Some(units) => write!(formatter, "; consumed capacity: {units} units"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_count_as_it_likes() {
        let page = Page::read(br#"{"Count":18446744073709551615,"ScannedCount":18446744073709551615}"#);
        let page = page.unwrap();
        let mut response = Response::default();
        response.add(&page);
        response.add(&page);
        assert_eq!((response.count, response.scanned_count), (u64::MAX, u64::MAX));
    }
}
