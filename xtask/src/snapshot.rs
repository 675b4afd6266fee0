//! Snapshots: named copies of what both databases held, in the state folder's `snapshots` folder.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use backend_flask::time;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::engine::EngineName;
use crate::error::Failure;
use crate::private;
use crate::record::Record;
use crate::state::StateFolder;
use crate::text::hex;

const FOLDER: &str = "snapshots";
const MANIFEST: &str = "manifest.json";

/// The suffix of unfinished snapshots.
const PART: &str = ".part";

/// The suffix of a snapshot that is being replaced. An interruption leaves it there.
const ASIDE: &str = ".old";

/// The description that is stored with a snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// When the snapshot was saved, in RFC 3339.
    pub(crate) saved: String,
    pub(crate) engine: EngineName,
    /// `None` if the snapshot has no dump of Postgres.
    pub(crate) postgres: Option<Dump>,
    /// `None` if the snapshot has no items.
    pub(crate) dynamodb: Option<Items>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Dump {
    /// The server's version, such as `17.2`.
    pub(crate) version: String,
    pub(crate) sha256: String,
    /// The number of users, activities and rows of other tables.
    pub(crate) rows: [i64; 3],
    /// The record of the last set-up, if there was one.
    pub(crate) record: Option<Record>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Items {
    pub(crate) table: String,
    pub(crate) sha256: String,
    pub(crate) count: u64,
}

/// A snapshot's folder. The snapshot may be unfinished.
pub(crate) struct Snapshot {
    folder: PathBuf,
}

impl Snapshot {
    pub(crate) fn dump(&self) -> PathBuf {
        self.folder.join("postgres.dump")
    }

    /// The path of the file with the items of `table`.
    pub(crate) fn items(&self, table: &str) -> PathBuf {
        self.folder.join(format!("{table}.jsonl.zst"))
    }

    /// Reads and checks the manifest, which may have been copied from anywhere.
    pub(crate) fn manifest(&self) -> Result<Manifest> {
        let path = self.folder.join(MANIFEST);
        let unreadable = || self.broken(format!("cannot read {}", path.display()));
        let text = private::read(&path).map_err(|error| unreadable().caused_by(error))?;
        let text = text.ok_or_else(|| unreadable().caused_by("it does not exist"))?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| {
            let (path, line, column) = (path.display(), error.line(), error.column());
            self.broken(format!("{path}:{line}:{column}: not a snapshot's manifest"))
        })?;
        time::parse(&manifest.saved).with_context(|| format!("{} says no time", path.display()))?;
        if let Some(items) = &manifest.dynamodb {
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            ensure!(items.table.chars().all(is_allowed), "no table is named {:?}", items.table);
        }
        Ok(manifest)
    }

    /// The error for a file that is missing or damaged.
    pub(crate) fn broken(&self, problem: String) -> Failure {
        let name = self.folder.file_name().unwrap_or_default().display();
        let remedy = format!(
            "copy the snapshot again from where it is whole, or delete it with `cargo xtask snapshot delete {name}`"
        );
        Failure::new(problem, remedy)
    }

    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        private::write_whole(&self.folder.join(MANIFEST), &serde_json::to_vec_pretty(manifest)?)
    }

    /// The SHA-256 of a file, in hexadecimal.
    pub(crate) fn sum(path: &Path) -> Result<String> {
        let sum = || {
            let (mut file, mut sha) = (fs::File::open(path)?, Sha256::new());
            let mut chunk = vec![0; 64 << 10];
            loop {
                match std::io::Read::read(&mut file, &mut chunk)? {
                    0 => break,
                    count => sha.update(&chunk[..count]),
                }
            }
            std::io::Result::Ok(hex(&sha.finalize()))
        };
        sum().with_context(|| format!("cannot read {}", path.display()))
    }

    /// The size of the snapshot's files in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
    }
}

pub(crate) struct Snapshots {
    folder: PathBuf,
}

impl Snapshots {
    pub(crate) fn of(state: &StateFolder) -> Self {
        Self { folder: state.join(FOLDER) }
    }

    /// The folder of a snapshot while another one replaces it.
    fn aside(&self, name: &str) -> PathBuf {
        self.folder.join(format!(".{name}{ASIDE}"))
    }

    /// The names of all finished snapshots, sorted.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("cannot read {}", self.folder.display()))?,
        };
        let folders = entries.flatten().filter(|entry| entry.path().is_dir());
        let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
        let names = names.map(|name| aside_name(&name).map(str::to_owned).unwrap_or(name));
        let names: BTreeSet<_> = names.filter(|entry| name(entry).is_ok()).collect();
        Ok(names.into_iter().collect())
    }

    /// The snapshot with this name. It need not exist.
    fn at(&self, name: &str) -> Snapshot {
        let (folder, aside) = (self.folder.join(name), self.aside(name));
        Snapshot { folder: if !folder.is_dir() && aside.is_dir() { aside } else { folder } }
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.at(name).folder.is_dir()
    }

    /// The snapshot with this name.
    ///
    /// # Errors
    /// There is no such snapshot.
    pub(crate) fn open(&self, name: &str) -> Result<Snapshot> {
        if !self.exists(name) {
            let remedy = "see which there are with `cargo xtask snapshot list`";
            return Err(Failure::new(format!("there is no snapshot {name}"), remedy).into());
        }
        Ok(self.at(name))
    }

    /// Begins a snapshot, which has no name until [`Snapshots::finish`]. Dropping the [`TempDir`] removes it. Also
    /// removes what a killed run left, so the caller must hold the checkout's lock.
    pub(crate) fn begin(&self) -> Result<(TempDir, Snapshot)> {
        let begin = || -> Result<TempDir> {
            private::make_folder(&self.folder)?;
            for entry in fs::read_dir(&self.folder)?.flatten() {
                let file_name = entry.file_name();
                let Some(file_name) = file_name.to_str() else { continue };
                if let Some(name) = aside_name(file_name)
                    && !self.folder.join(name).exists()
                {
                    fs::rename(entry.path(), self.folder.join(name))?;
                    continue;
                }
                // A snapshot's name never begins with a dot.
                let is_part =
                    file_name.starts_with('.') && [PART, ASIDE].iter().any(|end| file_name.ends_with(end));
                if is_part {
                    fs::remove_dir_all(entry.path())?;
                }
            }
            let mut builder = tempfile::Builder::new();
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
            Ok(builder.prefix(".").suffix(PART).tempdir_in(&self.folder)?)
        };
        let folder = begin().with_context(|| format!("cannot write into {}", self.folder.display()))?;
        let snapshot = Snapshot { folder: folder.path().to_owned() };
        Ok((folder, snapshot))
    }

    /// Names a snapshot. It replaces a snapshot that has the name already.
    pub(crate) fn finish(&self, folder: TempDir, name: &str) -> Result<()> {
        let path = self.folder.join(name);
        let finish = || {
            if path.exists() {
                fs::rename(&path, self.aside(name))?;
            }
            fs::rename(folder.path(), &path)
        };
        finish().with_context(|| format!("cannot write {}", path.display()))?;
        _ = folder.keep();
        self.begin().map(drop)
    }

    /// Renames the snapshot `name` to `name.1`, and `name.1` to `name.2`; deletes `name.2`.
    pub(crate) fn rotate(&self, name: &str) -> Result<()> {
        let names = [name.to_owned(), format!("{name}.1"), format!("{name}.2")];
        if self.exists(&names[2]) {
            self.delete(&names[2])?;
        }
        for pair in [[1, 2], [0, 1]] {
            let [from, to] = pair.map(|index| self.at(&names[index]).folder);
            if from.is_dir() {
                fs::rename(&from, &to).with_context(|| format!("cannot rename {}", from.display()))?;
            }
        }
        Ok(())
    }

    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        let folder = self.open(name)?.folder;
        // Rename first: if the removal is interrupted, the rest is not listed as a snapshot.
        let aside = self.folder.join(format!(".{name}{PART}"));
        let delete = || {
            fs::rename(&folder, &aside)?;
            fs::remove_dir_all(&aside)
        };
        delete().with_context(|| format!("cannot remove {}", folder.display()))
    }
}

/// The name of the snapshot, if `folder` holds one that is being replaced.
fn aside_name(folder: &str) -> Option<&str> {
    folder.strip_prefix('.')?.strip_suffix(ASIDE)
}

/// Checks a snapshot's name, which is also the name of its folder.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty() || text.len() > 100 || text.starts_with(['.', '-']) || !text.chars().all(is_allowed) {
        return Err(
            "a name is 1 to 100 letters, digits, `.`, `_` and `-`, and begins with none of `.` and `-`"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_the_folder() {
        for good in ["a", "a.part", "before-ddb-setup", "v1.2_x", "A..b"] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in ["", ".", "..", ".hidden", "-f", "a/b", "a\\b", "a b", "ä", "a\n", &"x".repeat(101)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unfinished_snapshot_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let state = StateFolder::of(root.path());
        state.make().unwrap();
        let snapshots = Snapshots::of(&state);
        assert!(snapshots.names().unwrap().is_empty());
        // A killed run leaves this.
        let left = snapshots.begin().unwrap().0.keep();
        assert!(snapshots.names().unwrap().is_empty());
        for text in ["one", "two"] {
            let (folder, snapshot) = snapshots.begin().unwrap();
            fs::write(snapshot.dump(), text).unwrap();
            snapshots.finish(folder, "mine").unwrap();
            assert_eq!(fs::read_to_string(snapshots.open("mine").unwrap().dump()).unwrap(), text);
        }
        assert!(!left.exists());
        assert_eq!(snapshots.names().unwrap(), ["mine"]);
        assert_eq!(fs::read_dir(&snapshots.folder).unwrap().count(), 1);
        // A run that is killed while it replaces a snapshot leaves this.
        fs::rename(snapshots.folder.join("mine"), snapshots.aside("mine")).unwrap();
        assert_eq!(snapshots.names().unwrap(), ["mine"]);
        assert!(snapshots.open("mine").unwrap().dump().exists());
        snapshots.begin().unwrap();
        assert!(snapshots.folder.join("mine").is_dir() && !snapshots.aside("mine").exists());
        snapshots.delete("mine").unwrap();
        assert!(snapshots.open("mine").is_err() && snapshots.delete("mine").is_err());
    }
}
