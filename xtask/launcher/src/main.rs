//! Starts the `xtask` program, after `cargo build` if one of its inputs is newer than the program.
//!
//! `cargo run --package xtask` would do the same, but cargo checks some three hundred packages before each
//! run. This package has no dependencies, so `cargo run` of it takes half as long.
//!
//! The inputs are the sources in cargo's dep-info file beside the program
//! (<https://doc.rust-lang.org/cargo/reference/build-cache.html#dep-info-files>), the manifests above them, the
//! lock file, the workspace's cargo configuration and toolchain file, and this launcher, which cargo builds
//! anew for another compiler or other flags. They are compared with the time of the dep-info file, which each
//! build sets to its beginning.

use std::collections::BTreeSet;
use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::SystemTime;

/// The package, and the program that it builds.
const PROGRAM: &str = "xtask";

/// The start of the names of the variables that `cargo run` sets, beyond `CARGO` itself
/// (<https://doc.rust-lang.org/cargo/reference/environment-variables.html#environment-variables-cargo-sets-for-crates>).
/// A build script that reads one of them would run again each time its value changes. Other variables that
/// begin with `CARGO_` are the user's.
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

/// On Unix this returns only if the program was not started.
fn launch() -> Result<ExitCode, Box<dyn Error>> {
    let workspace = workspace()?;
    let launcher = env::current_exe()?;
    // Cargo puts both programs into the same folder, whatever target directory, target or profile is set.
    let program = launcher.with_file_name(PROGRAM).with_extension(env::consts::EXE_EXTENSION);
    if is_current(&program, &launcher, &workspace).is_none() {
        let status = build(&program, &workspace)?;
        if !status.success() {
            return Ok(exit_code(status));
        }
    }
    start(&program, &workspace).map_err(|error| format!("cannot start {}: {error}", program.display()).into())
}

/// The nearest folder with a lock file above `CARGO_MANIFEST_DIR`, which `cargo run` sets. The folder that
/// this was compiled in may have been moved.
fn workspace() -> Result<PathBuf, Box<dyn Error>> {
    let package = env::var_os("CARGO_MANIFEST_DIR").ok_or("start the tasks with `cargo xtask`")?;
    let package = Path::new(&package);
    let root = package.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    Ok(root.ok_or_else(|| format!("no Cargo.lock above {}", package.display()))?.to_owned())
}

/// `Some` if no input is newer than the last build. `None` also if that cannot be told: cargo is asked then.
fn is_current(program: &Path, launcher: &Path, workspace: &Path) -> Option<()> {
    let dep_info = program.with_extension("d");
    let built = modified(&dep_info).filter(|_| program.is_file())?;
    let sources = sources(&fs::read_to_string(dep_info).ok()?);
    // The program of another checkout, or of this one before it was moved, has other sources.
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

/// The sources in a dep-info file: one line, `TARGET: SOURCE SOURCE ...`. Only a space within a path is
/// escaped (`render_filename` in cargo's `src/cargo/core/compiler/output_depinfo.rs`).
fn sources(dep_info: &str) -> BTreeSet<PathBuf> {
    let line = dep_info.lines().next().unwrap_or_default();
    // The target's own spaces are escaped too, so the first colon with a space behind it ends it.
    let Some((_, sources)) = line.split_once(": ") else { return BTreeSet::new() };
    let sources = sources.replace("\\ ", "\0");
    sources.split(' ').map(|source| source.replace('\0', " ").into()).collect()
}

/// Has cargo build the program. Its messages go to stderr, and stdin is left to the program.
fn build(program: &Path, workspace: &Path) -> io::Result<ExitStatus> {
    let began = SystemTime::now();
    if !program.exists() {
        print("building the tasks; the first time this takes a minute or two");
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let folder = program.parent().and_then(Path::file_name).unwrap_or_default();
    let mut build = Command::new(&cargo);
    build
        .args(["build", "--package", PROGRAM, "--bin", PROGRAM, "--profile"])
        // <https://doc.rust-lang.org/cargo/reference/build-cache.html>
        .arg(if folder == "debug" { "dev".as_ref() } else { folder })
        .arg("--manifest-path")
        .arg(workspace.join("Cargo.toml"))
        .stdin(Stdio::null())
        .stdout(io::stderr());
    remove_cargos_variables(&mut build);
    // Cargo finds its own path, as it does when it is called by hand.
    build.env_remove("CARGO");
    let status = build.status().map_err(|error| {
        io::Error::new(error.kind(), format!("cannot start {}: {error}", cargo.display()))
    })?;
    if status.success() {
        // Cargo writes this file anew only if its contents change. An edit during the build is newer than its
        // beginning, and seen by the next launch. If the time cannot be set, the next launch asks cargo again.
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

/// The program with this process's arguments, folder and environment.
fn command(program: &Path, workspace: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(env::args_os().skip(1)).env("CRUDDUR_WORKSPACE", workspace);
    remove_cargos_variables(&mut command);
    command
}

/// Turns this process into the program, whose signals, terminal and exit status are then its own.
#[cfg(unix)]
fn start(program: &Path, workspace: &Path) -> io::Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    Err(command(program, workspace).exec())
}

/// Runs the program and ends with its exit status.
#[cfg(not(unix))]
fn start(program: &Path, workspace: &Path) -> io::Result<ExitCode> {
    Ok(exit_code(command(program, workspace).status()?))
}

/// The exit status to end with after cargo ended with `status`; one that a signal ended has none.
fn exit_code(status: ExitStatus) -> ExitCode {
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Prints a line to stderr. If even that fails, nobody is listening.
fn print(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
