//! Reading items page by page, to the end or to a limit.
//!
//! The SDK sends and signs the requests and reads what an answer says beside its items. The items
//! themselves are taken out of the body before, by code that is optimised in a development build too.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity};
use aws_smithy_types::base64;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame};
use xtask_items::{Attribute, Item, Page, Response, split};

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
    take: impl FnMut(Vec<Item>) -> Result<()>,
) -> Result<Response> {
    let ask = async |wanted, start, taken| {
        let asked = request.clone().set_limit(wanted).set_exclusive_start_key(start);
        let answer = asked.customize().interceptor(taken).send().await;
        let answer = answer.map_err(|error| target.explain(error))?;
        Ok(Answer {
            count: answer.count,
            scanned_count: answer.scanned_count,
            capacity: answer.consumed_capacity,
            next: answer.last_evaluated_key,
        })
    };
    follow(limit, ask, take).await
}

/// Runs a Scan to the table's end and hands each page's items to `take`.
///
/// # Errors
/// The server refused, or `take` failed.
pub(crate) async fn scan(
    target: &DynamoDbTarget,
    request: ScanFluentBuilder,
    take: impl FnMut(Vec<Item>) -> Result<()>,
) -> Result<Response> {
    let ask = async |_, start, taken| {
        let asked = request.clone().set_exclusive_start_key(start);
        let answer = asked.customize().interceptor(taken).send().await;
        let answer = answer.map_err(|error| target.explain(error))?;
        Ok(Answer {
            count: answer.count,
            scanned_count: answer.scanned_count,
            capacity: answer.consumed_capacity,
            next: answer.last_evaluated_key,
        })
    };
    follow(None, ask, take).await
}

/// What one page's answer says beside its items.
struct Answer {
    count: i32,
    scanned_count: i32,
    capacity: Option<ConsumedCapacity>,
    /// Where the next page begins.
    next: Option<Key>,
}

/// Where a page begins, as the SDK knows it.
type Key = backend_flask::messages::Item;

/// Follows the pages to the end or to `limit` items. `ask` is told how many are still wanted, where the
/// page begins, and what takes its items.
async fn follow(
    limit: Option<u32>,
    ask: impl AsyncFn(Option<i32>, Option<Key>, TakeItems) -> Result<Answer>,
    mut take: impl FnMut(Vec<Item>) -> Result<()>,
) -> Result<Response> {
    let mut response = Response::default();
    let mut start = None;
    loop {
        let wanted = limit.map(|limit| u64::from(limit) - response.count);
        let taken = TakeItems::default();
        let wanted = wanted.and_then(|wanted| i32::try_from(wanted).ok());
        let answer = ask(wanted, start, taken.clone()).await?;
        let page = taken.page();
        response.count += u64::try_from(answer.count).unwrap_or_default();
        response.scanned_count += u64::try_from(answer.scanned_count).unwrap_or_default();
        response.last_evaluated_key = page.last_evaluated_key;
        if let Some(capacity) = answer.capacity {
            response.table = capacity.table_name;
            *response.capacity_units.get_or_insert_default() += capacity.capacity_units.unwrap_or_default();
        }
        take(page.items)?;
        start = answer.next;
        let enough = limit.is_some_and(|limit| response.count >= u64::from(limit));
        if enough || start.is_none() {
            return Ok(response);
        }
    }
}

/// An item as the data layer and the SDK know it.
///
/// # Errors
/// Binary that is not base64.
pub(crate) fn typed(item: Item) -> Result<backend_flask::messages::Item> {
    item.into_iter().map(|(name, value)| Ok((name, typed_value(value)?))).collect()
}

fn typed_value(value: Attribute) -> Result<AttributeValue> {
    let bytes = |text: String| base64::decode(text).map(Blob::new).context("binary that is not base64");
    Ok(match value {
        Attribute::S(text) => AttributeValue::S(text),
        Attribute::N(number) => AttributeValue::N(number),
        Attribute::B(text) => AttributeValue::B(bytes(text)?),
        Attribute::Bool(value) => AttributeValue::Bool(value),
        Attribute::Null(value) => AttributeValue::Null(value),
        Attribute::M(item) => AttributeValue::M(typed(item)?),
        Attribute::L(values) => {
            AttributeValue::L(values.into_iter().map(typed_value).collect::<Result<_>>()?)
        }
        Attribute::Ss(texts) => AttributeValue::Ss(texts),
        Attribute::Ns(numbers) => AttributeValue::Ns(numbers),
        Attribute::Bs(texts) => AttributeValue::Bs(texts.into_iter().map(bytes).collect::<Result<_>>()?),
    })
}

/// Takes the items out of one request's answer.
#[derive(Clone, Debug, Default)]
struct TakeItems(Arc<Mutex<Page>>);

impl TakeItems {
    /// What was taken.
    fn page(&self) -> Page {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Intercept for TakeItems {
    fn name(&self) -> &'static str {
        "TakeItems"
    }

    /// The body has not arrived yet: what it becomes is told to the body.
    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        if response.status().is_success() {
            let whole = std::mem::replace(response.body_mut(), SdkBody::taken());
            let rest = Rest { whole: Some(whole), read: Vec::new(), taken: self.clone() };
            *response.body_mut() = SdkBody::from_body_1_x(rest);
        }
        Ok(())
    }
}

/// A body without its items.
struct Rest {
    /// None once it has been read to its end.
    whole: Option<SdkBody>,
    read: Vec<u8>,
    taken: TakeItems,
}

impl Body for Rest {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        while let Some(whole) = &mut this.whole {
            match ready!(Pin::new(whole).poll_frame(context)).transpose()? {
                Some(frame) => this.read.extend_from_slice(&frame.into_data().unwrap_or_default()),
                None => {
                    this.whole = None;
                    let (page, rest) = split(&this.read)?;
                    *this.taken.0.lock().unwrap_or_else(PoisonError::into_inner) = page;
                    return Poll::Ready(Some(Ok(Frame::data(rest.into()))));
                }
            }
        }
        Poll::Ready(None)
    }
}
