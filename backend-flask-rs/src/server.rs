//! The server: Cruddur's HTTP API, and a page to read and write messages.
//!
//! [`Settings`] come from the environment. A [`Server`] answers until it is stopped. `access` determines the user of
//! a request; `api` and `page` answer it.

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
pub use settings::{ADDRESS, Settings};

/// How long requests under way may continue after the server is told to stop.
const STOP_BOUND: Duration = Duration::from_secs(10);

/// A server that has bound its port but does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    router: Router,
    idle: Duration,
}

impl Server {
    /// Binds the port. The databases need not run yet; until they answer, the health check's status is 503.
    pub async fn bind(settings: Settings) -> Result<Self> {
        let (wanted, idle, front_end) = (settings.address, settings.idle, settings.front_end.clone());
        let listener =
            TcpListener::bind(wanted).await.with_context(|| format!("cannot listen on {wanted}"))?;
        let address = listener.local_addr().context("cannot tell the own address")?;
        let app = Arc::new(App::new(settings).await?);
        let router = layers::around(routes(&app), &app, front_end, layers::BOUND);
        Ok(Self { listener, address, app, router, idle })
    }

    /// The address that the server is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `stop` completes, then finishes requests under way within ten seconds.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Self { listener, app, router, idle, .. } = self;
        let listening = tokio::spawn({
            let app = Arc::clone(&app);
            async move { app.postgres.listen(&app.live).await }
        });
        let open = connections::accept(listener, router, idle, stop).await;
        tracing::info!("stopping");
        // Event streams would never end by themselves.
        app.live.end();
        if tokio::time::timeout(STOP_BOUND, open.shutdown()).await.is_err() {
            tracing::warn!("some requests were still under way after {} s", STOP_BOUND.as_secs());
        }
        listening.abort();
    }
}

fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let router = api::routes();
    // The page is for development only, like the choice of the user: a browser's navigation cannot carry a token.
    let router = if app.access.is_local() { router.merge(page::routes(app)) } else { router };
    let wrong_method = "this path does not take this method";
    router.fallback(async || Refusal::absent("path", "there is nothing here")).method_not_allowed_fallback(
        async move || Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", wrong_method),
    )
}
