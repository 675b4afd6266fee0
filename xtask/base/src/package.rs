//! Packages of the workspace that this program runs and does not contain: they are built when they are
//! first needed, so that who never needs them never compiles them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use xshell::{Shell, cmd};

use crate::ui::Ui;

/// A package with one program.
pub struct Package {
    /// What it is called.
    pub name: &'static str,
    /// What its program is called.
    pub program: &'static str,
    /// Its folder in the workspace.
    pub folder: &'static str,
    /// What to tell who waits for its first build.
    pub first_build: &'static str,
}

impl Package {
    /// Has cargo build the program where it is missing or stale, beside this one and in the same profile.
    /// Where the workspace has no such package the program that is there already is taken.
    ///
    /// # Errors
    /// It cannot be built, or is not there.
    pub async fn built(&'static self, workspace: &Path, ui: &Ui) -> Result<PathBuf> {
        let here = std::env::current_exe().context("cannot tell where this program is")?;
        let profile_folder = here.parent().context("this program is in no folder")?.to_owned();
        let program = profile_folder.join(self.program).with_extension(std::env::consts::EXE_EXTENSION);
        if workspace.join(self.folder).join("Cargo.toml").is_file() {
            // The first time it takes a while, and cargo shows how far it is; later it only looks.
            let quiet = program.is_file();
            if !quiet {
                ui.line(self.first_build);
            }
            let workspace = workspace.to_owned();
            tokio::task::spawn_blocking(move || self.build(&workspace, &profile_folder, quiet)).await??;
        }
        if !program.is_file() {
            bail!("{} is missing; build it with `cargo build --package {}`", program.display(), self.name);
        }
        Ok(program)
    }

    fn build(&self, workspace: &Path, profile_folder: &Path, quiet: bool) -> Result<()> {
        let shell = Shell::new()?;
        let _folder = shell.push_dir(workspace);
        let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
            None | Some("debug") => "dev",
            Some(name) => name,
        };
        let target = profile_folder.parent().context("this program is in no target folder")?;
        let quiet = quiet.then_some("--quiet");
        let name = self.name;
        let build =
            cmd!(shell, "cargo build {quiet...} --package {name} --profile {profile} --target-dir {target}");
        build.quiet().run().with_context(|| format!("cannot build {name}"))
    }
}
