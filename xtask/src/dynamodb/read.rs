//! Reading items page by page, to the end or to a limit.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::dynamodb::items::{Page, Response, size_of};
use crate::dynamodb::json::{Item, TypedJson};
use crate::error::Failure;
use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use aws_sdk_dynamodb::operation::scan::builders::ScanInputBuilder;
use serde::{Serialize, Serializer};

use crate::dynamodb::table::{Keys, TableDescription};
use crate::dynamodb::wire::Wire;

/// A Query, or a Scan where there is no key condition.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html>
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReadRequest {
    /// The table's name.
    pub(crate) table_name: String,
    /// The index that is read in the table's place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index_name: Option<String>,
    /// The partition, and what its sort keys must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_condition_expression: Option<String>,
    /// What an item must be like to be returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filter_expression: Option<String>,
    /// Which attributes are returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) projection_expression: Option<String>,
    /// What `#name` stands for in the expressions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) expression_attribute_names: BTreeMap<String, String>,
    /// What `:value` stands for in the expressions.
    #[serde(skip_serializing_if = "Item::is_empty", serialize_with = "typed")]
    pub(crate) expression_attribute_values: Item,
    /// Whether all that was written before is seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) consistent_read: Option<bool>,
    /// Whether sort keys ascend; a Query's do unless this says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scan_index_forward: Option<bool>,
    /// `COUNT` for a count alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) select: Option<String>,
    /// Where reading stops in the middle of a page, the last item's key is to be found out.
    #[serde(skip)]
    pub(crate) wants_last_key: bool,
    /// The cost is always told.
    pub(crate) return_consumed_capacity: Total,
    /// The most items that are read. This and what follows is of one page, and is set while reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
    /// Where the page before it ended.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "typed_key")]
    pub(crate) exclusive_start_key: Option<Item>,
    /// Which of the segments it reads, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) segment: Option<u32>,
    /// Into how many segments the table is divided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_segments: Option<u32>,
}

/// Every request asks what it costs.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) enum Total {
    /// In all, and not for each index.
    #[default]
    #[serde(rename = "TOTAL")]
    Asked,
}

fn typed<S: Serializer>(item: &Item, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    TypedJson(item).serialize(serializer)
}

fn typed_key<S: Serializer>(key: &Option<Item>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    key.as_ref().map(TypedJson).serialize(serializer)
}

/// As the data layer asks.
impl From<QueryInputBuilder> for ReadRequest {
    fn from(query: QueryInputBuilder) -> Self {
        let values = query.get_expression_attribute_values().iter().flatten();
        let names = query.get_expression_attribute_names().iter().flatten();
        Self {
            table_name: query.get_table_name().clone().unwrap_or_default(),
            index_name: query.get_index_name().clone(),
            key_condition_expression: query.get_key_condition_expression().clone(),
            filter_expression: query.get_filter_expression().clone(),
            projection_expression: query.get_projection_expression().clone(),
            expression_attribute_names: names.map(|(name, text)| (name.clone(), text.clone())).collect(),
            expression_attribute_values: values.map(|(name, value)| (name.clone(), value.clone())).collect(),
            consistent_read: *query.get_consistent_read(),
            scan_index_forward: *query.get_scan_index_forward(),
            select: query.get_select().as_ref().map(ToString::to_string),
            ..Self::default()
        }
    }
}

/// As the data layer asks.
impl From<ScanInputBuilder> for ReadRequest {
    fn from(scan: ScanInputBuilder) -> Self {
        let values = scan.get_expression_attribute_values().iter().flatten();
        Self {
            table_name: scan.get_table_name().clone().unwrap_or_default(),
            filter_expression: scan.get_filter_expression().clone(),
            projection_expression: scan.get_projection_expression().clone(),
            expression_attribute_values: values.map(|(name, value)| (name.clone(), value.clone())).collect(),
            consistent_read: *scan.get_consistent_read(),
            select: scan.get_select().as_ref().map(ToString::to_string),
            ..Self::default()
        }
    }
}

impl ReadRequest {
    fn operation(&self) -> &'static str {
        if self.key_condition_expression.is_some() { "Query" } else { "Scan" }
    }

    /// Whether each item that is read is also returned, whole.
    fn returns_all(&self) -> bool {
        self.filter_expression.is_none() && self.projection_expression.is_none() && self.select.is_none()
    }

    /// The same, and these key attributes, which its projection leaves out; or them alone, where it is a count.
    fn with_keys(&self, missing: &[&str]) -> Self {
        let mut request = Self { select: None, ..self.clone() };
        let mut paths: Vec<String> = request.projection_expression.take().into_iter().collect();
        for (place, name) in missing.iter().enumerate() {
            let placeholder = format!("#key{place}_of_the_last");
            request.expression_attribute_names.insert(placeholder.clone(), (*name).to_owned());
            paths.push(placeholder);
        }
        request.projection_expression = Some(paths.join(", "));
        request
    }

    async fn page(&self, wire: &Wire) -> Result<Page> {
        let operation = self.operation();
        let answer = wire.call(operation, serde_json::to_string(self)?).await;
        let answer = answer.with_context(|| {
            format!("cannot {} table {}", operation.to_ascii_lowercase(), self.table_name)
        })?;
        let page = Page::read(&answer)
            .with_context(|| format!("{} answered in a form that is not its API's", wire.target))?;
        wire.gained(page.count);
        Ok(page)
    }
}

/// Reads page by page, in order, to the end or until `limit` items were found, and hands each page to
/// `take`. A page ends at 1 MB:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html>
///
/// # Errors
/// The server refused, or `take` failed.
pub(crate) async fn pages(
    wire: &Wire,
    mut request: ReadRequest,
    limit: Option<u64>,
    mut take: impl AsyncFnMut(Page) -> Result<()>,
) -> Result<Response> {
    let mut response = Response::default();
    let mut page_limit = Some(FIRST_PAGE);
    loop {
        let wanted = limit.map(|limit| limit - response.count);
        let most = wanted.map(|wanted| wanted.min(LARGEST_LIMIT));
        // A filter drops items after the server has counted them: then a page is taken whole, and cut.
        request.limit = most.filter(|_| request.filter_expression.is_none()).or(page_limit);
        let mut page = request.page(wire).await?;
        page_limit = request.page_limit(&page);
        let cut = wanted.is_some_and(|wanted| page.keep(wanted));
        response.add(&page);
        let next = page.last_evaluated_key.clone();
        let enough = limit.is_some_and(|limit| response.count >= limit);
        if enough || next.is_none() {
            // Where a page was cut, its own key would leave out what was cut off.
            response.last_evaluated_key = match &next {
                _ if cut && request.wants_last_key => last_key(wire, &request, &page, &mut response).await?,
                _ if cut => None,
                next => next.clone(),
            };
            response.stopped_early = cut || next.is_some();
            take(page).await?;
            return Ok(response);
        }
        request.exclusive_start_key = next;
        take(page).await?;
    }
}

/// The key of a page's last item: the table's, and the index's that is read. Where the page is without the keys, or has
/// only a count, it is read once more, and `response` has what that costs.
///
/// # Errors
/// The server refused; or the page has become another meanwhile.
async fn last_key(
    wire: &Wire,
    request: &ReadRequest,
    page: &Page,
    response: &mut Response,
) -> Result<Option<Item>> {
    let table = TableDescription::read(wire, &request.table_name).await?;
    let keys = [table.keys(None), table.keys(request.index_name.as_deref())];
    let names: BTreeSet<_> =
        keys.iter().flatten().flat_map(Keys::each).map(|key| key.name.as_str()).collect();
    let mut last = page.items.last().cloned();
    let missing: Vec<&str> = match &last {
        Some(last) => names.iter().copied().filter(|name| !last.contains_key(*name)).collect(),
        None => names.iter().copied().collect(),
    };
    if !missing.is_empty() {
        let again = request.with_keys(&missing).page(wire).await?;
        response.cost(&again);
        let place = usize::try_from(page.count).unwrap_or(usize::MAX).saturating_sub(1);
        let found = again.items.into_iter().nth(place);
        let without_keys = found.clone().map(|mut item| {
            missing.iter().for_each(|name| _ = item.remove(*name));
            item
        });
        if found.is_none() || last.is_some() && last != without_keys {
            let problem =
                format!("table {} changed while the last item's key was found out", request.table_name);
            let remedy = "run the command again, or have the keys in --projection";
            return Err(Failure::new(problem, remedy).into());
        }
        last = found;
    }
    let Some(mut last) = last else { return Ok(None) };
    Ok(names.into_iter().map(|name| last.remove_entry(name)).collect())
}

/// How a whole table is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Segments {
    /// As suits the table's size and its server.
    Fitting,
    /// This many.
    Of(u32),
}

/// The largest `Limit` that DynamoDB Local can read. A page ends long before.
const LARGEST_LIMIT: u64 = 1 << 30;

/// The first page's most items: a small table is read in one request.
const FIRST_PAGE: u64 = 500;

/// A table with fewer items is read in one piece.
const WORTH_SEGMENTS: u64 = 5_000;

/// Into how many segments a large table is divided: more than are read at once, since some are larger.
/// DynamoDB Local goes through a whole segment for each page of it, so they had better be small.
const FITTING: u32 = 64;

/// How much text a page should be. DynamoDB ends a page at 1 MB of items, but DynamoDB Local first reads
/// all that is left of the segment then; a page that its `Limit` ends costs it what the page holds.
const PAGE_BYTES: u64 = 750_000;

/// The limit of a page whose items are not all returned, or not whole: their text does not tell their size.
const UNSEEN_PAGE: u64 = 2_000;

/// The most segments that are read at once: each holds a page in memory.
const AT_ONCE: usize = 16;

/// Reads a whole table, the order left to the server, and hands each page to `take`.
///
/// # Errors
/// The server refused, or `take` failed.
pub(crate) async fn scan(
    wire: &Wire,
    mut request: ReadRequest,
    segments: Segments,
    mut take: impl AsyncFnMut(Page) -> Result<()>,
) -> Result<Response> {
    let mut response = Response::default();
    let total = match segments {
        Segments::Of(total) => {
            request.limit = Some(UNSEEN_PAGE);
            total
        }
        Segments::Fitting => {
            request.limit = Some(FIRST_PAGE);
            let page = request.page(wire).await?;
            let total = match page.last_evaluated_key {
                None => 1,
                Some(_) => {
                    let count =
                        async || Ok(TableDescription::read(wire, &request.table_name).await?.item_count);
                    fitting(wire, count).await?
                }
            };
            if total == 1 {
                response.add(&page);
                request.limit = request.page_limit(&page);
                request.exclusive_start_key = page.last_evaluated_key.clone();
                take(page).await?;
                if request.exclusive_start_key.is_none() {
                    return Ok(response);
                }
            } else {
                // Its items come again in their segments; what it cost is told.
                response.cost(&page);
                request.limit = request.page_limit(&page);
            }
            total
        }
    };
    let response = RefCell::new(response);
    let take = tokio::sync::Mutex::new(&mut take);
    let segment = |segment| match total {
        1 => request.clone(),
        _ => ReadRequest { segment: Some(segment), total_segments: Some(total), ..request.clone() },
    };
    let waiting: RefCell<VecDeque<ReadRequest>> = RefCell::new((0..total).map(segment).collect());
    wire.pace
        .run(AT_ONCE, || {
            let Some(mut request) = waiting.borrow_mut().pop_front() else { return Ok(None) };
            let (response, waiting, take) = (&response, &waiting, &take);
            Ok(Some(async move {
                let page = request.page(wire).await?;
                response.borrow_mut().add(&page);
                if page.last_evaluated_key.is_some() {
                    request.limit = request.page_limit(&page);
                    request.exclusive_start_key = page.last_evaluated_key.clone();
                    waiting.borrow_mut().push_front(request);
                }
                let mut take = take.lock().await;
                take(page).await
            }))
        })
        .await?;
    Ok(response.into_inner())
}

/// Reads a whole table segment after segment, in an order that is the same each time, and hands each page
/// to `take`.
///
/// # Errors
/// The server refused, or `take` failed.
pub(crate) async fn in_order(
    wire: &Wire,
    request: ReadRequest,
    table: &TableDescription,
    mut take: impl AsyncFnMut(Page) -> Result<()>,
) -> Result<Response> {
    let total = fitting(wire, async || Ok(table.item_count)).await?;
    let mut response = Response::default();
    for segment in 0..total {
        let part = match total {
            1 => request.clone(),
            _ => ReadRequest { segment: Some(segment), total_segments: Some(total), ..request.clone() },
        };
        response.join(pages(wire, part, None, &mut take).await?);
    }
    Ok(response)
}

/// How many segments suit a table that does not fit one page, on this server, which has answered before. `count`
/// tells how many items there are, where that matters.
async fn fitting(wire: &Wire, count: impl AsyncFnOnce() -> Result<u64>) -> Result<u32> {
    // dynoxide goes through the whole table for each page of a segment, and to count its items.
    let is_worth_it = !wire.is_dynoxide() && count().await? >= WORTH_SEGMENTS;
    Ok(if is_worth_it { FITTING } else { 1 })
}

impl ReadRequest {
    /// The limit that makes the next page about as large as it should be, by the one before it.
    fn page_limit(&self, page: &Page) -> Option<u64> {
        if !self.returns_all() {
            return Some(UNSEEN_PAGE);
        }
        let bytes = page.items.iter().map(size_of).sum::<usize>() as u64 * 2 / page.count.max(1);
        Some((PAGE_BYTES / bytes.max(1)).clamp(1, 10_000))
    }
}
