//! The server: Cruddur's HTTP API on the data layer, and a page to read and write messages with.
//!
//! [`Settings`] come from the environment, [`Server`] takes a port by them and answers until it is told to
//! stop. Who a request is from is decided in `access` alone; what is answered lies in `api` and `page`, a
//! file for each subject.

mod access;
mod api;
mod app;
mod connections;
mod dynamodb;
mod layers;
mod live;
mod page;
mod postgres;
mod refusal;
mod settings;
mod telemetry;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use tokio::net::TcpListener;

use app::App;
pub use settings::{ADDRESS, LogForm, Settings};
pub use telemetry::log_to_stderr;

/// How long requests that are under way may go on when the server is told to stop.
const STOP_BOUND: Duration = Duration::from_secs(10);

/// A server that has its port and does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    router: Router,
    idle: Duration,
}

impl Server {
    /// Takes the port. Neither database is asked for anything yet: a server that starts before them serves
    /// once they answer, and says until then that they do not.
    ///
    /// # Errors
    /// The port is taken, or the settings contradict each other.
    pub async fn bind(settings: Settings) -> Result<Self> {
        let wanted = settings.address;
        let listener =
            TcpListener::bind(wanted).await.with_context(|| format!("cannot listen on {wanted}"))?;
        let address = listener.local_addr().context("cannot tell the own address")?;
        let app = Arc::new(App::new(&settings).await?);
        let router = layers::around(routes(&app), &app, settings.front_end);
        Ok(Self { listener, address, app, router, idle: settings.idle })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` ends; then what is under way is answered still, for ten seconds at most.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Self { listener, app, router, idle, .. } = self;
        let (stopping, stopped) = tokio::sync::oneshot::channel();
        let ended = Arc::clone(&app);
        let stop = async move {
            stop.await;
            tracing::info!("stopping");
            // Who listens for news would never be done.
            ended.live.end();
            _ = stopping.send(());
        };
        let listening = tokio::spawn({
            let app = Arc::clone(&app);
            async move { app.postgres.listen(&app.live).await }
        });
        let serving = connections::serve(listener, router, idle, stop);
        let late = async {
            // An error means that the server has ended by itself.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(STOP_BOUND).await;
        };
        tokio::select! {
            () = serving => {}
            () = late => tracing::warn!("some requests were still under way after {} s", STOP_BOUND.as_secs()),
        }
        listening.abort();
    }
}

fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let router = api::routes();
    // A browser's navigation cannot carry a token: the page is for developing, as the choice of user is.
    if app.access.is_local() { router.merge(page::routes()) } else { router }
}
