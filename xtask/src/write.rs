//! Writing items in batches, until the server has taken every one.

use std::time::Duration;

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{DeleteRequest, PutRequest, WriteRequest};
use backend_flask::messages::Item;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::failure::Failure;
use crate::target::DynamoDbTarget;

/// The most that BatchWriteItem takes.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
const BATCH: usize = 25;

/// How many batches are under way at once.
const CONCURRENCY: usize = 5;

/// The first wait before items that were handed back are sent again; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How often in a row a batch may come back without the server having taken anything.
const FRUITLESS_ATTEMPTS: u32 = 10;

/// A request to put an item.
///
/// # Errors
/// None today: the SDK's builder can only fail without an item.
pub(crate) fn put(item: Item) -> Result<WriteRequest> {
    let request = PutRequest::builder().set_item(Some(item)).build()?;
    Ok(WriteRequest::builder().put_request(request).build())
}

/// A request to delete the item of a key.
///
/// # Errors
/// None today: the SDK's builder can only fail without a key.
pub(crate) fn delete(key: Item) -> Result<WriteRequest> {
    let request = DeleteRequest::builder().set_key(Some(key)).build()?;
    Ok(WriteRequest::builder().delete_request(request).build())
}

/// Sends all requests, a few batches at a time. No two may have the same key. Returns how many there were.
///
/// # Errors
/// The server refused, or kept handing items back: how many were written and how many were not.
pub(crate) async fn write_all(
    target: &DynamoDbTarget,
    client: &Client,
    requests: impl IntoIterator<Item = Result<WriteRequest>>,
) -> Result<usize> {
    let requests = requests.into_iter().collect::<Result<Vec<_>>>()?;
    let total = requests.len();
    let batches = requests.chunks(BATCH).map(<[_]>::to_vec);
    let written = std::cell::Cell::new(0);
    stream::iter(batches)
        .map(|batch| async {
            let size = batch.len();
            write_batch(target, client, batch).await?;
            written.set(written.get() + size);
            anyhow::Ok(())
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>()
        .await
        .with_context(|| format!("{} of {total} items are written for certain", written.get()))?;
    Ok(total)
}

/// Sends one batch, and again what was handed back, waiting longer each time.
async fn write_batch(target: &DynamoDbTarget, client: &Client, mut batch: Vec<WriteRequest>) -> Result<()> {
    let table = &target.table;
    let mut fruitless = 0;
    loop {
        let sent = batch.len();
        let answer = client.batch_write_item().request_items(table, batch).send().await;
        let unprocessed =
            answer.map_err(|error| target.explain(error))?.unprocessed_items.unwrap_or_default();
        batch = unprocessed.into_values().flatten().collect();
        if batch.is_empty() {
            return Ok(());
        }
        fruitless = if batch.len() < sent { 0 } else { fruitless + 1 };
        if fruitless == FRUITLESS_ATTEMPTS {
            let problem =
                format!("{target} is throttling: {fruitless} times in a row it took no item of a batch");
            let remedy = "run the command again, which starts over; or give the table more write capacity";
            return Err(Failure::new(problem, remedy).into());
        }
        tokio::time::sleep(wait_before(fruitless)).await;
    }
}

/// Exponential backoff with full jitter.
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
fn wait_before(attempt: u32) -> Duration {
    let longest = FIRST_WAIT.saturating_mul(1 << attempt.min(16)).min(LONGEST_WAIT);
    longest.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_within_their_bound() {
        for attempt in 0..40 {
            assert!(wait_before(attempt) <= LONGEST_WAIT.min(FIRST_WAIT * (1 << attempt.min(16))));
        }
    }
}
