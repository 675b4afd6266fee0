//! Other programs of the workspace that this program runs. They are built on first use, so nobody waits for a build
//! that is not needed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::error::Failure;
use crate::process;
use crate::ui::Ui;

/// How long cargo may take before a message says what is being built. A build with nothing to do takes 0.2 s.
const QUIET: Duration = Duration::from_secs(2);

/// How long this process may take to receive a signal that cargo has received.
const SIGNAL: Duration = Duration::from_millis(200);

/// A package with one program.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    /// Its folder in the workspace.
    pub(crate) folder: &'static str,
    /// The message before its first build.
    pub(crate) first_build: &'static str,
}

impl Package {
    /// The program's path, in the folder of this program.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        let own = std::env::current_exe().context("cannot tell where this program is")?;
        Ok(own.with_file_name(self.program).with_extension(std::env::consts::EXE_EXTENSION))
    }

    /// Builds the program in this program's profile, and returns its path. If `workspace` does not contain the
    /// package, or if this program is a copy outside cargo's target folder, an existing program is used.
    pub(crate) async fn built(&self, workspace: &Path, ui: &Ui) -> Result<PathBuf> {
        let program = self.path()?;
        let manifest = workspace.join(self.folder).join("Cargo.toml");
        // Cargo puts its dep-info file beside each program that it builds.
        let is_copy = !std::env::current_exe().is_ok_and(|own| own.with_extension("d").is_file());
        if manifest.is_file() && !is_copy {
            let is_first = !program.is_file();
            if is_first {
                ui.note(self.first_build);
            }
            let profile = program.parent().context("this program is in no folder")?;
            let target = profile.parent().context("this program is in no target folder")?;
            let profile = profile.file_name().filter(|name| *name != "debug").unwrap_or("dev".as_ref());
            let mut cargo = std::process::Command::new("cargo");
            cargo.args(["build", "--package", self.name, "--bin", self.program, "--profile"]);
            cargo.arg(profile).arg("--target-dir").arg(target).arg("--manifest-path").arg(manifest);
            // The first build takes long, so its progress is shown.
            cargo.args((!is_first).then_some("--quiet"));
            cargo.stdin(Stdio::null()).stdout(Stdio::null());
            ui.starts(|| process::shown(&cargo));
            let mut build = tokio::task::spawn_blocking(move || cargo.status());
            let built = match tokio::time::timeout(QUIET, &mut build).await {
                Ok(built) => built,
                Err(_) => {
                    if !is_first {
                        ui.note(format_args!(
                            "waiting for cargo, which builds {} again if it has changed, after any other cargo",
                            self.name
                        ));
                    }
                    build.await
                }
            };
            let status = built?.context("cannot run cargo")?;
            if status.code().is_none() {
                // Ctrl-C in the terminal reaches cargo too. Wait, so that the run ends as interrupted, not as a
                // failed build.
                tokio::time::sleep(SIGNAL).await;
            }
            ensure!(status.success(), "cannot build {}: cargo ended with {status}", self.name);
        }
        if !program.is_file() {
            let problem = format!("{} is missing", program.display());
            let name = self.name;
            let remedy = match is_copy {
                true => format!("copy it there too: `cargo build --package {name}` makes it"),
                false => format!("build it with `cargo build --package {name}`"),
            };
            return Err(Failure::new(problem, remedy).into());
        }
        Ok(program)
    }
}
