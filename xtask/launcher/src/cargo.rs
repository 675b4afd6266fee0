//! The build, by the cargo that started the launcher.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::place::Place;

/// What `cargo run` sets for a program that it starts, beyond `CARGO` itself
/// (<https://doc.rust-lang.org/cargo/reference/environment-variables.html#environment-variables-cargo-sets-for-crates>).
/// It is about the launcher's package, and a build script that reads such a variable would run again
/// each time it is another. Whatever else begins with `CARGO_` is the user's own and stays.
const SET_BY_CARGO: [&str; 6] = [
    "CARGO_BIN_",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
];

/// The variable that lists the folders of shared libraries. Cargo puts its own in front
/// (<https://doc.rust-lang.org/cargo/reference/environment-variables.html#dynamic-library-paths>).
const LIBRARY_PATH: &str = if cfg!(windows) {
    "PATH"
} else if cfg!(target_os = "macos") {
    "DYLD_FALLBACK_LIBRARY_PATH"
} else {
    "LD_LIBRARY_PATH"
};

/// Brings the program up to date. Cargo's output, all of it, goes to stderr; stdin is left to the
/// program.
///
/// # Errors
///
/// When cargo cannot be started. That the build failed is in the status.
pub(crate) fn build(place: &Place) -> io::Result<ExitStatus> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(&cargo);
    build
        .args(["build", "--package", place.package, "--bin", place.binary])
        .arg("--manifest-path")
        .arg(place.workspace.join("Cargo.toml"))
        .args(destination(&place.folder))
        .stdin(Stdio::null())
        .stdout(io::stderr());
    clean_environment(&mut build, place);
    // It finds its own path, as it does when it is called by hand.
    build.env_remove("CARGO");
    let status = build.status();
    let not_started = |error: io::Error| format!("cannot start {}: {error}", cargo.display());
    status.map_err(|error| io::Error::new(error.kind(), not_started(error)))
}

/// The options that make cargo put the program in `folder`: where it puts one is
/// `TARGET_DIR[/TARGET]/PROFILE`, the profile `dev` being in `debug`
/// (<https://doc.rust-lang.org/cargo/reference/build-cache.html>).
fn destination(folder: &Path) -> Vec<OsString> {
    let mut options = Vec::new();
    let mut option = |name: &str, value: &OsStr| options.extend([name.into(), value.into()]);
    let profile = folder.file_name().unwrap_or_default();
    let mut parent = folder.parent().unwrap_or(folder);
    if let (Some(above), Some(target)) = (parent.parent(), parent.file_name())
        && is_of_target(parent, above, profile)
    {
        option("--target", target);
        parent = above;
    }
    option("--target-dir", parent.as_os_str());
    option("--profile", if profile == "debug" { "dev".as_ref() } else { profile });
    options
}

/// Whether `folder` is the part of the target directory `above` that is for one `--target`, rather than
/// a target directory itself. Neither has a mark of its own: but a target directory usually has cargo's
/// notes on the compiler, and one that is built in for a target has the same profile for the host.
fn is_of_target(folder: &Path, above: &Path, profile: &OsStr) -> bool {
    !folder.join(".rustc_info.json").exists() && above.join(profile).join(".cargo-lock").exists()
}

/// Removes from what `command` inherits the variables that cargo set for the launcher.
pub fn clean_environment(command: &mut Command, place: &Place) {
    for (name, _) in env::vars_os() {
        if is_set_by_cargo(&name) {
            command.env_remove(name);
        }
    }
    let Some(list) = env::var_os(LIBRARY_PATH) else {
        return;
    };
    match without_cargos_folders(&list, &place.folder) {
        Some(rest) => command.env(LIBRARY_PATH, rest),
        None => command.env_remove(LIBRARY_PATH),
    };
}

fn is_set_by_cargo(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    SET_BY_CARGO.iter().any(|start| name.starts_with(start.as_bytes()))
}

/// What a list of library folders was before cargo put those of the target directory and then the
/// compiler's in front; nothing where there was none.
fn without_cargos_folders(list: &OsStr, folder: &Path) -> Option<OsString> {
    let folders: Vec<PathBuf> = env::split_paths(list).collect();
    let added = folders.iter().rposition(|path| path.starts_with(folder));
    let mut rest = &folders[added.map_or(0, |last| last + 1)..];
    if let [compilers, others @ ..] = rest
        && added.is_some()
        && compilers.parent().and_then(Path::parent).is_some_and(|path| path.ends_with("lib/rustlib"))
    {
        rest = others;
    }
    (!rest.is_empty()).then(|| env::join_paths(rest).unwrap_or_else(|_| list.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &str) -> Vec<String> {
        let options = destination(Path::new(folder));
        options.iter().map(|option| option.display().to_string()).collect()
    }

    #[test]
    fn the_profile_is_the_folders_name() {
        assert_eq!(options("/none/debug"), ["--target-dir", "/none", "--profile", "dev"]);
        assert_eq!(options("/none/release"), ["--target-dir", "/none", "--profile", "release"]);
    }

    #[test]
    fn only_what_cargo_sets_is_removed() {
        let set = ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME"];
        assert!(set.iter().all(|name| is_set_by_cargo(name.as_ref())));
        let kept = ["CARGO", "CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_BUILD_JOBS", "PATH"];
        assert!(!kept.iter().any(|name| is_set_by_cargo(name.as_ref())));
    }

    #[test]
    #[cfg(unix)]
    fn the_users_library_folders_stay() {
        let without = |list: &str| without_cargos_folders(list.as_ref(), Path::new("/t/debug"));
        let cargos = "/t/debug/build/x/out:/t/debug:/t/debug/deps:/r/lib/rustlib/x86_64/lib";
        assert_eq!(without(cargos), None);
        assert_eq!(without(&format!("{cargos}:/my/lib:/r/lib")), Some("/my/lib:/r/lib".into()));
        assert_eq!(without("/t/debug:/my/lib"), Some("/my/lib".into()));
        assert_eq!(without("/r/lib/rustlib/x86_64/lib:/a"), Some("/r/lib/rustlib/x86_64/lib:/a".into()));
    }
}
