//! DynamoDB as a process of its own, built when it is first needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use xshell::{Shell, cmd};

use crate::process::{self, Process, Processes};
use crate::state::StateFolder;
use crate::ui::Ui;

/// The package, and its program.
const PROGRAM: &str = "xtask-dynamodb";

/// How it is asked to end.
pub(super) const STOP: Signal = Signal::TERM;

/// A server that is about to be started.
pub(super) struct Server {
    program: PathBuf,
}

impl Server {
    /// Builds the program, where it is missing or stale.
    ///
    /// # Errors
    /// It cannot be built.
    pub(super) async fn prepare(folder: &StateFolder, ui: &Ui) -> Result<Self> {
        Ok(Self { program: built(folder.workspace().to_owned(), ui).await? })
    }

    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(&self, folder: &StateFolder, port: u16) -> Result<()> {
        let data = data(folder);
        std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let mut command = Command::new(&self.program);
        command.arg("--folder").arg(&data).arg("--port").arg(port.to_string());
        process::start_in_background(&mut command, &log(folder))
    }
}

/// Has cargo build the server, beside this program and in the same profile. Where the workspace has no
/// such package the server that is there already is taken.
async fn built(workspace: PathBuf, ui: &Ui) -> Result<PathBuf> {
    let here = std::env::current_exe().context("cannot tell where this program is")?;
    let profile_folder = here.parent().context("this program is in no folder")?.to_owned();
    let program = profile_folder.join(PROGRAM).with_extension(std::env::consts::EXE_EXTENSION);
    if workspace.join("xtask/dynamodb/Cargo.toml").is_file() {
        // The first time it takes a minute, and cargo shows how far it is; later it only looks.
        let quiet = program.is_file();
        if !quiet {
            ui.line("DynamoDB: the embedded server is built once, which takes about a minute");
        }
        tokio::task::spawn_blocking(move || build(&workspace, &profile_folder, quiet)).await??;
    }
    if !program.is_file() {
        bail!("{} is missing; build it with `cargo build --package {PROGRAM}`", program.display());
    }
    Ok(program)
}

fn build(workspace: &Path, profile_folder: &Path, quiet: bool) -> Result<()> {
    let shell = Shell::new()?;
    let _folder = shell.push_dir(workspace);
    let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => "dev",
        Some(name) => name,
    };
    let target = profile_folder.parent().context("this program is in no target folder")?;
    let quiet = quiet.then_some("--quiet");
    let build =
        cmd!(shell, "cargo build {quiet...} --package {PROGRAM} --profile {profile} --target-dir {target}");
    build.quiet().run().context("cannot build the embedded DynamoDB")
}

pub(super) fn find(folder: &StateFolder, processes: &Processes) -> Option<Process> {
    processes.find(PROGRAM, &data(folder))
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
