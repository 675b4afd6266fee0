//! Starts the `xtask` program, after `cargo build` if one of its inputs is newer than the program.
//!
//! `cargo run --package xtask` would do the same, but cargo checks some three hundred packages before each run. This
//! package has no dependencies, so `cargo run` of it takes half as long.
//!
//! The inputs are the sources in cargo's dep-info file next to the program
//! (<https://doc.rust-lang.org/cargo/reference/build-cache.html#dep-info-files>), the manifests above them, the lock
//! file, the workspace's cargo configuration and toolchain file, and this launcher, which cargo rebuilds for another
//! compiler or other flags. Their times are compared with that of the dep-info file, which each build sets to the
//! time when the build began.

use std::collections::BTreeSet;
use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::SystemTime;

/// The package and its program.
const PROGRAM: &str = "xtask";

/// Prefixes of the variables that `cargo run` sets, besides `CARGO` itself
/// (<https://doc.rust-lang.org/cargo/reference/environment-variables.html#environment-variables-cargo-sets-for-crates>).
/// A build script that reads one of them would run again whenever its value changes. Other variables that begin with
/// `CARGO_` are the user's.
const SET_BY_CARGO: [&str; 6] = [
    "CARGO_BIN_",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
];

fn main() -> ExitCode {
    launch().unwrap_or_else(|error| {
        print(&format!("error: {error}"));
        ExitCode::FAILURE
    })
}

/// Builds if necessary, and starts the program. On Unix it returns only if the program did not start.
fn launch() -> Result<ExitCode, Box<dyn Error>> {
    let workspace = workspace()?;
    let launcher = env::current_exe()?;
    // Cargo has a folder for each profile, and locks it while it builds. The launcher has a profile of its own, so it
    // waits for no other build.
    let folder = launcher.parent().unwrap_or(&launcher).with_file_name("debug");
    let program = folder.join(PROGRAM).with_extension(env::consts::EXE_EXTENSION);
    if is_current(&program, &launcher, &workspace).is_none() {
        let status = build(&program, &workspace)?;
        if !status.success() {
            return Ok(exit_code(status));
        }
    }
    start(&program, &workspace).map_err(|error| format!("cannot start {}: {error}", program.display()).into())
}

/// The nearest folder with a lock file above `CARGO_MANIFEST_DIR`, which `cargo run` sets. The folder in which the
/// launcher was compiled may have been moved since.
fn workspace() -> Result<PathBuf, Box<dyn Error>> {
    let package = env::var_os("CARGO_MANIFEST_DIR").ok_or("start the tasks with `cargo xtask`")?;
    let package = Path::new(&package);
    let root = package.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    Ok(root.ok_or_else(|| format!("no Cargo.lock above {}", package.display()))?.to_owned())
}

/// `Some` if no input is newer than the last build. `None` if one is or if that is unknown; then cargo decides.
fn is_current(program: &Path, launcher: &Path, workspace: &Path) -> Option<()> {
    let dep_info = program.with_extension("d");
    let built = modified(&dep_info).filter(|_| program.is_file())?;
    let sources = sources(&fs::read_to_string(dep_info).ok()?);
    // If this is the program of another checkout, or of this one before it was moved, it has other sources.
    if !sources.contains(&workspace.join(PROGRAM).join("src/main.rs")) {
        return None;
    }
    for source in &sources {
        (modified(source)? <= built).then_some(())?;
    }
    let folders: BTreeSet<&Path> = sources
        .iter()
        .flat_map(|source| source.ancestors().skip(1))
        .filter(|folder| folder.starts_with(workspace))
        .collect();
    let manifests = folders.into_iter().map(|folder| folder.join("Cargo.toml"));
    let settings = ["Cargo.lock", ".cargo/config.toml", "rust-toolchain", "rust-toolchain.toml"];
    let settings = settings.map(|name| workspace.join(name));
    let mut optional = manifests.chain(settings).chain([launcher.to_owned()]);
    optional.all(|path| modified(&path).is_none_or(|time| time <= built)).then_some(())
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// The sources in a dep-info file: one line, `TARGET: SOURCE SOURCE ...`. Only spaces inside paths are escaped
/// (`render_filename` in cargo's `src/cargo/core/compiler/output_depinfo.rs`).
fn sources(dep_info: &str) -> BTreeSet<PathBuf> {
    let line = dep_info.lines().next().unwrap_or_default();
    // Spaces in the target are escaped too, so the first colon followed by a space ends it.
    let Some((_, sources)) = line.split_once(": ") else { return BTreeSet::new() };
    let sources = sources.replace("\\ ", "\0");
    sources.split(' ').map(|source| source.replace('\0', " ").into()).collect()
}

/// Builds the program with cargo, whose messages go to stderr. Leaves stdin to the program.
fn build(program: &Path, workspace: &Path) -> io::Result<ExitStatus> {
    let began = SystemTime::now();
    if !program.exists() {
        print("building the tasks; the first time this takes a few minutes");
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(&cargo);
    build
        .args(["build", "--package", PROGRAM, "--bin", PROGRAM, "--manifest-path"])
        .arg(workspace.join("Cargo.toml"))
        .stdin(Stdio::null())
        .stdout(io::stderr());
    remove_cargos_variables(&mut build);
    // Cargo determines its own path, as it does when the user runs it.
    build.env_remove("CARGO");
    let status = build.status().map_err(|error| {
        io::Error::new(error.kind(), format!("cannot start {}: {error}", cargo.display()))
    })?;
    if status.success() {
        // Cargo rewrites this file only if its contents change. Set its time to the beginning of the build, so that
        // the next launch notices an edit during the build. If that fails, the next launch asks cargo again.
        let dep_info = File::options().append(true).open(program.with_extension("d"));
        let _ = dep_info.and_then(|file| file.set_modified(began));
    }
    Ok(status)
}

fn remove_cargos_variables(command: &mut Command) {
    let names = env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| {
        let name = name.to_string_lossy();
        SET_BY_CARGO.iter().any(|start| name.starts_with(start))
    }) {
        command.env_remove(name);
    }
}

/// The program with this process's arguments, directory and environment.
fn command(program: &Path, workspace: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(env::args_os().skip(1)).env("CRUDDUR_WORKSPACE", workspace);
    remove_cargos_variables(&mut command);
    command
}

/// Replaces this process by the program, which then handles signals and the terminal itself.
#[cfg(unix)]
fn start(program: &Path, workspace: &Path) -> io::Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    Err(command(program, workspace).exec())
}

/// Runs the program and returns its exit status.
#[cfg(not(unix))]
fn start(program: &Path, workspace: &Path) -> io::Result<ExitCode> {
    Ok(exit_code(command(program, workspace).status()?))
}

/// The exit status after cargo ended with `status`. If a signal ended cargo, it is 1.
fn exit_code(status: ExitStatus) -> ExitCode {
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Prints a line to stderr. If stderr is closed, the line is lost.
fn print(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
