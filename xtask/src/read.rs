//! Reading items page by page, to the end or to a limit.

use anyhow::Result;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use backend_flask::messages::Item;

use crate::output::Response;
use crate::target::DynamoDbTarget;

/// Runs a Query and hands each page's items to `take`, at most `limit` of them in all. A page ends at
/// 1 MB: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html>
///
/// # Errors
/// The server refused, or `take` failed.
pub(crate) async fn query(
    target: &DynamoDbTarget,
    request: QueryFluentBuilder,
    limit: Option<u32>,
    mut take: impl FnMut(Vec<Item>) -> Result<()>,
) -> Result<Response> {
    let mut response = Response::default();
    loop {
        let wanted = limit.map(|limit| u64::from(limit) - response.count);
        let page = request
            .clone()
            .set_limit(wanted.and_then(|wanted| i32::try_from(wanted).ok()))
            .set_exclusive_start_key(response.last_evaluated_key.take())
            .send()
            .await
            .map_err(|error| target.explain(error))?;
        let key = page.last_evaluated_key.as_ref();
        response.add(page.count, page.scanned_count, page.consumed_capacity.as_ref(), key);
        take(page.items.unwrap_or_default())?;
        let enough = limit.is_some_and(|limit| response.count >= u64::from(limit));
        if enough || response.last_evaluated_key.is_none() {
            return Ok(response);
        }
    }
}

/// Runs a Scan to the table's end and hands each page's items to `take`.
///
/// # Errors
/// The server refused, or `take` failed.
pub(crate) async fn scan(
    target: &DynamoDbTarget,
    request: ScanFluentBuilder,
    mut take: impl FnMut(Vec<Item>) -> Result<()>,
) -> Result<Response> {
    let mut response = Response::default();
    let mut pages = request.into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| target.explain(error))?;
        let key = page.last_evaluated_key.as_ref();
        response.add(page.count, page.scanned_count, page.consumed_capacity.as_ref(), key);
        take(page.items.unwrap_or_default())?;
    }
    Ok(response)
}
