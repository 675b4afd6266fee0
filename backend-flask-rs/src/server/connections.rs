//! Connections. Each has its own task, and is closed if it is idle.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_io_timeout::TimeoutStream;

/// The maximum size of a request's head.
const LONGEST_HEAD: usize = 64 << 10;

/// Accepts connections until `stop` completes. Returns those that are open.
///
/// A connection is closed if no complete request head arrives within `idle`, even if its client sends one byte at a
/// time, or if its client does not read the answer for that long.
pub(super) async fn accept(
    mut listener: TcpListener,
    router: Router,
    idle: Duration,
    stop: impl Future<Output = ()>,
) -> GracefulShutdown {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(idle).max_buf_size(LONGEST_HEAD);
    let open = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        // If there are too many connections, `accept` waits.
        let (stream, peer) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = &mut stop => return open,
        };
        let router = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.call(request)
        });
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(idle));
        let connection = open.watch(http.serve_connection(TokioIo::new(Box::pin(stream)), service));
        tokio::spawn(async {
            if let Err(error) = connection.await {
                // Usually the client has gone away or was too slow.
                tracing::debug!(cause = %error, "a connection has ended");
            }
        });
    }
}
