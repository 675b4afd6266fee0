//! Serves DynamoDB on 127.0.0.1 from a folder: `xtask-dynamodb --folder PATH --port NUMBER [--patience SECONDS]`.
//!
//! `cargo xtask` starts it for the embedded engine. While it runs it holds a lock on `PATH.lock`, which `cargo xtask`
//! uses to find it. It ends at SIGTERM.

mod connections;
mod front;
mod lock;

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use dynoxide::Database;
use tokio::net::TcpListener;

use lock::Lock;

/// How long a client may take to send a request, and may go without reading the answer. The AWS SDK for Rust closes
/// idle connections after 90 s, so this server never closes one that the SDK is about to use.
const CLIENT_BOUND: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    match serve(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line to the log, which is standard error.
fn log(line: impl std::fmt::Display) {
    let now = chrono::Utc::now().format("%Y-%m-%d %H:%M:%S UTC");
    // With one write. If the log is closed, the line is lost.
    _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{now} {line}\n").as_bytes());
}

fn serve(arguments: Vec<OsString>) -> Result<()> {
    const EXPECTED: &str = "expected --folder PATH --port NUMBER [--patience SECONDS]";
    let [folder_flag, folder, port_flag, port, rest @ ..] = &arguments[..] else { bail!(EXPECTED) };
    if folder_flag != "--folder" || port_flag != "--port" {
        bail!(EXPECTED);
    }
    let port = port.to_str().and_then(|port| port.parse().ok()).context("the port is not a number")?;
    let patience = match rest {
        [] => Some(CLIENT_BOUND),
        [flag, seconds] if flag == "--patience" => {
            seconds.to_str().and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs)
        }
        _ => None,
    };
    let patience = patience.context(EXPECTED)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve_folder(Path::new(folder), port, patience))
}

async fn serve_folder(folder: &Path, port: u16, patience: Duration) -> Result<()> {
    let stop = stop_asked().context("cannot take signals")?;
    let lock = Arc::new(Lock::take(folder).await?);
    // Bind the port first: if it is taken, the data stays untouched.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?;
    let file = folder.join("dynamodb.sqlite");
    for_its_owner_alone(&file).with_context(|| format!("cannot write {}", file.display()))?;
    let file = file.to_str().context("the folder's name is not UTF-8")?;
    let database = Database::new(file).map_err(|error| anyhow!("cannot open {file}: {error}"))?;
    // SQLite's `synchronous = NORMAL`, which is safe with its write-ahead log: a crash of the machine may lose the
    // last writes but does not damage the file. By default every item would wait for the disk.
    // <https://www.sqlite.org/pragma.html#pragma_synchronous>
    database.disable_bulk_loading().map_err(|error| anyhow!("cannot set up {file}: {error}"))?;
    let behind = front::listen_behind().await?;
    lock.write(Some(port))?;
    log(format_args!("serving {} on 127.0.0.1:{port}", folder.display()));
    let (data, watched) = (folder.to_owned(), lock.clone());
    let stop = async move {
        tokio::select! {
            () = stop => log("asked to stop"),
            () = watched.is_lost(&data) => log(format_args!("{} was removed", data.display())),
        }
        // From now on the port is not this server's, and another server may take it.
        if let Err(error) = watched.write(None) {
            log(format_args!("{error:#}"));
        }
    };
    let served = front::serve(listener, behind, database, patience, stop).await;
    // Release the lock only after the last request was answered.
    drop(lock);
    served
}

/// Creates the file, or restricts it, so that only its owner can read it. SQLite's other files get the same
/// permissions.
fn for_its_owner_alone(file: &Path) -> std::io::Result<()> {
    let mut options = std::fs::File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt};
        let opened = options.mode(0o600).open(file)?;
        opened.set_permissions(PermissionsExt::from_mode(0o600))
    }
    #[cfg(not(unix))]
    options.open(file).map(drop)
}

/// Completes at the first SIGTERM. The program catches it from this call on.
#[cfg(unix)]
fn stop_asked() -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move { _ = terminate.recv().await })
}

/// Completes at the first interrupt.
#[cfg(not(unix))]
fn stop_asked() -> std::io::Result<impl Future<Output = ()> + Send> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
