//! Connections. Each has its own task, and is closed if it is idle.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_io_timeout::TimeoutStream;

/// The maximum size of a request's head.
const LONGEST_HEAD: usize = 64 << 10;

/// Serves connections until `stop` completes, then finishes the requests under way.
///
/// A connection is closed if no complete request head arrives within `idle`, even if its client sends one byte at a
/// time, or if its client does not read the answer for that long.
pub(super) async fn serve(
    mut listener: TcpListener,
    router: Router,
    idle: Duration,
    stop: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(idle).max_buf_size(LONGEST_HEAD);
    let (stopping, stopped) = watch::channel(());
    let mut stop = pin!(stop);
    loop {
        // If there are too many connections, `accept` waits.
        let (stream, peer) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = &mut stop => break,
        };
        tokio::spawn(serve_one(http.clone(), stream, peer, router.clone(), idle, stopped.clone()));
    }
    drop((listener, stopped));
    stopping.send_replace(());
    // Each connection holds a receiver while it lasts.
    stopping.closed().await;
}

async fn serve_one(
    http: http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    idle: Duration,
    mut stopped: watch::Receiver<()>,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(idle));
    let mut connection = pin!(http.serve_connection(TokioIo::new(Box::pin(stream)), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Usually the client has gone away or was too slow.
        tracing::debug!(cause = %error, "a connection has ended");
    }
}
