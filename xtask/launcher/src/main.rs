//! The first step of `cargo xtask`: runs the `xtask` program, after building it if anything it was
//! built from has changed.
//!
//! `cargo run --package xtask` would do the same, but looks at some three hundred packages before every
//! run. This package has no dependencies, so that cargo is done with it in about half the time, and
//! asking the file system about the program's own sources takes a millisecond.
//!
//! - [`place`]: where the program, its stamp and the workspace are.
//! - [`stamp`]: what the program was built from, remembered beside it, and whether that still holds.
//! - [`state`]: what tells that a file is another than before.
//! - [`inputs`]: which files those are.
//! - [`cargo`]: the build.
//! - [`rewrite`]: what is done to the program after it.
//!
//! # What counts as a change
//!
//! Every local source file of the program and of the workspace's libraries it uses, whatever they
//! include, their manifests, the lock file, cargo's configuration, and the toolchain file; removing one
//! of them as well, and adding a build script or a `src/lib.rs`. A new compiler or other `RUSTFLAGS`
//! make cargo rebuild this launcher first, which counts too. Environment variables that a source reads
//! with `env!` are not looked at, unless cargo's configuration sets them.

mod cargo;
mod inputs;
mod place;
mod rewrite;
mod stamp;
mod state;

use std::error::Error;
use std::io::{self, Write};
use std::process::{Command, ExitCode};

use place::Place;
use stamp::Stamp;

/// Tells the program where the workspace is: an absolute path.
const WORKSPACE: &str = "CRUDDUR_WORKSPACE";

fn main() -> ExitCode {
    launch().unwrap_or_else(|error| {
        complain(&format!("error: {error}"));
        ExitCode::FAILURE
    })
}

/// Runs the program, built anew where needed. On Unix this only returns if there is nothing to run.
fn launch() -> Result<ExitCode, Box<dyn Error>> {
    let place = Place::find()?;
    let stamp = Stamp::read(&place.stamp);
    if stamp.as_ref().is_some_and(|stamp| stamp.holds(&place)) {
        // It starts as well without, a millisecond or two later.
        let _ = rewrite::rewrite_if_alone(&place);
        match start(&place) {
            // Another build is replacing the program at this very moment: wait for it, in cargo.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => return outcome.map_err(|error| unstartable(&place, &error)),
        }
    }
    let alone = rewrite::build_alone(&place, || complain("waiting for another build of the tasks to end"));
    let build = stamp::Build::begin(&place, stamp)?;
    let status = cargo::build(&place)?;
    if !status.success() {
        return Ok(cargo::exit_code(status));
    }
    // It runs as well as cargo has left it: where that fails, nothing is lost but time.
    let _ = alone.as_ref().map(|_| rewrite::rewrite(&place));
    if let Err(error) = build.finish(&place) {
        let stamp = place.stamp.display();
        complain(&format!("warning: cannot write {stamp}: {error}"));
    }
    start(&place).map_err(|error| unstartable(&place, &error))
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
    program.args(std::env::args_os().skip(1));
    cargo::clean_environment(&mut program, place);
    program.env(WORKSPACE, &place.workspace);
    program
}

fn unstartable(place: &Place, error: &io::Error) -> Box<dyn Error> {
    format!("cannot start {}: {error}", place.program.display()).into()
}

/// Prints a line to stderr. If even that fails, nobody is listening.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
