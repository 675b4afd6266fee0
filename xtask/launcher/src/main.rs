//! The first step of `cargo xtask`: runs the `xtask` program, after building it if anything it was
//! built from has changed. This package has no dependencies, so that cargo is done with it in about half the
//! time that `cargo run --package xtask` takes.

use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use xtask_launcher::Place;

/// The name of the program, of its package and of its binary.
const PROGRAM: &str = "xtask";

/// Tells the program where the workspace is: an absolute path.
const WORKSPACE: &str = "CRUDDUR_WORKSPACE";

fn main() -> ExitCode {
    launch().unwrap_or_else(|error| {
        tell(&format!("error: {error}"));
        ExitCode::FAILURE
    })
}

/// Runs the program, built anew where needed. On Unix this only returns if there is nothing to run.
fn launch() -> Result<ExitCode, Box<dyn Error>> {
    let place = Place::new(workspace()?, PROGRAM, PROGRAM)?;
    if xtask_launcher::is_current(&place) {
        match start(&place) {
            // Another build is replacing the program at this very moment: wait for it, in cargo.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => return outcome.map_err(|error| unstartable(&place, &error)),
        }
    }
    let status = xtask_launcher::build(&place, tell)?;
    if !status.success() {
        return Ok(exit_code(status));
    }
    start(&place).map_err(|error| unstartable(&place, &error))
}

/// The workspace's root: the nearest folder with a lock file above `CARGO_MANIFEST_DIR`, which `cargo run` sets, and
/// not where this was compiled: a checkout may have been moved together with its target directory. A workspace has a
/// lock file in its root (<https://doc.rust-lang.org/cargo/reference/workspaces.html>), and cargo wrote it before it
/// ran this.
///
/// # Errors
///
/// When cargo did not start this process.
fn workspace() -> Result<PathBuf, Box<dyn Error>> {
    let package = env::var_os("CARGO_MANIFEST_DIR").ok_or("start the tasks with `cargo xtask`")?;
    let package = Path::new(&package);
    package
        .ancestors()
        .find(|folder| folder.join("Cargo.lock").is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("no Cargo.lock above {}", package.display()).into())
}

/// Turns this process into the program, so that its signals, its terminal and its exit status are the
/// program's own.
#[cfg(unix)]
fn start(place: &Place) -> io::Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(program(place).exec())
}

/// Runs the program and ends with its exit status.
#[cfg(not(unix))]
fn start(place: &Place) -> io::Result<ExitCode> {
    let status = program(place).status()?;
    std::process::exit(status.code().unwrap_or(1))
}

/// The program with this process's arguments, folder and environment, without what cargo set in it for
/// the launcher.
fn program(place: &Place) -> Command {
    let mut program = Command::new(&place.program);
    program.args(env::args_os().skip(1));
    xtask_launcher::clean_environment(&mut program, place);
    program.env(WORKSPACE, &place.workspace);
    program
}

fn unstartable(place: &Place, error: &io::Error) -> Box<dyn Error> {
    format!("cannot start {}: {error}", place.program.display()).into()
}

/// The exit status of this process after cargo ended with `status`; 128 and the signal, as a shell has
/// it, when one ended cargo.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| Some(128 + signal(status)?));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// Prints a line to stderr. If even that fails, nobody is listening.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
