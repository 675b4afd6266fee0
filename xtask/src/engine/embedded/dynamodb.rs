//! DynamoDB as a process of its own, built when it is first needed.

use std::path::PathBuf;

use crate::package::Package;
use crate::process::{self, Process, Processes, Signal};
use crate::ui::Ui;
use anyhow::{Context as _, Result};

use crate::state::StateFolder;

/// The package, and its program.
pub(crate) static PACKAGE: Package = Package {
    name: "xtask-dynamodb",
    program: "xtask-dynamodb",
    folder: "xtask/dynamodb",
    first_build: "DynamoDB: the embedded server is built once, which takes a minute or two",
};

/// How it is asked to end.
pub(super) const STOP: Signal = Signal::TERM;

/// What it says last where another listens on its port.
pub(super) const LOST_PORT: &str = "cannot listen on ";

/// A server as it would be started now.
pub(super) struct Server {
    program: PathBuf,
}

impl Server {
    /// Builds the program, where it is missing or stale.
    ///
    /// # Errors
    /// It cannot be built.
    pub(super) async fn prepare(folder: &StateFolder, ui: &Ui) -> Result<Self> {
        Ok(Self { program: PACKAGE.built(folder.workspace(), ui).await? })
    }

    /// Whether `process` is one of this program, as far as the system tells.
    pub(super) fn is(&self, process: &Process) -> bool {
        process.runs(&self.program).unwrap_or(true)
    }

    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(&self, folder: &StateFolder, port: u16) -> Result<()> {
        let data = data(folder);
        crate::state::make_folder(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let mut command = process::detached(&self.program);
        command.arg("--folder").arg(&data).arg("--port").arg(port.to_string());
        process::start_in_background(&mut command, &log(folder))
    }
}

pub(super) fn find(folder: &StateFolder, processes: &Processes) -> Option<Process> {
    processes.find(PACKAGE.program, &data(folder))
}

/// Whether the folder of its data is still there.
pub(super) fn has_data(process: &Process) -> bool {
    data_of(process).is_none_or(|data| data.exists())
}

pub(super) fn data_of(process: &Process) -> Option<PathBuf> {
    process.argument_after("--folder").map(PathBuf::from)
}

pub(super) fn port_of(process: &Process) -> Option<u16> {
    process.argument_after("--port")?.parse().ok()
}

pub(super) fn data(folder: &StateFolder) -> PathBuf {
    folder.join("dynamodb")
}

pub(super) fn log(folder: &StateFolder) -> PathBuf {
    folder.join("dynamodb.log")
}
