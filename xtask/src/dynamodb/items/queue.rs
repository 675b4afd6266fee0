//! Which items are written next, and how far writing is.

use std::collections::{HashMap, HashSet};
use std::iter::Peekable;
use std::ops::Range;

use anyhow::Result;

use crate::dynamodb::items::WriteRequest;

/// The most requests that BatchWriteItem takes.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
pub(crate) const BATCH: usize = 25;

/// A batch of more text than this is sent before it is full: many at once must not fill the memory.
const BATCH_BYTES: usize = 1 << 20;

/// How far writing is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Written {
    /// How many requests the server has taken.
    pub(crate) count: u64,
    /// How many of the first ones, without a gap.
    pub(crate) in_order: u64,
}

/// The requests that are still to be sent, and what is known of those that were.
pub(crate) struct WriteQueue<'a> {
    // No type parameter: it would be compiled, unoptimised, by who uses it.
    requests: Peekable<Box<dyn Iterator<Item = Result<WriteRequest>> + 'a>>,
    /// The keys of what is under way.
    keys: HashSet<u64>,
    /// How many were taken from `requests`.
    taken: u64,
    /// The ranges, by their beginning, that were written while an earlier one was not.
    ahead: HashMap<u64, u64>,
    written: Written,
}

/// Requests that are sent together, and the places they have among all.
#[derive(Debug)]
pub(crate) struct Batch {
    places: Range<u64>,
    /// The requests, 25 at most.
    pub(crate) requests: Vec<WriteRequest>,
}

impl<'a> WriteQueue<'a> {
    /// Takes the requests one by one, when there is room for them.
    pub(crate) fn new(requests: impl Iterator<Item = Result<WriteRequest>> + 'a) -> Self {
        let requests: Box<dyn Iterator<Item = _>> = Box::new(requests);
        Self {
            requests: requests.peekable(),
            keys: HashSet::new(),
            taken: 0,
            ahead: HashMap::new(),
            written: Written::default(),
        }
    }

    /// The next requests to send. None if there are none left, or the next has to wait for one under way.
    ///
    /// # Errors
    /// What the requests end with, behind the batch of those before it.
    pub(crate) fn next_batch(&mut self) -> Result<Option<Batch>> {
        let mut requests = Vec::with_capacity(BATCH);
        let mut bytes = 0;
        while requests.len() < BATCH && bytes < BATCH_BYTES {
            let mut reserves_key = |next: &Result<WriteRequest>| {
                next.as_ref().map_or(requests.is_empty(), |request| self.keys.insert(request.key))
            };
            let Some(request) = self.requests.next_if(&mut reserves_key).transpose()? else { break };
            bytes += request.text.len();
            requests.push(request);
        }
        let start = self.taken;
        self.taken += requests.len() as u64;
        Ok((!requests.is_empty()).then_some(Batch { places: start..self.taken, requests }))
    }

    /// How far it is.
    pub(crate) fn written(&self) -> Written {
        self.written
    }

    /// Takes note that so many requests of a batch were taken.
    pub(crate) fn took(&mut self, count: u64) -> Written {
        self.written.count += count;
        self.written
    }

    /// Takes note that all of a batch was taken.
    pub(crate) fn has_written(&mut self, batch: Batch) -> Written {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    fn request(key: u64) -> Result<WriteRequest> {
        Ok(WriteRequest { key, text: String::new() })
    }

    fn keys(batch: &Option<Batch>) -> Vec<u64> {
        batch.iter().flat_map(|batch| &batch.requests).map(|request| request.key).collect()
    }

    #[test]
    fn a_key_waits_until_its_earlier_request_is_written() {
        let mut queue = WriteQueue::new([1, 2, 1, 3].map(request).into_iter());
        let first = queue.next_batch().unwrap();
        assert_eq!(keys(&first), [1, 2]);
        assert!(queue.next_batch().unwrap().is_none());
        assert_eq!(queue.took(2), Written { count: 2, in_order: 0 });
        assert_eq!(queue.has_written(first.unwrap()), Written { count: 2, in_order: 2 });
        let second = queue.next_batch().unwrap();
        assert_eq!(keys(&second), [1, 3]);
        assert!(queue.next_batch().unwrap().is_none());
        assert_eq!(queue.has_written(second.unwrap()).in_order, 4);
    }

    #[test]
    fn what_is_written_in_order_has_no_gap() {
        let mut queue = WriteQueue::new((0..60).map(request));
        let [one, two, three] = [(); 3].map(|()| queue.next_batch().unwrap().unwrap());
        let in_order = [two, three, one].map(|batch| queue.has_written(batch).in_order);
        assert_eq!(in_order, [0, 0, 60]);
    }

    #[test]
    fn a_request_that_cannot_be_made_ends_the_batch_before_it() {
        let mut queue = WriteQueue::new([request(1), Err(anyhow::anyhow!("bad"))].into_iter());
        assert_eq!(keys(&queue.next_batch().unwrap()), [1]);
        assert!(queue.next_batch().is_err());
    }
}
