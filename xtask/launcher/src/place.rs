//! Where things are: the workspace as cargo says, and the program beside the launcher itself.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};

/// The name of the program, of its package and of its binary.
pub(crate) const PROGRAM: &str = "xtask";

/// The folders and files that a launch is about.
#[derive(Debug)]
pub(crate) struct Place {
    /// The workspace's root.
    pub(crate) workspace: PathBuf,
    /// Where the user is: cargo reads its configuration from here and upwards.
    pub(crate) current: PathBuf,
    /// The launcher's own executable.
    pub(crate) launcher: PathBuf,
    /// The folder it is in. Everything below is here too, so that another target directory, target or
    /// profile has a program of its own.
    pub(crate) folder: PathBuf,
    /// The program.
    pub(crate) program: PathBuf,
    /// What cargo says the program was built from: see [`crate::inputs`].
    pub(crate) dep_info: PathBuf,
    /// What the launcher remembers of that: see [`crate::stamp`].
    pub(crate) stamp: PathBuf,
}

impl Place {
    /// Finds them from this process's executable, folder and environment.
    ///
    /// The workspace is the one above `CARGO_MANIFEST_DIR`, which `cargo run` sets, and not where this
    /// was compiled: a checkout may have been moved together with its target directory.
    ///
    /// # Errors
    ///
    /// When cargo did not start this process, or the system cannot say where it is.
    pub(crate) fn find() -> Result<Self, Box<dyn Error>> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").ok_or("start the tasks with `cargo xtask`")?;
        let launcher = env::current_exe()?;
        let folder = launcher.parent().ok_or("the launcher is in no folder")?;
        let program = folder.join(PROGRAM);
        Ok(Self {
            workspace: workspace(Path::new(&manifest))?,
            current: env::current_dir()?,
            dep_info: program.with_extension("d"),
            stamp: program.with_extension("stamp"),
            program: program.with_extension(env::consts::EXE_EXTENSION),
            folder: folder.to_path_buf(),
            launcher,
        })
    }
}

/// The nearest folder with a lock file. A workspace has one, in its root
/// (<https://doc.rust-lang.org/cargo/reference/workspaces.html>), and cargo wrote it before it ran this.
fn workspace(package: &Path) -> Result<PathBuf, Box<dyn Error>> {
    package
        .ancestors()
        .find(|folder| folder.join("Cargo.lock").is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("no Cargo.lock above {}", package.display()).into())
}
