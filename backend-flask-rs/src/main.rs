//! Cruddur's server: `backend-flask [--address IP:PORT] [--workspace PATH]`. All other settings come from the
//! environment.
//!
//! `--address` overrides BACKEND_ADDRESS. `--workspace` has no effect: the argument lets `cargo xtask` recognise the
//! server of its own workspace.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use backend_flask::server::{ADDRESS, Server, Settings};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed, the message is lost.
            _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let address = address(std::env::args().skip(1))?;
    let settings = Settings::read(|name| match name {
        ADDRESS => address.clone().or_else(|| std::env::var(name).ok()),
        name => std::env::var(name).ok(),
    })?;
    log_to_stderr(&settings);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(async {
        let stop = stop_asked()?;
        let server = Server::bind(settings).await?;
        tracing::info!(address = %server.address(), "listening");
        server.serve(stop).await;
        Ok(())
    })
}

/// Logs errors, and one line for each request with its id.
fn log_to_stderr(settings: &Settings) {
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = if settings.logs_json {
        lines.json().with_current_span(true).with_span_list(false).boxed()
    } else {
        lines.with_ansi(false).boxed()
    };
    tracing_subscriber::registry().with(lines.with_filter(settings.log.clone())).init();
}

fn address(mut arguments: impl Iterator<Item = String>) -> Result<Option<String>> {
    let mut address = None;
    while let Some(flag) = arguments.next() {
        ensure!(
            ["--address", "--workspace"].contains(&flag.as_str()),
            "expected [--address IP:PORT] [--workspace PATH], not {flag}"
        );
        let value = arguments.next().with_context(|| format!("{flag} needs a value"))?;
        if flag == "--address" {
            address = Some(value);
        }
    }
    Ok(address)
}

/// Completes at the first SIGTERM or SIGINT. The program catches both from this call on.
fn stop_asked() -> Result<impl Future<Output = ()> + Send + 'static> {
    #[cfg(unix)]
    let (mut terminated, mut interrupted) = {
        use tokio::signal::unix::{SignalKind, signal};
        let caught = |kind| signal(kind).context("cannot catch signals");
        (caught(SignalKind::terminate())?, caught(SignalKind::interrupt())?)
    };
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
