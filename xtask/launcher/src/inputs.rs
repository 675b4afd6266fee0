//! Which files the program is built from.
//!
//! Cargo lists the local sources in a dep-info file beside the program
//! (<https://doc.rust-lang.org/cargo/reference/build-cache.html#dep-info-files>); manifests, the lock
//! file and the configuration are not in it.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::place::Place;

/// The files that the program in its place was built from, besides the [`settings`].
#[derive(Debug)]
pub(crate) struct Inputs {
    /// What cargo knows by its modification time: sources, and the files that they include.
    pub(crate) sources: BTreeSet<PathBuf>,
    /// What cargo reads each time it runs: manifests and the lock file. Some need not exist; if they
    /// did, the program would be built from them.
    pub(crate) manifests: BTreeSet<PathBuf>,
}

/// What the program was built from, or nothing where cargo alone can tell: without a dep-info file, or
/// with a build script that does not name the files it looks at.
pub(crate) fn of_program(place: &Place) -> Option<Inputs> {
    let dep_info = fs::read_to_string(&place.dep_info).ok()?;
    let sources = parse_dep_info(&dep_info)?;
    let manifests = manifests(&sources, &place.workspace);
    // Beside a manifest, by that name, it is no module.
    let is_script = |path: &&PathBuf| path.ends_with("build.rs") && sources.contains(*path);
    if manifests.iter().filter(is_script).any(|script| !names_its_files(script)) {
        return None;
    }
    Some(Inputs { sources, manifests })
}

/// Whether a build script is run again for files alone, which are then in the dep-info, and says so: not
/// for anything in its package, nor for an environment variable
/// (<https://doc.rust-lang.org/cargo/reference/build-scripts.html#change-detection>).
fn names_its_files(script: &Path) -> bool {
    fs::read_to_string(script)
        .is_ok_and(|text| text.contains("rerun-if-changed=") && !text.contains("rerun-if-env-changed"))
}

/// The paths that a dep-info file of cargo's lists for its one target.
///
/// It is a rule as in a makefile, in one line: the target, a colon, and what it is made from, divided
/// by spaces. Only a space within a path is escaped, by a backslash; every other character, `$` and `#`
/// and the backslash itself among them, stands for itself (`render_filename` in cargo's
/// `src/cargo/core/compiler/output_depinfo.rs`).
///
/// Nothing comes back for a file in another form, or one with relative paths: what they are relative to
/// is a setting, `build.dep-info-basedir`.
fn parse_dep_info(text: &str) -> Option<BTreeSet<PathBuf>> {
    // The target's own spaces are escaped, so that a space after a colon ends it.
    let (_, sources) = text.lines().next()?.split_once(": ")?;
    let mut paths = vec![String::new()];
    let mut characters = sources.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            ' ' => paths.push(String::new()),
            '\\' if characters.next_if_eq(&' ').is_some() => paths.last_mut()?.push(' '),
            other => paths.last_mut()?.push(other),
        }
    }
    let paths: BTreeSet<PathBuf> = paths.into_iter().map(PathBuf::from).collect();
    paths.iter().all(|path| path.is_absolute()).then_some(paths)
}

/// The lock file, every manifest above a source, and beside each of these the sources that cargo would
/// find by their names alone, and use, if they appeared
/// (<https://doc.rust-lang.org/cargo/reference/cargo-targets.html#target-auto-discovery>).
fn manifests(sources: &BTreeSet<PathBuf>, workspace: &Path) -> BTreeSet<PathBuf> {
    let folders: BTreeSet<&Path> = sources.iter().flat_map(|source| source.ancestors().skip(1)).collect();
    let mut manifests = BTreeSet::from([workspace.join("Cargo.lock")]);
    for folder in folders {
        let manifest = folder.join("Cargo.toml");
        if manifest.is_file() {
            manifests.extend([manifest, folder.join("build.rs"), folder.join("src/lib.rs")]);
        }
    }
    manifests
}

/// The files that set how cargo and rustup build, from `current` and the folders above it, and cargo's
/// home. Only those that exist: one that appears makes the list another.
///
/// <https://doc.rust-lang.org/cargo/reference/config.html#hierarchical-structure>,
/// <https://rust-lang.github.io/rustup/overrides.html#the-toolchain-file>
pub(crate) fn settings(current: &Path) -> Vec<PathBuf> {
    const NAMES: [&str; 4] = [".cargo/config", ".cargo/config.toml", "rust-toolchain", "rust-toolchain.toml"];
    let above = current.ancestors().flat_map(|folder| NAMES.map(|name| folder.join(name)));
    let home = cargo_home().map(|home| current.join(home)).into_iter();
    let home = home.flat_map(|home| ["config", "config.toml"].map(|name| home.join(name)));
    above.chain(home).filter(|path| path.is_file()).collect()
}

/// `CARGO_HOME`, or `.cargo` in the user's home
/// (<https://doc.rust-lang.org/cargo/guide/cargo-home.html>).
fn cargo_home() -> Option<PathBuf> {
    match env::var_os("CARGO_HOME") {
        Some(home) => Some(home.into()),
        None => Some(env::home_dir()?.join(".cargo")),
    }
}

/// Whether a configuration file names others to be read with it
/// (<https://doc.rust-lang.org/cargo/reference/config.html#including-extra-configuration-files>). Those
/// would have to be found as cargo finds them; a file that cannot be read counts as one that does.
pub(crate) fn includes_others(setting: &Path) -> bool {
    fs::read_to_string(setting).map_or(true, |text| {
        text.lines().any(|line| {
            let key = line.trim_start().trim_start_matches(['"', '\'']);
            key.starts_with("include")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths<const N: usize>(paths: [&str; N]) -> Option<BTreeSet<PathBuf>> {
        Some(paths.into_iter().map(PathBuf::from).collect())
    }

    #[test]
    #[cfg(unix)]
    fn dep_info_lists_what_follows_the_target() {
        let text = "/t/debug/xtask: /w/a.rs /w/b.sql\n";
        assert_eq!(parse_dep_info(text), paths(["/w/a.rs", "/w/b.sql"]));
        let crlf = "/t/debug/xtask: /w/a.rs\r\n";
        assert_eq!(parse_dep_info(crlf), paths(["/w/a.rs"]));
    }

    #[test]
    #[cfg(unix)]
    fn dep_info_escapes_spaces_and_nothing_else() {
        let text = r"/my\ target:\ x/xtask: /my\ work/a.rs /$x/#y/b\c.rs /d:e\ \ f.rs";
        let expected = paths(["/my work/a.rs", r"/$x/#y/b\c.rs", "/d:e  f.rs"]);
        assert_eq!(parse_dep_info(text), expected);
    }

    #[test]
    #[cfg(windows)]
    fn dep_info_keeps_the_drive_and_the_backslashes() {
        let text = r"C:\t\debug\xtask.exe: C:\w\a.rs C:\my\ work\b.rs";
        let expected = paths([r"C:\w\a.rs", r"C:\my work\b.rs"]);
        assert_eq!(parse_dep_info(text), expected);
    }

    #[test]
    fn dep_info_of_another_form_is_refused() {
        for text in ["", "\n", "/t/xtask:", "/t/xtask: ", "no rule", "/t/xtask: src/main.rs"] {
            assert_eq!(parse_dep_info(text), None, "{text:?}");
        }
    }
}
