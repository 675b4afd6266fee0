//! Cruddur's server: `backend-flask [--address IP:PORT] [--workspace PATH]`, told everything else by its
//! environment.
//!
//! `--address` comes before BACKEND_ADDRESS. `--workspace` changes nothing: `cargo xtask` finds the server
//! of its own workspace by this command line.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use backend_flask::server::{ADDRESS, Server, Settings, log_to_stderr};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
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

/// The address among the arguments.
fn address(mut arguments: impl Iterator<Item = String>) -> Result<Option<String>> {
    let mut address = None;
    while let Some(flag) = arguments.next() {
        ensure!(
            ["--address", "--workspace"].contains(&flag.as_str()),
            "expected [--address IP:PORT] [--workspace PATH], not {flag}"
        );
        let value = arguments.next().with_context(|| format!("{flag} wants a value"))?;
        if flag == "--address" {
            address = Some(value);
        }
    }
    Ok(address)
}

/// Ends with the first SIGTERM or SIGINT, which are taken from now on.
#[cfg(unix)]
fn stop_asked() -> Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let take = |kind| signal(kind).context("cannot take signals");
    let (mut terminate, mut interrupt) = (take(SignalKind::terminate())?, take(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_asked() -> Result<impl Future<Output = ()> + Send + 'static> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
