//! A workspace for one test: the files in `tests/workspace`, this package's sources as its launcher,
//! and the real alias.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

/// This package's folder.
const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// A temporary folder with a workspace in it, removed in the end.
pub(crate) struct Sandbox {
    base: PathBuf,
}

impl Sandbox {
    /// A new workspace, of which nothing is built. Its path has spaces in it.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("xtask launcher {} {count}", process::id());
        let sandbox = Self { base: env::temp_dir().canonicalize().unwrap().join(name) };
        let package = Path::new(PACKAGE);
        copy(&package.join("tests/workspace"), &sandbox.path(""));
        copy(&package.join("src"), &sandbox.path("xtask/launcher/src"));
        copy(&package.join("Cargo.toml"), &sandbox.path("xtask/launcher/Cargo.toml"));
        copy(&package.join("../../.cargo/config.toml"), &sandbox.path(".cargo/config.toml"));
        fs::create_dir(sandbox.outside("cargo home")).unwrap();
        sandbox
    }

    /// A path in the workspace.
    pub(crate) fn path(&self, inner: impl AsRef<Path>) -> PathBuf {
        self.outside("my work").join(inner)
    }

    /// A path beside the workspace.
    pub(crate) fn outside(&self, inner: impl AsRef<Path>) -> PathBuf {
        self.base.join(inner)
    }

    /// A program started in the workspace's root, without anything that the tests' own cargo or the user
    /// set for cargo.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            let is = |start| name.as_encoded_bytes().starts_with(start);
            if is(b"CARGO") || is(b"RUSTC") || is(b"RUSTFLAGS") || is(b"CRUDDUR") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.path(""))
            .env("CARGO_HOME", self.outside("cargo home"))
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TERM_COLOR", "never")
            // The one beside cargo, not rustup's choice.
            .env("RUSTC", Path::new(env!("CARGO")).with_file_name("rustc"));
        command
    }

    /// Cargo.
    pub(crate) fn cargo(&self) -> Command {
        self.command(env!("CARGO"))
    }

    /// The launcher as cargo starts it, once it is built; but there is no cargo that it could call.
    pub(crate) fn launcher(&self) -> Command {
        let mut launcher = self.command(self.path("target/debug/xtask-launcher"));
        launcher.env("CARGO", "/no/such/cargo").env("CARGO_MANIFEST_DIR", self.path("xtask/launcher"));
        launcher
    }

    /// `cargo xtask` in the workspace's root.
    pub(crate) fn xtask<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut xtask = self.cargo();
        xtask.arg("xtask").args(arguments);
        xtask
    }

    /// What the program says of `name`, one of the things that it was built from.
    pub(crate) fn word(&self, name: &str) -> String {
        word(&mut self.xtask([""; 0]), name)
    }

    /// Asserts that the program starts without a build: cargo would tell that it finished one.
    pub(crate) fn assert_current(&self) {
        let ran = run(&mut self.xtask([""; 0]));
        assert!(ran.status.success());
        assert_eq!(ran.stderr, "");
    }

    /// Asserts that cargo is asked before the program starts. Afterwards the program is current.
    pub(crate) fn assert_asks_cargo(&self) {
        let ran = run(&mut self.xtask([""; 0]));
        assert!(ran.status.success());
        assert!(ran.stderr.contains("Finished"), "{}", ran.stderr);
        self.assert_current();
    }

    /// Replaces `from` in a file by `to`.
    pub(crate) fn edit(&self, inner: &str, from: &str, to: &str) {
        let path = self.path(inner);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{inner}: {text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Replaces a file by a copy with `from` replaced by `to`, which is `age` older than now.
    pub(crate) fn swap(&self, inner: &str, from: &str, to: &str, age: Duration) {
        let (path, copy) = (self.path(inner), self.outside("copy"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{inner}: {text}");
        fs::write(&copy, text.replace(from, to)).unwrap();
        set_time(&copy, SystemTime::now() - age);
        fs::rename(copy, path).unwrap();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

/// How a command ended, and what it printed.
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    command.output().unwrap().into()
}

impl From<process::Output> for Ran {
    fn from(output: process::Output) -> Self {
        Self {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// What the program says of `name` when it is started by `command`.
pub(crate) fn word(command: &mut Command, name: &str) -> String {
    let ran = run(command);
    assert!(ran.status.success(), "{}", ran.stderr);
    let start = format!("{name}: ");
    let word = ran.stdout.lines().find_map(|line| line.strip_prefix(&start));
    word.unwrap().to_string()
}

/// Sets a file's modification time.
pub(crate) fn set_time(path: &Path, time: SystemTime) {
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

/// Copies a file, or a folder and all in it.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}
