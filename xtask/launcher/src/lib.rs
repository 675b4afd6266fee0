//! Programs of this workspace, run as what a build would make them now.
//!
//! `cargo run` would do the same, but looks at some three hundred packages before every run. Asking the file
//! system about the program's own sources takes a millisecond.
//!
//! - `place`: where the program, its stamp and the workspace are.
//! - `stamp`: what the program was built from, remembered beside it, and whether that still holds.
//! - `state`: what tells that a file is another than before.
//! - `inputs`: which files those are.
//! - `cargo`: the build.
//! - `rewrite`: what is done to the program after it.
//!
//! # What counts as a change
//!
//! Every local source file of the program and of the workspace's libraries it uses, whatever they
//! include, their manifests, the lock file, cargo's configuration, and the toolchain file; removing one
//! of them as well, and adding a build script or a `src/lib.rs`. A new compiler or other `RUSTFLAGS`
//! make cargo rebuild what starts it first, which counts too. Environment variables that a source reads
//! with `env!` are not looked at, unless cargo's configuration sets them.

mod cargo;
mod inputs;
mod place;
mod rewrite;
mod stamp;
mod state;

use std::io;
use std::process::ExitStatus;

pub use self::cargo::clean_environment;
pub use self::place::Place;
use self::stamp::{Build, Stamp};

/// Whether the program is there, and what a build would make it now. No process is started to tell.
pub fn is_current(place: &Place) -> bool {
    let is_current = Stamp::read(&place.stamp).is_some_and(|stamp| stamp.holds(place));
    if is_current {
        // It starts as well without, a millisecond or two later.
        let _ = rewrite::rewrite_if_alone(place);
    }
    is_current
}

/// Has cargo build the program, which prints to stderr how far it is. Returns how cargo ended. Whatever else there is
/// to tell goes to `tell`, a line at a time.
///
/// # Errors
///
/// When cargo cannot be started, or the time of a source that needs it cannot be set.
pub fn build(place: &Place, tell: impl Fn(&str)) -> io::Result<ExitStatus> {
    let wait = || tell(&format!("waiting for another build of {} to end", place.package));
    let alone = rewrite::build_alone(place, wait);
    let build = Build::begin(place, Stamp::read(&place.stamp))?;
    let status = cargo::build(place)?;
    if status.success() {
        // It runs as well as cargo has left it: where that fails, nothing is lost but time.
        let _ = alone.as_ref().map(|_| rewrite::rewrite(place));
        if let Err(error) = build.finish(place) {
            tell(&format!("warning: cannot write {}: {error}", place.stamp.display()));
        }
    }
    Ok(status)
}
