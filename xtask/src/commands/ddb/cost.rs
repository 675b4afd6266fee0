//! `--cost`: what a command's requests cost.

use std::collections::{HashMap, HashSet};

use anyhow::Result;

use super::expressions::key_text;
use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::json::Item;
use crate::dynamodb::read::Response;
use crate::dynamodb::size::size_of;
use crate::dynamodb::table;
use crate::text::{counted, size};

/// How many of the largest partitions are printed.
const LARGEST: usize = 10;

/// With more partitions, those that are complete and not among the largest are forgotten.
const MOST_PARTITIONS: usize = 10_000;

/// A partition's items come one after the other in each segment, so one without an item in this many pages is complete.
const PAGES: u64 = 100;

#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Cost {
    /// Print the requests, and the capacity units that they consumed
    ///
    /// Also prints how long the table's provisioned units take for that, and the ten largest partitions of a scan.
    #[arg(long)]
    pub(super) cost: bool,
}

impl Cost {
    /// With `--cost`, prints the capacity that all requests consumed so far. `index` is the index that was read.
    pub(super) async fn report(
        self,
        dynamodb: &DynamoDb,
        table: &str,
        index: Option<&str>,
        response: Option<&Response>,
    ) -> Result<()> {
        if !self.cost {
            return Ok(());
        }
        let provisioned = table::provisioned(&table::describe(dynamodb, table).await?, index);
        for (kind, (units, requests)) in &*dynamodb.spent.borrow() {
            let mut line =
                format!("cost: {units} {kind} units in {}", counted(*requests, "request", "requests"));
            if let ("read", Some(response)) = (*kind, response) {
                line += &format!("; {} read, {} returned", items(response.scanned_count), response.count);
            }
            dynamodb.ui.line(match provisioned {
                Some((reads, writes)) => {
                    let a_second = if *kind == "read" { reads } else { writes };
                    let time = units / a_second;
                    format!("{line}; {time:.1} s at the {a_second} {kind} units a second of table {table}")
                }
                None => format!("{line}; table {table} is billed by request"),
            });
        }
        Ok(())
    }
}

fn items(count: u64) -> String {
    counted(count, "item", "items")
}

/// The sizes of the partitions of a scan, by the items that it returned.
#[derive(Default)]
pub(super) struct Partitions {
    sizes: HashMap<String, Partition>,
    pages: u64,
}

#[derive(Default)]
struct Partition {
    bytes: u64,
    items: u64,
    /// The page with its last item so far.
    page: u64,
}

impl Partitions {
    /// Adds a page of items with this partition key. Items without it, because of a projection, are left out.
    pub(super) fn add(&mut self, key: &str, page: &[Item]) {
        self.pages += 1;
        for item in page {
            let Some(key) = item.get(key).and_then(key_text) else { continue };
            let partition = self.sizes.entry(key).or_default();
            partition.bytes += size_of(item) as u64;
            partition.items += 1;
            partition.page = self.pages;
        }
        if self.sizes.len() > MOST_PARTITIONS {
            let largest: HashSet<_> = self.largest().into_iter().map(|(key, _)| key.clone()).collect();
            self.sizes.retain(|key, partition| largest.contains(key) || partition.page + PAGES > self.pages);
        }
    }

    /// The largest ones, beginning with the largest.
    fn largest(&self) -> Vec<(&String, &Partition)> {
        let mut all: Vec<_> = self.sizes.iter().collect();
        all.sort_unstable_by(|(a, one), (b, other)| other.bytes.cmp(&one.bytes).then_with(|| a.cmp(b)));
        all.truncate(LARGEST);
        all
    }

    pub(super) fn report(&self, dynamodb: &DynamoDb) {
        if self.sizes.is_empty() {
            return;
        }
        dynamodb.ui.line("the largest partitions, by the attributes that were returned:");
        for (key, partition) in self.largest() {
            let (bytes, count) = (size(partition.bytes), items(partition.items));
            dynamodb.ui.line(format_args!("  {bytes:>9}  {count:>13}  {key}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamodb::json::AttributeValue;

    fn item(pk: u64, bytes: usize) -> Item {
        let text = |text: String| AttributeValue::S(text);
        Item::from([("pk".to_owned(), text(format!("{pk:06}"))), ("x".to_owned(), text("y".repeat(bytes)))])
    }

    #[test]
    fn the_largest_partitions_are_found_among_very_many() {
        let mut partitions = Partitions::default();
        // Partition 7 is the only one with items in two pages, and partition 30,000 has the largest item.
        for start in (0..60_000).step_by(50) {
            let items = (start..start + 50).map(|pk| item(pk, if pk == 30_000 { 500 } else { 1 }));
            partitions.add("pk", &items.chain((start < 100).then(|| item(7, 100))).collect::<Vec<_>>());
            assert!(partitions.sizes.len() <= MOST_PARTITIONS + 50);
        }
        let largest = partitions.largest();
        let found: Vec<_> =
            largest.iter().map(|(key, found)| (key.as_str(), found.bytes, found.items)).collect();
        // Each item has its names, 3 bytes, and its key, 6 bytes.
        assert_eq!(found[..3], [("030000", 509, 1), ("000007", 228, 3), ("000000", 10, 1)]);
        assert_eq!(found.len(), LARGEST);
    }

    #[test]
    fn items_without_the_key_are_left_out() {
        let mut partitions = Partitions::default();
        partitions.add("id", &[item(1, 1)]);
        assert!(partitions.largest().is_empty());
    }
}
