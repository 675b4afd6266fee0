//! A proxy that simulates a table with few write units per second.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use cruddur_testing::fixtures::proxy::{Fate, Proxy};
use serde_json::{Value, json};

use crate::common::dynamodb::{Answer, Endpoint};

/// The proxy. It passes on the items for which there are units, and returns the others unprocessed. If there are no
/// units left, it refuses the batch. Unused units are kept for a second.
pub(crate) struct Units {
    pub(crate) endpoint: Endpoint,
    shared: Arc<Shared>,
    _proxy: Proxy,
}

struct Shared {
    a_second: f64,
    /// The number of units left, and the time of that count.
    left: Mutex<(f64, Instant)>,
    written: AtomicUsize,
    are_unlimited: AtomicBool,
}

impl Units {
    pub(crate) fn start(behind: Endpoint, a_second: u32) -> Self {
        let a_second = f64::from(a_second);
        let left = Mutex::new((a_second, Instant::now()));
        let (written, are_unlimited) = (AtomicUsize::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { a_second, left, written, are_unlimited });
        let server = Arc::clone(&shared);
        let proxy = Proxy::start(behind, move |operation, body| match operation {
            "BatchWriteItem" => server.batch(behind, body),
            _ => Ok(Fate::Passed),
        });
        Self { endpoint: proxy.endpoint, shared, _proxy: proxy }
    }

    /// The number of items that were passed on.
    pub(crate) fn written(&self) -> usize {
        self.shared.written.load(Ordering::SeqCst)
    }

    /// Removes the limit.
    pub(crate) fn enough(&self) {
        self.shared.are_unlimited.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    /// Takes one unit per item, because the items are smaller than a kilobyte.
    fn take(&self, wanted: usize) -> usize {
        if self.are_unlimited.load(Ordering::SeqCst) {
            return wanted;
        }
        let mut left = self.left.lock().expect("no test panics with it");
        let (units, since) = *left;
        let now = Instant::now();
        let units = (units + now.duration_since(since).as_secs_f64() * self.a_second).min(self.a_second);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few units")]
        let taken = wanted.min(units as usize);
        #[expect(clippy::cast_precision_loss, reason = "a batch at most")]
        let rest = units - taken as f64;
        *left = (rest, now);
        taken
    }

    fn batch(&self, behind: Endpoint, body: &str) -> std::io::Result<Fate> {
        let mut request: Value = serde_json::from_str(body)?;
        let tables = request["RequestItems"].as_object_mut().expect("tables");
        let (table, requests) = tables.iter_mut().next().expect("one table");
        let (table, requests) = (table.clone(), requests.as_array_mut().expect("requests"));
        let taken = self.take(requests.len());
        if taken == 0 {
            return Ok(Fate::throttled());
        }
        let left = requests.split_off(taken);
        let answer = behind.send("BatchWriteItem", &request.to_string())?;
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.written.fetch_add(taken, Ordering::SeqCst);
        let handed_back = if left.is_empty() { json!({}) } else { json!({ table: left }) };
        let body = json!({ "UnprocessedItems": handed_back }).to_string();
        Ok(Fate::Answered(Answer { status: 200, body }))
    }
}
