//! A DynamoDB for one test: dynoxide in this process and in memory.

use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::common::dynamodb::Endpoint;

/// A server on a free port of the loopback address. Dropping it stops it.
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
            // If the server panicked, a request has failed, and the test with it.
            let _ = thread.join();
        }
    }
}
