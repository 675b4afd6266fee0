//! Writing items in batches, until the server has taken every one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Range;

use anyhow::{Context as _, Result};
use xtask_items::{KeySet, WriteRequest, batch_body, unprocessed};

use crate::failure::Interrupted;
use crate::wire::{BATCH_WRITE, Wire};

/// The most that BatchWriteItem takes.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
const BATCH: usize = 25;

/// A batch of more text than this is sent before it is full: many at once must not fill the memory.
const BATCH_BYTES: usize = 1 << 20;

/// The most batches that are under way at once.
const AT_ONCE: usize = 32;

/// How far writing is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Written {
    /// How many requests the server has taken.
    pub(crate) count: u64,
    /// How many of the first ones, without a gap.
    pub(crate) in_order: u64,
}

/// Sends all requests, many batches at a time; those for one key in their order, one after the other. After
/// each answer `progress` is told how far it is. Returns how many there were. A user who asks to stop waits
/// for the batches under way.
///
/// # Errors
/// The server refused, or throttled and took nothing for too long: how many were written. Or what `requests`
/// or `progress` ended with. Or the user asked to stop.
pub(crate) async fn write_all(
    wire: &Wire,
    table: &str,
    requests: impl IntoIterator<Item = Result<WriteRequest>>,
    progress: impl FnMut(Written) -> Result<()>,
) -> Result<u64> {
    let _held = wire.ui.stop.hold().await;
    let queue = RefCell::new(Queue::new(requests.into_iter()));
    let progress = RefCell::new(progress);
    let took = |count| (progress.borrow_mut())(queue.borrow_mut().took(count));
    let write = async |batch: Batch| {
        let written = write_batch(wire, table, &batch.requests, took).await;
        match written {
            Ok(()) => (progress.borrow_mut())(queue.borrow_mut().has_written(batch)),
            // Those beside it are waited for, and counted; `next` ends it all.
            Err(error) if error.is::<Interrupted>() => Ok(()),
            Err(error) => Err(error),
        }
    };
    let next = || {
        wire.ui.stop.check()?;
        Ok(queue.borrow_mut().next_batch()?.map(&write))
    };
    let ended = wire.pace.run(AT_ONCE, next).await;
    let written = queue.borrow().written;
    let written_for_certain = format!("{} items are written for certain", written.count);
    match ended {
        Err(error) if error.is::<Interrupted>() => Err(Interrupted::explained(error, || written_for_certain)),
        ended => ended.context(written_for_certain).map(|()| written.count),
    }
}

/// The requests that are still to be sent, and what is known of those that were.
struct Queue<I: Iterator> {
    requests: Peekable<I>,
    /// The keys of what is under way.
    keys: KeySet,
    /// How many were taken from `requests`.
    taken: u64,
    /// The ranges, by their beginning, that were written while an earlier one was not.
    ahead: BTreeMap<u64, u64>,
    written: Written,
}

/// Requests that are sent together: the places they have among all, and their texts.
struct Batch {
    places: Range<u64>,
    requests: Vec<WriteRequest>,
}

impl<I: Iterator<Item = Result<WriteRequest>>> Queue<I> {
    fn new(requests: I) -> Self {
        Self {
            requests: requests.peekable(),
            keys: KeySet::default(),
            taken: 0,
            ahead: BTreeMap::new(),
            written: Written::default(),
        }
    }

    /// The next requests to send. None if there are none left, or the next has to wait for one under way.
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let mut requests = Vec::with_capacity(BATCH);
        let mut bytes = 0;
        while requests.len() < BATCH && bytes < BATCH_BYTES {
            let waits = |next: &Result<WriteRequest>| {
                next.as_ref().is_ok_and(|request| self.keys.contains(&request.key))
            };
            let Some(request) = self.requests.next_if(|next| !waits(next)).transpose()? else { break };
            bytes += request.text.len();
            self.keys.insert(&request.key);
            requests.push(request);
        }
        let start = self.taken;
        self.taken += requests.len() as u64;
        Ok((!requests.is_empty()).then_some(Batch { places: start..self.taken, requests }))
    }

    /// Takes note that so many requests of a batch were taken.
    fn took(&mut self, count: u64) -> Written {
        self.written.count += count;
        self.written
    }

    /// Takes note that all of a batch was taken.
    fn has_written(&mut self, batch: Batch) -> Written {
        for request in &batch.requests {
            self.keys.remove(&request.key);
        }
        let in_order = &mut self.written.in_order;
        self.ahead.insert(batch.places.start, batch.places.end);
        while let Some(end) = self.ahead.remove(in_order) {
            *in_order = end;
        }
        self.written
    }
}

/// Sends one batch, and again what was handed back, waiting longer each time; tells `took` how many were
/// taken.
async fn write_batch(
    wire: &Wire,
    table: &str,
    requests: &[WriteRequest],
    took: impl Fn(u64) -> Result<()>,
) -> Result<()> {
    let mut body = batch_body(table, requests.iter().map(|request| request.text.as_str()));
    let mut sent = requests.len();
    let mut fruitless = 0;
    loop {
        let answer = wire.call(BATCH_WRITE, body).await?;
        let left = unprocessed(&answer).with_context(|| format!("{} answered {BATCH_WRITE}", wire.target))?;
        let taken = sent.saturating_sub(left.len()) as u64;
        if taken > 0 {
            wire.gained(taken);
            took(taken)?;
        }
        if left.is_empty() {
            return Ok(());
        }
        wire.throttled("it handed all items of a batch back")?;
        fruitless = if taken > 0 { 0 } else { fruitless + 1 };
        wire.wait(fruitless + 1).await?;
        sent = left.len();
        body = batch_body(table, left.iter().map(String::as_str));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: &str) -> Result<WriteRequest> {
        Ok(WriteRequest { key: key.to_owned(), text: key.to_owned() })
    }

    fn keys(batch: &Option<Batch>) -> Vec<&str> {
        batch.iter().flat_map(|batch| &batch.requests).map(|request| request.key.as_str()).collect()
    }

    #[test]
    fn a_key_waits_until_its_earlier_request_is_written() {
        let mut queue = Queue::new(["a", "b", "a", "c"].map(request).into_iter());
        let first = queue.next_batch().unwrap();
        assert_eq!(keys(&first), ["a", "b"]);
        assert!(queue.next_batch().unwrap().is_none());
        assert_eq!(queue.took(2), Written { count: 2, in_order: 0 });
        assert_eq!(queue.has_written(first.unwrap()), Written { count: 2, in_order: 2 });
        let second = queue.next_batch().unwrap();
        assert_eq!(keys(&second), ["a", "c"]);
        assert!(queue.next_batch().unwrap().is_none());
        assert_eq!(queue.has_written(second.unwrap()).in_order, 4);
    }

    #[test]
    fn what_is_written_in_order_has_no_gap() {
        let names: Vec<String> = (0..60).map(|number| number.to_string()).collect();
        let mut queue = Queue::new(names.iter().map(|name| request(name)));
        let [one, two, three] = [(); 3].map(|()| queue.next_batch().unwrap().unwrap());
        let in_order = [two, three, one].map(|batch| queue.has_written(batch).in_order);
        assert_eq!(in_order, [0, 0, 60]);
    }

    #[test]
    fn a_request_that_cannot_be_made_ends_the_batch_before_it() {
        let mut queue = Queue::new([request("a"), Err(anyhow::anyhow!("bad"))].into_iter());
        assert!(queue.next_batch().is_err());
    }
}
