//! Writes items in batches, and repeats what the server returns unprocessed.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::iter::Peekable;

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{DeleteRequest, PutRequest, ReturnConsumedCapacity, WriteRequest};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::client::DynamoDb;
use super::error::RequestError;
use super::json::{AttributeValue, Item};
use super::number::Number;
use super::size::size_of;
use crate::error::{Incomplete, Interrupted};
use crate::text::counted;

/// How many batches are sent concurrently.
const AT_ONCE: usize = 16;

/// The maximum number of requests in a BatchWriteItem.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
const BATCH: usize = 25;

/// A batch of large items is sent before it is full, because many batches are in memory at once.
const BATCH_BYTES: usize = 1 << 20;

/// A request to put or delete an item.
pub(crate) struct Write {
    /// A hash of the item's key. Requests for the same item have the same hash; others almost never do.
    pub(crate) key: u64,
    bytes: usize,
    request: WriteRequest,
}

impl Write {
    /// Puts an item into a table with these key names.
    pub(crate) fn put(item: Item, keys: &[&str]) -> Result<Self> {
        let (key, bytes) = (key_of(&item, keys), size_of(&item));
        let put = PutRequest::builder().set_item(Some(item)).build()?;
        Ok(Self { key, bytes, request: WriteRequest::builder().put_request(put).build() })
    }

    /// Deletes the item with this key from a table with these key names.
    pub(crate) fn delete(key: Item, keys: &[&str]) -> Result<Self> {
        let (hash, bytes) = (key_of(&key, keys), size_of(&key));
        let delete = DeleteRequest::builder().set_key(Some(key)).build()?;
        Ok(Self { key: hash, bytes, request: WriteRequest::builder().delete_request(delete).build() })
    }
}

/// Hashes the types and values of the key. A number's form does not matter.
fn key_of(item: &Item, names: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for value in names.iter().filter_map(|name| item.get(*name)) {
        match value {
            AttributeValue::S(value) => ("S", value).hash(&mut hasher),
            AttributeValue::N(value) => {
                ("N", Number::read(value).map(|(number, _)| number)).hash(&mut hasher);
            }
            AttributeValue::B(value) => ("B", Blob::as_ref(value)).hash(&mut hasher),
            // Not a valid key. The server will reject it.
            _ => {}
        }
    }
    hasher.finish()
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Written {
    /// The number of requests that the server has processed.
    pub(crate) count: u64,
    /// The number of processed requests before the first unprocessed one.
    pub(crate) in_order: u64,
}

/// The requests that have not been sent yet, and which are under way.
struct Queue<I: Iterator<Item = Result<Write>>> {
    requests: Peekable<I>,
    /// The number of requests taken from `requests`.
    taken: u64,
    /// How many requests were taken before each batch under way.
    starts: BTreeSet<u64>,
    /// The keys of the requests under way.
    keys: HashSet<u64>,
}

impl<I: Iterator<Item = Result<Write>>> Queue<I> {
    fn new(requests: I) -> Self {
        Self { requests: requests.peekable(), taken: 0, starts: BTreeSet::new(), keys: HashSet::new() }
    }

    /// The next batch, and how many requests were taken before it. It is empty if no requests are left, or if the next one must wait for an earlier request with
    /// the same key. An error among the requests is returned after the batch of those before it.
    fn next_batch(&mut self) -> Result<(u64, Vec<Write>)> {
        let mut batch: Vec<Write> = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let can_be_next = |next: &Result<Write>| match next {
                Ok(write) => self.keys.insert(write.key),
                Err(_) => batch.is_empty(),
            };
            let Some(write) = self.requests.next_if(can_be_next).transpose()? else { break };
            bytes += write.bytes;
            batch.push(write);
        }
        let start = self.taken;
        self.taken += batch.len() as u64;
        if !batch.is_empty() {
            self.starts.insert(start);
        }
        Ok((start, batch))
    }

    /// Takes note that the server has processed a whole batch. Returns the number of processed requests before the first
    /// unprocessed one.
    fn has_written(&mut self, start: u64, keys: &[u64]) -> u64 {
        keys.iter().for_each(|key| _ = self.keys.remove(key));
        self.starts.remove(&start);
        self.starts.first().copied().unwrap_or(self.taken)
    }
}

/// Sends all requests, in concurrent batches. Requests for the same key are sent in order, one after the other. Calls
/// `progress` after each answer. Returns the number of requests. If the user asks to stop, batches under way are
/// completed first.
pub(crate) async fn write_all(
    dynamodb: &DynamoDb,
    table: &str,
    requests: impl Iterator<Item = Result<Write>>,
    progress: impl FnMut(Written),
) -> Result<u64> {
    let stop = &dynamodb.ui.stop;
    let _held = stop.hold().await;
    let mut queue = Queue::new(requests);
    let written = Cell::new(Written::default());
    let progress = RefCell::new(progress);
    let advance = |now| {
        written.set(now);
        (progress.borrow_mut())(now);
    };
    let write = async |start, batch: Vec<Write>| {
        let (keys, requests): (Vec<_>, _) = batch.into_iter().map(|write| (write.key, write.request)).unzip();
        let took = |more| advance(Written { count: written.get().count + more, ..written.get() });
        write_batch(dynamodb, table, requests, took).await.map(|()| (start, keys))
    };
    let mut under_way = FuturesUnordered::new();
    let mut ended = Ok(());
    loop {
        while ended.is_ok() && under_way.len() < AT_ONCE {
            match stop.check().map_err(Into::into).and_then(|()| queue.next_batch()) {
                Ok((_, batch)) if batch.is_empty() => break,
                Ok((start, batch)) => under_way.push(write(start, batch)),
                Err(error) => ended = Err(error),
            }
        }
        match under_way.next().await {
            Some(Ok((start, keys))) => {
                advance(Written { in_order: queue.has_written(start, &keys), ..written.get() });
            }
            // The other batches under way are completed and counted.
            Some(Err(error)) if error.is::<Interrupted>() => {}
            Some(Err(error)) => {
                ended = Err(error);
                break;
            }
            None => break,
        }
    }
    let count = written.get().count;
    let is_known = under_way.is_empty()
        && !ended.as_ref().err().and_then(RequestError::of).is_some_and(RequestError::may_be_done);
    let certain = match count {
        0 if is_known => "no item was written".to_owned(),
        0 => "no item is known to be written".to_owned(),
        _ => format!("{} certainly written", counted(count, "item was", "items were")),
    };
    match ended {
        Err(error) if error.is::<Interrupted>() => Err(Interrupted::explained(error, || certain)),
        Err(error) => Err(Incomplete::new(certain, error).into()),
        Ok(()) => Ok(count),
    }
}

/// Sends one batch, and repeats unprocessed requests with backoff. Calls `took` with the number processed by each
/// answer.
async fn write_batch(
    dynamodb: &DynamoDb,
    table: &str,
    mut requests: Vec<WriteRequest>,
    took: impl Fn(u64),
) -> Result<()> {
    let mut fruitless = 0;
    loop {
        let send = async || {
            let send = dynamodb.client.batch_write_item().request_items(table, requests.clone());
            send.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await
        };
        let answer = dynamodb.send_batch(send).await?;
        dynamodb.spend("write", answer.consumed_capacity.iter().flatten());
        let left = answer.unprocessed_items.with_context(|| {
            format!("{} answered BatchWriteItem in a form that is not its API's", dynamodb.target)
        })?;
        let left: Vec<_> = left.into_values().flatten().collect();
        let taken = requests.len().saturating_sub(left.len()) as u64;
        if taken > 0 {
            dynamodb.gained(taken);
            took(taken);
        }
        if left.is_empty() {
            return Ok(());
        }
        dynamodb.throttled("it handed all items of a batch back")?;
        fruitless = if taken > 0 { 0 } else { fruitless + 1 };
        dynamodb.wait(fruitless + 1).await?;
        requests = left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(pk: AttributeValue, other: &str) -> Item {
        Item::from([("pk".to_owned(), pk), ("other".to_owned(), AttributeValue::S(other.to_owned()))])
    }

    fn key(pk: AttributeValue, other: &str) -> u64 {
        Write::put(item(pk, other), &["pk"]).unwrap().key
    }

    fn s(text: &str) -> AttributeValue {
        AttributeValue::S(text.to_owned())
    }

    fn n(number: &str) -> AttributeValue {
        AttributeValue::N(number.to_owned())
    }

    #[test]
    fn requests_for_the_same_item_have_the_same_key() {
        assert_eq!(key(s("1"), "a"), key(s("1"), "b"));
        assert_eq!(key(s("1"), "a"), Write::delete(item(s("1"), ""), &["pk"]).unwrap().key);
        assert_ne!(key(s("1"), "a"), key(s("2"), "a"));
        assert_ne!(key(s("1"), "a"), key(n("1"), "a"));
    }

    #[test]
    fn a_key_is_the_same_however_its_number_is_written() {
        for ways in [["1", "1.0", "10e-1"], ["0", "0.00", "-0"], ["-20", "-2e1", "-020.0"]] {
            assert_eq!(ways.map(|way| key(n(way), "")), [key(n(ways[0]), ""); 3], "{ways:?}");
        }
        assert_ne!(key(n("1"), ""), key(n("-1"), ""));
        assert_ne!(key(n("1"), ""), key(n("10"), ""));
    }

    fn write(pk: u64) -> Result<Write> {
        Write::put(item(n(&pk.to_string()), ""), &["pk"])
    }

    fn written<I: Iterator<Item = Result<Write>>>(
        queue: &mut Queue<I>,
        (start, batch): &(u64, Vec<Write>),
    ) -> u64 {
        let keys: Vec<_> = batch.iter().map(|write| write.key).collect();
        queue.has_written(*start, &keys)
    }

    #[test]
    fn a_key_waits_until_its_earlier_request_is_written() {
        let mut queue = Queue::new([1, 2, 1, 3].map(write).into_iter());
        let first = queue.next_batch().unwrap();
        assert_eq!(first.1.len(), 2);
        assert!(queue.next_batch().unwrap().1.is_empty());
        assert_eq!(written(&mut queue, &first), 2);
        let second = queue.next_batch().unwrap();
        assert_eq!(second.1.len(), 2);
        assert!(queue.next_batch().unwrap().1.is_empty());
        assert_eq!(written(&mut queue, &second), 4);
    }

    #[test]
    fn progress_in_order_has_no_gap() {
        let mut queue = Queue::new((0..60).map(write));
        let [one, two, three] = [(); 3].map(|()| queue.next_batch().unwrap());
        assert_eq!([two, three, one].map(|batch| written(&mut queue, &batch)), [0, 0, 60]);
    }

    #[test]
    fn a_request_that_cannot_be_made_ends_the_batch_before_it() {
        let mut queue = Queue::new([write(1), Err(anyhow::anyhow!("bad"))].into_iter());
        assert_eq!(queue.next_batch().unwrap().1.len(), 1);
        assert!(queue.next_batch().is_err());
    }
}
