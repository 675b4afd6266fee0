//! PostgreSQL's server programs on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::environment::Environment;
use crate::failure::Failure;

/// The folder with `initdb` and `postgres` of one version.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Finds them: on PATH, where pg_config says, and where Debian, Homebrew and Postgres.app put them.
    ///
    /// # Errors
    /// They are in none of these places; the error lists the places and the shortest way out.
    pub(crate) fn find(environment: &Environment) -> Result<Self> {
        let mut places = places(environment);
        let found = places.iter().find(|folder| is_complete(folder)).cloned().or_else(|| {
            // Asked last: it has to be started to answer.
            let folder = asked_pg_config()?;
            places.push(folder.clone());
            is_complete(&folder).then_some(folder)
        });
        found.map(|folder| Self { folder }).ok_or_else(|| {
            let looked: Vec<String> = places.iter().map(|place| format!("\n  {}", place.display())).collect();
            let problem = format!(
                "no PostgreSQL server (initdb, postgres) on this machine; looked in:{}",
                looked.concat()
            );
            Failure::new(problem, install_hint()).into()
        })
    }

    /// What the server says of its version, or where it is.
    pub(crate) fn version(&self) -> String {
        let asked = Command::new(self.program("postgres")).arg("--version").output();
        let said =
            asked.map(|answer| String::from_utf8_lossy(&answer.stdout).trim().to_owned()).unwrap_or_default();
        format!("{said} in {}", self.folder.display())
    }

    /// A program's path.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn is_complete(folder: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file())
}

/// The shortest way to a PostgreSQL server on this operating system.
fn install_hint() -> &'static str {
    match std::env::consts::OS {
        "macos" => "`brew install postgresql@17`, or install Docker Desktop",
        "linux" => {
            "`apt install postgresql` (Debian, Ubuntu) or `dnf install postgresql-server` (Fedora), or install Docker"
        }
        _ => "install Docker",
    }
}

/// Where to look, in order; the newest version of several first.
fn places(environment: &Environment) -> Vec<PathBuf> {
    let path = environment.process_only("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> =
        std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect();
    places.extend(versions("/usr/lib/postgresql", ""));
    for prefix in ["/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"] {
        places.extend(versions(prefix, "postgresql"));
    }
    places.extend(versions("/Applications/Postgres.app/Contents/Versions", ""));
    places
}

fn asked_pg_config() -> Option<PathBuf> {
    let answer = Command::new("pg_config").arg("--bindir").output().ok()?;
    let folder = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    (answer.status.success() && !folder.is_empty()).then(|| PathBuf::from(folder))
}

/// `folder/<start of the name>*/bin`, the highest version number first.
fn versions(folder: impl AsRef<Path>, start: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
    let mut found: Vec<_> = named.filter(|(name, _)| name.starts_with(start)).collect();
    found.sort_by_key(|(name, _)| std::cmp::Reverse(version_of(name)));
    found.into_iter().map(|(_, path)| path.join("bin")).collect()
}

/// The numbers in a name: 9 and 6 in `postgresql-9.6`.
fn version_of(name: &str) -> Vec<u32> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["postgresql@9.6", "postgresql@15", "postgresql@17", "other@99"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let expected = ["postgresql@17", "postgresql@15", "postgresql@9.6"];
        let expected = expected.map(|name| folder.path().join(name).join("bin"));
        assert_eq!(versions(folder.path(), "postgresql"), expected);
    }

    #[test]
    fn path_comes_first_and_must_have_both_programs() {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment::from([("PATH", folder.path().to_str().unwrap())]);
        std::fs::write(folder.path().join("initdb"), "").unwrap();
        assert!(Binaries::find(&environment).ok().is_none_or(|found| found.folder != folder.path()));
        std::fs::write(folder.path().join("postgres"), "").unwrap();
        assert_eq!(Binaries::find(&environment).unwrap().folder, folder.path());
    }
}
