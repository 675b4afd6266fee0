//! A DynamoDB of a test's own: dynoxide in process, in memory.

use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::common::dynamodb::Endpoint;

/// A server on a free port of the loopback; stopped when it is dropped.
pub(crate) struct DynamoDb {
    pub(crate) endpoint: Endpoint,
    /// Dropping it stops the server.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl DynamoDb {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = Endpoint(listener.local_addr().unwrap().port());
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let database = dynoxide::Database::memory().unwrap();
                tokio::select! {
                    () = dynoxide::server::serve_on(listener, database) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { endpoint, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for DynamoDb {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic in there has failed a request, and with it the test.
            let _ = thread.join();
        }
    }
}
