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

/// Does the same with either builder: the SDK has no trait for both.
macro_rules! either {
    ($request:expr, $builder:ident => $done:expr) => {
        match $request {
            Request::Query($builder) => $done,
            Request::Scan($builder) => $done,
        }
    };
}

impl Request {
    pub(super) fn table(&self) -> &str {
        either!(self, request => request.get_table_name().as_deref()).unwrap_or_default()
    }

    pub(super) fn index(&self) -> Option<&str> {
        either!(self, request => request.get_index_name().as_deref())
    }

    /// The maximum number of items in a page, if the caller set one.
    pub(super) fn limit(&self) -> Option<i32> {
        either!(self, request => *request.get_limit())
    }

    pub(super) fn has_filter(&self) -> bool {
        either!(self, request => request.get_filter_expression().is_some())
    }

    /// A copy that also returns the attributes `missing`, or only these if the original asks for a count.
    pub(super) fn with(&self, missing: &[&str]) -> Self {
        let placeholder = |place: usize| format!("#key{place}_of_the_last");
        either!(self, request => {
            let given = request.get_projection_expression().clone();
            let paths: Vec<_> = given.into_iter().chain((0..missing.len()).map(placeholder)).collect();
            let mut request = request.clone().set_select(None).projection_expression(paths.join(", "));
            for (place, name) in missing.iter().enumerate() {
                request = request.expression_attribute_names(placeholder(place), *name);
            }
            request.into()
        })
    }

    pub(super) async fn page(
        &self,
        dynamodb: &DynamoDb,
        limit: Option<i32>,
        start: Option<&Item>,
    ) -> Result<Page> {
        let operation = if matches!(self, Self::Query(_)) { "query" } else { "scan" };
        let failed = || format!("cannot {operation} table {}", self.table());
        let (items, counts, last_evaluated_key, capacity) = either!(self, request => {
            let send = async || {
                let request = request.clone().set_limit(limit).set_exclusive_start_key(start.cloned());
                let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
                request.send_with(&dynamodb.client).await
            };
            let answer = dynamodb.send(send).await.with_context(failed)?;
            let counts = [answer.count, answer.scanned_count];
            (answer.items, counts, answer.last_evaluated_key, answer.consumed_capacity)
        });
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
