//! Reads items page by page, to the end or up to a limit.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::operation::scan::builders::ScanInputBuilder;
use aws_sdk_dynamodb::types::{KeysAndAttributes, ReturnConsumedCapacity};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::client::DynamoDb;
use super::json::Item;
pub(crate) use super::request::Page;
use super::request::Request;
use super::table::{self, Keys};
use crate::error::Failure;
use crate::text::counted;
use crate::ui::Ui;

/// A table with fewer items is read in one segment.
const WORTH_SEGMENTS: i64 = 5_000;

/// The number of segments of a large table, and how many of them are read concurrently. With 8 segments DynamoDB
/// Local needs four times as long, with one segment 18 times as long.
const SEGMENTS: i32 = 64;
const AT_ONCE: usize = 4;

/// How many segments are read concurrently if the user gives their number. Each holds a page in memory.
const MOST_AT_ONCE: usize = 16;

/// The maximum number of items in a page of a local server. If 1 MB ends a page, DynamoDB Local reads the whole rest
/// of the segment, and the embedded server the whole rest of the table: 10 s for a million items, 0.1 s with this
/// limit.
const PAGE: i32 = 2_000;

/// The largest `Limit` that DynamoDB Local can parse. A page ends long before.
const LARGEST_LIMIT: u64 = 1 << 30;

/// The sums over the pages of a Query or Scan.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// The number of items found.
    pub(crate) count: u64,
    /// The number of items read to find them.
    pub(crate) scanned_count: u64,
    /// Whether the read stopped at a limit although there may be more items.
    pub(crate) stopped_early: bool,
    /// The key to continue from, if the read stopped early.
    pub(crate) last_evaluated_key: Option<Item>,
    /// The table's name, if the server reports capacity.
    pub(crate) table: Option<String>,
    /// The consumed capacity units, if the server reports them.
    pub(crate) capacity_units: Option<f64>,
}

impl Response {
    fn add(&mut self, page: &Page) {
        self.count += page.count;
        self.scanned_count += page.scanned_count;
        self.cost(page);
    }

    /// Adds only the consumed capacity of a page.
    fn cost(&mut self, page: &Page) {
        if let Some(capacity) = &page.capacity {
            self.table.clone_from(&capacity.table_name);
            *self.capacity_units.get_or_insert_default() += capacity.capacity_units.unwrap_or_default();
        }
    }

    /// Prints the item count and the consumed capacity. `more` is printed if the read stopped early.
    pub(crate) fn report(&self, ui: &Ui, more: &str) {
        if self.stopped_early {
            ui.note(more);
        }
        ui.note(self);
    }
}

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

/// Reads page by page, in order, to the end or until `limit` items were found. Passes each page to `take`. A page
/// ends at 1 MB.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html>
pub(crate) async fn pages(
    dynamodb: &DynamoDb,
    request: impl Into<Request>,
    limit: Option<u64>,
    take: impl AsyncFnMut(Page) -> Result<()>,
) -> Result<Response> {
    pages_and_key(dynamodb, request.into(), limit, false, take).await
}

/// Like [`pages`]. With `wants_key`, a read that stops in the middle of a page returns the key of its last item, which
/// may cost another request.
pub(crate) async fn pages_and_key(
    dynamodb: &DynamoDb,
    request: Request,
    limit: Option<u64>,
    wants_key: bool,
    mut take: impl AsyncFnMut(Page) -> Result<()>,
) -> Result<Response> {
    let mut response = Response::default();
    let mut start = None;
    loop {
        let wanted = limit.map(|limit| limit - response.count);
        // A filter drops items after the server has counted them, so a filtered page is read whole and cut.
        let most = wanted.filter(|_| !request.has_filter()).map(|most| most.min(LARGEST_LIMIT));
        let most = most.and_then(|most| i32::try_from(most).ok());
        let page_limit = most.or(request.limit());
        let page_limit = page_limit.or((!dynamodb.target.is_production()).then_some(PAGE));
        let mut page = request.page(dynamodb, page_limit, start.as_ref()).await?;
        let cut = wanted.is_some_and(|wanted| page.keep(wanted));
        response.add(&page);
        let next = page.last_evaluated_key.take();
        let enough = limit.is_some_and(|limit| response.count >= limit);
        if enough || next.is_none() {
            response.stopped_early = cut || next.is_some();
            // The server's key is after the whole page. It would skip the items that were cut off.
            response.last_evaluated_key = match cut {
                false => next,
                true if !wants_key => None,
                true => {
                    let again =
                        async |request: &Request| request.page(dynamodb, page_limit, start.as_ref()).await;
                    last_key_of(dynamodb, &request, &page, &mut response, again).await?
                }
            };
            take(page).await?;
            return Ok(response);
        }
        start = next;
        take(page).await?;
    }
}

/// The key of a page's last item, for the table and for the index that is read. If the items do not include their
/// keys, or only a count was asked for, reads the page again and adds the cost to `response`.
async fn last_key_of(
    dynamodb: &DynamoDb,
    request: &Request,
    page: &Page,
    response: &mut Response,
    again: impl AsyncFnOnce(&Request) -> Result<Page>,
) -> Result<Option<Item>> {
    let table = table::describe(dynamodb, request.table()).await?;
    let keys = [Keys::of(&table, None), Keys::of(&table, request.index())];
    let names: BTreeSet<_> = keys.iter().flatten().flat_map(Keys::names).collect();
    let key = |item: &Item| -> Item {
        let attribute = |name: &&str| item.get_key_value(*name);
        names.iter().filter_map(attribute).map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let known = page.items.last().map(key).unwrap_or_default();
    if known.len() == names.len() {
        return Ok(Some(known));
    }
    let missing: Vec<_> = names.iter().copied().filter(|name| !known.contains_key(*name)).collect();
    let keys = again(&request.with(&missing)).await?;
    response.cost(&keys);
    let last = usize::try_from(page.count).unwrap_or(usize::MAX).saturating_sub(1);
    let found = keys.items.get(last).map(key).filter(|found| found.len() == names.len());
    let found = found.ok_or_else(|| {
        let problem = format!("table {} changed while the last item's key was found out", request.table());
        Failure::new(problem, "run the command again, or have the keys in --projection")
    })?;
    Ok(Some(found))
}

/// The number of segments that suits the table and its server.
async fn segments_for(dynamodb: &DynamoDb, scan: &ScanInputBuilder) -> i32 {
    if !dynamodb.target.is_scanned_in_segments {
        return 1;
    }
    let name = scan.get_table_name().as_deref().unwrap_or_default();
    // If the table cannot be described, the scan fails too, and its error says more.
    let item_count = table::describe(dynamodb, name).await.ok().and_then(|table| table.item_count);
    if item_count.unwrap_or_default() >= WORTH_SEGMENTS { SEGMENTS } else { 1 }
}

/// Reads a whole table in any order and passes each page to `take`. Without `segments`, their number depends on the
/// table's size and the server.
pub(crate) async fn scan(
    dynamodb: &DynamoDb,
    scan: ScanInputBuilder,
    segments: Option<i32>,
    take: impl AsyncFnMut(Page) -> Result<()>,
) -> Result<Response> {
    let (total, at_once) = match segments {
        Some(total) => (total, MOST_AT_ONCE),
        None => (segments_for(dynamodb, &scan).await, AT_ONCE),
    };
    in_segments(dynamodb, scan, total, at_once, take).await
}

/// Reads a table in `total` segments, of which `at_once` are read concurrently.
async fn in_segments(
    dynamodb: &DynamoDb,
    scan: ScanInputBuilder,
    total: i32,
    at_once: usize,
    take: impl AsyncFnMut(Page) -> Result<()>,
) -> Result<Response> {
    if total == 1 {
        return pages(dynamodb, scan, None, take).await;
    }
    let response = RefCell::new(Response::default());
    let take = tokio::sync::Mutex::new(take);
    stream::iter(0..total)
        .map(async |segment| {
            let segment = Request::Scan(scan.clone().segment(segment).total_segments(total));
            let mut start = None;
            loop {
                let mut page = segment.page(dynamodb, Some(PAGE), start.as_ref()).await?;
                response.borrow_mut().add(&page);
                start = page.last_evaluated_key.take();
                take.lock().await(page).await?;
                if start.is_none() {
                    return anyhow::Ok(());
                }
            }
        })
        .buffer_unordered(at_once)
        .try_collect::<()>()
        .await?;
    Ok(response.into_inner())
}

/// The maximum number of keys in a BatchGetItem.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
const BATCH: usize = 100;

/// Reads the items with these keys consistently; missing ones are left out. Also returns the consumed capacity units,
/// if the server reports them. The keys must be unique.
pub(crate) async fn by_keys(
    dynamodb: &DynamoDb,
    table: &str,
    mut keys: Vec<Item>,
) -> Result<(Vec<Item>, Option<f64>)> {
    let (mut items, mut units) = (Vec::new(), None);
    let mut fruitless = 0;
    while !keys.is_empty() {
        let rest = keys.split_off(keys.len().min(BATCH));
        let wanted = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(keys)).build()?;
        let get = dynamodb.client.batch_get_item().request_items(table, wanted);
        let get = get.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = dynamodb.send_batch(async || get.clone().send().await).await;
        let answer = answer.with_context(|| format!("cannot get items of table {table}"))?;
        dynamodb.spend("read", answer.consumed_capacity.iter().flatten());
        for capacity in answer.consumed_capacity.iter().flatten() {
            *units.get_or_insert_default() += capacity.capacity_units.unwrap_or_default();
        }
        let found = answer.responses.into_iter().flatten().flat_map(|(_, items)| items);
        let before = items.len();
        items.extend(found);
        keys = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, keys)| keys.keys).collect();
        if keys.is_empty() || items.len() > before {
            dynamodb.gained((items.len() - before) as u64);
            fruitless = 0;
        } else {
            dynamodb.throttled("it handed all keys of a batch back")?;
            fruitless += 1;
            dynamodb.wait(fruitless).await?;
        }
        keys.extend(rest);
    }
    Ok((items, units))
}

/// Reads a whole table segment by segment, in an order that is always the same, and passes each page to `take`.
pub(crate) async fn in_order(
    dynamodb: &DynamoDb,
    scan: ScanInputBuilder,
    take: impl AsyncFnMut(Page) -> Result<()>,
) -> Result<Response> {
    let total = segments_for(dynamodb, &scan).await;
    in_segments(dynamodb, scan, total, 1, take).await
}
