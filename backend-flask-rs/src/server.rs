//! The server: Cruddur's HTTP API on the data layer, and a page to read and write messages with.
//!
//! [`Settings`] come from the environment; a [`Server`] answers until it is told to stop. `access` alone decides who
//! a request is from; `api` and `page` answer it.

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

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::http::StatusCode;
use tokio::net::TcpListener;

use app::App;
use refusal::Refusal;
pub use settings::{ADDRESS, LogForm, Settings};

/// How long requests under way may go on when the server is told to stop.
const STOP_BOUND: Duration = Duration::from_secs(10);

/// A server that has its port but does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    router: Router,
    idle: Duration,
}

impl Server {
    /// Takes the port. The databases need not run yet: until they answer, so does the health check, with 503.
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

    /// Answers until `stop` ends, and then requests under way for at most ten seconds.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Self { listener, app, router, idle, .. } = self;
        let (stopping, stopped) = tokio::sync::oneshot::channel();
        let ended = Arc::clone(&app);
        let stop = async move {
            stop.await;
            tracing::info!("stopping");
            // Event streams would never end.
            ended.live.end();
            _ = stopping.send(());
        };
        let listening = tokio::spawn({
            let app = Arc::clone(&app);
            async move { app.postgres.listen(&app.live).await }
        });
        let serving = connections::serve(listener, router, idle, stop);
        let late = async {
            // An error means that `serving` has ended.
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
    // The page is for development, as the choice of user is: a browser's navigation cannot carry a token.
    let router = if app.access.is_local() { router.merge(page::routes()) } else { router };
    let wrong_method = "this is not how to ask for it";
    router.fallback(async || Refusal::absent("path", "there is nothing here")).method_not_allowed_fallback(
        async move || Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", wrong_method),
    )
}
