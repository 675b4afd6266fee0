//! A Query or Scan request, and one page of its result.

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use aws_sdk_dynamodb::operation::scan::builders::ScanInputBuilder;
use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};

use super::client::DynamoDb;
use super::json::Item;

#[derive(Clone)]
pub(crate) enum Request {
    Query(QueryInputBuilder),
    Scan(ScanInputBuilder),
}

impl From<QueryInputBuilder> for Request {
    fn from(query: QueryInputBuilder) -> Self {
        Self::Query(query)
    }
}

impl From<ScanInputBuilder> for Request {
    fn from(scan: ScanInputBuilder) -> Self {
        Self::Scan(scan)
    }
}

/// One response to a Query or Scan.
pub(crate) struct Page {
    pub(crate) items: Vec<Item>,
    /// The number of items found, or kept.
    pub(crate) count: u64,
    /// The number of items read to find them.
    pub(super) scanned_count: u64,
    /// The key to continue from, unless this is the last page.
    pub(super) last_evaluated_key: Option<Item>,
    pub(super) capacity: Option<ConsumedCapacity>,
}

impl Request {
    pub(super) fn table(&self) -> &str {
        let table = match self {
            Self::Query(query) => query.get_table_name(),
            Self::Scan(scan) => scan.get_table_name(),
        };
        table.as_deref().unwrap_or_default()
    }

    pub(super) fn index(&self) -> Option<&str> {
        match self {
            Self::Query(query) => query.get_index_name().as_deref(),
            Self::Scan(scan) => scan.get_index_name().as_deref(),
        }
    }

    /// The maximum number of items in a page, if the caller set one.
    pub(super) fn limit(&self) -> Option<i32> {
        match self {
            Self::Query(query) => *query.get_limit(),
            Self::Scan(scan) => *scan.get_limit(),
        }
    }

    pub(super) fn has_filter(&self) -> bool {
        match self {
            Self::Query(query) => query.get_filter_expression().is_some(),
            Self::Scan(scan) => scan.get_filter_expression().is_some(),
        }
    }

    /// A copy that also returns the attributes `missing`, or only these if the original asks for a count.
    pub(super) fn with(&self, missing: &[&str]) -> Self {
        let named =
            || missing.iter().enumerate().map(|(place, name)| (format!("#key{place}_of_the_last"), *name));
        let projection = |given: &Option<String>| {
            let paths: Vec<_> =
                given.iter().cloned().chain(named().map(|(placeholder, _)| placeholder)).collect();
            paths.join(", ")
        };
        match self {
            Self::Query(query) => {
                let projection = projection(query.get_projection_expression());
                let query = query.clone().set_select(None).projection_expression(projection);
                Self::Query(
                    named().fold(query, |query, (it, name)| query.expression_attribute_names(it, name)),
                )
            }
            Self::Scan(scan) => {
                let projection = projection(scan.get_projection_expression());
                let scan = scan.clone().set_select(None).projection_expression(projection);
                Self::Scan(named().fold(scan, |scan, (it, name)| scan.expression_attribute_names(it, name)))
            }
        }
    }

    pub(super) async fn page(
        &self,
        dynamodb: &DynamoDb,
        limit: Option<i32>,
        start: Option<&Item>,
    ) -> Result<Page> {
        let client = &dynamodb.client;
        let failed = |operation: &str| format!("cannot {operation} table {}", self.table());
        let (items, counts, last_evaluated_key, capacity) = match self {
            Self::Query(query) => {
                let send = async || {
                    let query = query.clone().set_limit(limit).set_exclusive_start_key(start.cloned());
                    let query = query.return_consumed_capacity(ReturnConsumedCapacity::Total);
                    query.send_with(client).await
                };
                let answer = dynamodb.send(send).await.with_context(|| failed("query"))?;
                let counts = [answer.count, answer.scanned_count];
                (answer.items, counts, answer.last_evaluated_key, answer.consumed_capacity)
            }
            Self::Scan(scan) => {
                let send = async || {
                    let scan = scan.clone().set_limit(limit).set_exclusive_start_key(start.cloned());
                    let scan = scan.return_consumed_capacity(ReturnConsumedCapacity::Total);
                    scan.send_with(client).await
                };
                let answer = dynamodb.send(send).await.with_context(|| failed("scan"))?;
                let counts = [answer.count, answer.scanned_count];
                (answer.items, counts, answer.last_evaluated_key, answer.consumed_capacity)
            }
        };
        let [count, scanned_count] = counts.map(|count| u64::try_from(count).unwrap_or_default());
        dynamodb.gained(count);
        dynamodb.spend("read", &capacity);
        Ok(Page { items: items.unwrap_or_default(), count, scanned_count, last_evaluated_key, capacity })
    }
}

impl Page {
    /// The consumed capacity units, if the server reports them.
    pub(crate) fn capacity_units(&self) -> Option<f64> {
        self.capacity.as_ref()?.capacity_units
    }

    /// Keeps the first `most` items. Returns whether there were more.
    pub(super) fn keep(&mut self, most: u64) -> bool {
        let more = self.count > most;
        self.count = self.count.min(most);
        self.items.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        more
    }
}
