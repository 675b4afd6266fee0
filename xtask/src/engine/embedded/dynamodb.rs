//! DynamoDB as a process of this machine, built when it is first needed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::package::Package;
use crate::poll::{self, Look};
use crate::private;
use crate::process::{self, ServerLock};
use crate::state::StateFolder;

use super::log::{Log, death};

static PACKAGE: Package = Package {
    name: "xtask-dynamodb",
    program: "xtask-dynamodb",
    folder: "xtask/dynamodb",
    first_build: "DynamoDB: the embedded server is built once, which takes a minute or two",
};

/// How long the server may take until it listens.
pub(super) const LISTEN_BOUND: Duration = Duration::from_secs(20);

pub(super) fn data(folder: &StateFolder) -> PathBuf {
    folder.join("dynamodb")
}

pub(super) fn lock(folder: &StateFolder) -> ServerLock {
    ServerLock::of(&data(folder))
}

/// Builds the program if it is missing or older than its sources.
pub(super) async fn build(context: &Context) -> Result<PathBuf> {
    PACKAGE.built(&context.root, &context.ui).await
}

/// The version of the program file, in the form that the server writes into its lock file.
pub(super) fn version_on_disk() -> Option<String> {
    let program = PACKAGE.path().ok()?.metadata().ok()?;
    let modified = program.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?.as_nanos();
    Some(format!("{}-{modified}", program.len()))
}

/// Starts the server and waits until it listens.
pub(super) async fn start(
    context: &Context,
    folder: &StateFolder,
    program: &Path,
    port: u16,
    log: &Log,
) -> Result<()> {
    let (data, lock) = (data(folder), lock(folder));
    private::make_folder(&data).with_context(|| format!("cannot make {}", data.display()))?;
    let mut command = process::detached(program);
    process::clean_environment(&mut command, &context.environment);
    process::lead_group(&mut command);
    command.arg("--folder").arg(&data).args(["--port", &port.to_string()]);
    let output = private::open_log(&log.path)?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    context.ui.starts(|| process::shown(&command));
    let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    let look = async || match (lock.holder(), child.try_wait()) {
        (Ok(Some(holder)), Ok(None)) if holder.port == Some(port) => Look::Ready(()),
        (_, Ok(Some(_))) => Look::Failed(death(port, log)),
        (Err(error), _) => Look::Failed(error),
        _ => Look::NotYet(format!("it does not listen; see {}", log.path.display())),
    };
    poll::until_ready(LISTEN_BOUND, super::LISTEN_INTERVAL, look).await
}
