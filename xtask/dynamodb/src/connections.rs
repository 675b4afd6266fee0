//! Connections. Each has its own task, and is closed if its client is too slow. axum's own server waits for ever.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_io_timeout::TimeoutStream;

/// Serves connections until `stop` completes, then finishes the requests under way.
///
/// A connection is closed if no complete request head arrives within `patience`, or if its client does not read the
/// answer for that long.
pub(crate) async fn serve(
    mut listener: TcpListener,
    router: Router,
    patience: Duration,
    stop: impl Future<Output = ()>,
) {
    let (stopping, stopped) = watch::channel(());
    let mut stop = pin!(stop);
    loop {
        let (stream, _) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = &mut stop => break,
        };
        tokio::spawn(serve_one(stream, router.clone(), patience, stopped.clone()));
    }
    drop((listener, stopped));
    stopping.send_replace(());
    // Each connection holds a receiver while it lasts.
    stopping.closed().await;
}

async fn serve_one(stream: TcpStream, router: Router, patience: Duration, mut stopped: watch::Receiver<()>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(patience));
    let stream = TokioIo::new(Box::pin(stream));
    let mut connection = pin!(http.serve_connection(stream, TowerToHyperService::new(router)));
    // An error means that the client has gone away or was too slow.
    _ = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
}
