//! A proxy that returns items of BatchWriteItem unprocessed, as DynamoDB does when it throttles, and passes
//! everything else on to a real server.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::common::dynamodb::{Answer, Endpoint};
use crate::proxy::{Fate, Proxy};

/// How many items of a batch are passed on. Gets the batch's number, from 0, and its size.
type Accepts = fn(usize, usize) -> usize;

/// The proxy. Dropping it ends it.
pub(crate) struct Throttle {
    pub(crate) endpoint: Endpoint,
    shared: Arc<Shared>,
    _proxy: Proxy,
}

struct Shared {
    behind: Endpoint,
    accepts: Accepts,
    batches: AtomicUsize,
    /// The keys of the items that were passed on, one entry for each time.
    written: Mutex<Vec<String>>,
}

impl Throttle {
    pub(crate) fn start(behind: Endpoint, accepts: Accepts) -> Self {
        let shared =
            Arc::new(Shared { behind, accepts, batches: AtomicUsize::new(0), written: Mutex::default() });
        let server = Arc::clone(&shared);
        let proxy = Proxy::start(behind, move |operation, body| match operation {
            "BatchWriteItem" => server.batch(body).map(Fate::Answered),
            _ => Ok(Fate::Passed),
        });
        Self { endpoint: proxy.endpoint, shared, _proxy: proxy }
    }

    /// The number of batches that were sent.
    pub(crate) fn batches(&self) -> usize {
        self.shared.batches.load(Ordering::SeqCst)
    }

    /// The items that were passed on: partition key and sort key.
    pub(crate) fn written(&self) -> Vec<String> {
        self.shared.written.lock().unwrap().clone()
    }
}

impl Shared {
    fn batch(&self, body: &str) -> std::io::Result<Answer> {
        let mut request: Value = serde_json::from_str(body)?;
        let tables = request["RequestItems"].as_object_mut().expect("tables");
        assert_eq!(tables.len(), 1, "one table is written");
        let (table, requests) = tables.iter_mut().next().expect("one table");
        let table = table.clone();
        let requests = requests.as_array_mut().expect("requests");
        let number = self.batches.fetch_add(1, Ordering::SeqCst);
        let accepted = (self.accepts)(number, requests.len()).min(requests.len());
        let unprocessed = requests.split_off(accepted);
        let keys = requests.iter().map(|request| &request["PutRequest"]["Item"]);
        let keys: Vec<_> = keys.map(|item| format!("{} {}", item["pk"]["S"], item["sk"]["S"])).collect();
        if !keys.is_empty() {
            let answer = self.behind.send("BatchWriteItem", &request.to_string())?;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        self.written.lock().expect("no test panics with it").extend(keys);
        let handed_back = if unprocessed.is_empty() { json!({}) } else { json!({ table: unprocessed }) };
        Ok(Answer { status: 200, body: json!({ "UnprocessedItems": handed_back }).to_string() })
    }
}
