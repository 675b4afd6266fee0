//! A server that hands items of BatchWriteItem back as unprocessed, as DynamoDB does when it throttles,
//! and passes everything else on to a real one.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::common::dynamodb::{Answer, Endpoint, Head};

/// How many of a batch's items are let through: given the batch's number (from 0) and its size.
type Accepts = fn(usize, usize) -> usize;

/// The server; it ends with the test program's process, or at the first connection after a drop.
pub(crate) struct Throttle {
    pub(crate) endpoint: Endpoint,
    shared: Arc<Shared>,
}

struct Shared {
    behind: Endpoint,
    accepts: Accepts,
    batches: AtomicUsize,
    /// The sort keys of the items that were let through, each as often as it was.
    written: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl Throttle {
    pub(crate) fn start(behind: Endpoint, accepts: Accepts) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint(listener.local_addr().unwrap().port());
        let shared = Arc::new(Shared {
            behind,
            accepts,
            batches: AtomicUsize::new(0),
            written: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if server.ended.load(Ordering::SeqCst) {
                    break;
                }
                let server = Arc::clone(&server);
                // A client that goes away in the middle of a request is the client's affair.
                std::thread::spawn(move || _ = server.serve(stream));
            }
        });
        Self { endpoint, shared }
    }

    /// How many batches were sent.
    pub(crate) fn batches(&self) -> usize {
        self.shared.batches.load(Ordering::SeqCst)
    }

    /// The items that were let through: partition key and sort key.
    pub(crate) fn written(&self) -> Vec<String> {
        self.shared.written.lock().unwrap().clone()
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // One more connection lets the listening thread see it.
        let _ = TcpStream::connect(("127.0.0.1", self.endpoint.0));
    }
}

impl Shared {
    /// Answers a connection's requests until the client closes it.
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut out = stream;
        loop {
            let head = Head::read(&mut reader)?;
            let mut body = String::new();
            (&mut reader).take(head.length.unwrap_or_default()).read_to_string(&mut body)?;
            let Answer { status, body } = match head.operation.as_str() {
                "BatchWriteItem" => self.batch(&body)?,
                operation => self.behind.send(operation, &body)?,
            };
            write!(
                out,
                "HTTP/1.1 {status} .\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )?;
        }
    }

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
