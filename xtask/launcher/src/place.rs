//! Where things are: a program, beside the one that starts it, and its workspace.

use std::env;
use std::io;
use std::path::PathBuf;

/// The folders and files that a program is built from and to.
#[derive(Debug)]
pub struct Place {
    /// The name of the package.
    pub(crate) package: &'static str,
    /// The name of its binary.
    pub(crate) binary: &'static str,
    /// The workspace's root.
    pub workspace: PathBuf,
    /// The program that starts this one: this process's own executable.
    pub(crate) starter: PathBuf,
    /// The folder it is in. Everything below is here too, so that another target directory, target or
    /// profile has a program of its own.
    pub(crate) folder: PathBuf,
    /// The program.
    pub program: PathBuf,
    /// Where the user is: cargo reads its configuration from here and upwards.
    pub(crate) current: PathBuf,
    /// What cargo says the program was built from: see [`crate::inputs`].
    pub(crate) dep_info: PathBuf,
    /// What is remembered of that: see [`crate::stamp`].
    pub(crate) stamp: PathBuf,
}

impl Place {
    /// Where the program `binary` of `package` in `workspace`, an absolute path, is: beside this process's own.
    ///
    /// # Errors
    ///
    /// When the system cannot say where this process is.
    pub fn new(workspace: PathBuf, package: &'static str, binary: &'static str) -> io::Result<Self> {
        let starter = env::current_exe()?;
        let folder = starter.parent().ok_or_else(|| io::Error::other("this program is in no folder"))?;
        let program = folder.join(binary);
        Ok(Self {
            package,
            binary,
            workspace,
            current: env::current_dir()?,
            dep_info: program.with_extension("d"),
            stamp: program.with_extension("stamp"),
            program: program.with_extension(env::consts::EXE_EXTENSION),
            folder: folder.to_path_buf(),
            starter,
        })
    }
}
