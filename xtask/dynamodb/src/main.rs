//! Serves DynamoDB on 127.0.0.1 from a folder: `xtask-dynamodb --folder PATH --port NUMBER`.
//!
//! `cargo xtask` starts it for the embedded engine, finds it by this command line, and ends it by SIGTERM.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use dynoxide::Database;
use dynoxide::server::serve_with_shutdown;
use tokio::net::TcpListener;

fn main() -> ExitCode {
    match serve(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is a log file: nobody is left to tell when it is gone.
            _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("error: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: Vec<OsString>) -> Result<()> {
    let [folder_flag, folder, port_flag, port] = &arguments[..] else {
        bail!("expected --folder PATH --port NUMBER")
    };
    if folder_flag != "--folder" || port_flag != "--port" {
        bail!("expected --folder PATH --port NUMBER");
    }
    let port = port.to_str().and_then(|port| port.parse().ok()).context("the port is not a number")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve_folder(PathBuf::from(folder).as_path(), port))
}

async fn serve_folder(folder: &Path, port: u16) -> Result<()> {
    let stop = stop_asked().context("cannot take signals")?;
    // The port first: whoever is second to start fails here, before it opens the data.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?;
    let file = folder.join("dynamodb.sqlite");
    for_its_owner_alone(&file).with_context(|| format!("cannot write {}", file.display()))?;
    let file = file.to_str().context("the folder's name is not UTF-8")?;
    let database = Database::new(file).map_err(|error| anyhow!("cannot open {file}: {error}"))?;
    // SQLite's `synchronous = NORMAL`, which its log makes safe: a crash of the machine may lose the last
    // writes, but never harms the file. As it opens it, every item waits for the disk.
    // <https://www.sqlite.org/pragma.html#pragma_synchronous>
    database.disable_bulk_loading().map_err(|error| anyhow!("cannot set up {file}: {error}"))?;
    serve_with_shutdown(listener, database, stop).await.map_err(|error| anyhow!(error))
}

/// Makes the file, or changes it; what SQLite puts beside it has the same permissions.
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

/// Ends with the first SIGTERM, also with one that comes before it is waited for.
#[cfg(unix)]
fn stop_asked() -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move { _ = terminate.recv().await })
}

/// Ends with the first interrupt.
#[cfg(not(unix))]
fn stop_asked() -> std::io::Result<impl Future<Output = ()> + Send> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
