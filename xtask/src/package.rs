//! Packages of the workspace that this program runs and does not contain: they are built when they are
//! first needed, so that who never needs them never compiles them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use xtask_launcher::Place;

use crate::ui::Ui;

/// A package with one program.
pub(crate) struct Package {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What its program is called.
    pub(crate) program: &'static str,
    /// Its folder in the workspace.
    pub(crate) folder: &'static str,
    /// What to tell who waits for its first build.
    pub(crate) first_build: &'static str,
}

impl Package {
    /// The program, beside this one and in the same profile, as a build would make it now: cargo is asked only where
    /// something that it was built from has changed. Where the workspace, a folder, has no such package the program
    /// that is there already is taken.
    ///
    /// # Errors
    /// It cannot be built, or is not there.
    pub(crate) async fn built(&'static self, workspace: &Path, ui: &Ui) -> Result<PathBuf> {
        let place = Place::new(workspace.to_owned(), self.name, self.program)
            .context("cannot tell where this program is")?;
        let program = place.program.clone();
        if workspace.join(self.folder).join("Cargo.toml").is_file() && !xtask_launcher::is_current(&place) {
            if !program.is_file() {
                ui.line(self.first_build);
            }
            let ui = ui.clone();
            let build = move || xtask_launcher::build(&place, |line| ui.line(line));
            let status = tokio::task::spawn_blocking(build).await??;
            ensure!(status.success(), "cannot build {}: cargo ended with {status}", self.name);
        }
        if !program.is_file() {
            bail!("{} is missing; build it with `cargo build --package {}`", program.display(), self.name);
        }
        Ok(program)
    }
}
