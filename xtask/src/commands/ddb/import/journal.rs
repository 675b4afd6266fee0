//! How far an import is, remembered for the one that goes on.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::dynamodb::files::Position;
use crate::dynamodb::table::TableDescription;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::rejected::Rejects;
use crate::state::StateFolder;

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Behind the last record that is done.
    pub(super) position: Position,
    pub(super) imported: u64,
    pub(super) rejected: u64,
    /// Those of them that are in the file of rejected records.
    pub(super) rejects: Rejects,
}

/// The file in the state folder that remembers how far one import is.
pub(super) struct Journal {
    path: PathBuf,
    of: Imported,
}

/// What the journals' names begin with.
const PREFIX: &str = "import-";

/// What has to be the same for an import to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Imported {
    file: PathBuf,
    size: u64,
    modified: SystemTime,
    target: String,
    table: String,
    /// A table that was dropped and made anew has nothing of what was imported.
    table_created: f64,
    table_id: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    of: Imported,
    progress: Progress,
}

impl Journal {
    pub(super) fn of(
        state: &StateFolder,
        file: &Path,
        target: &str,
        table: &TableDescription,
    ) -> Result<Self> {
        let looked_at = look_at(file).with_context(|| format!("cannot read {}", file.display()));
        let (path, size, modified) = looked_at?;
        let table_name = table.table_name.clone();
        let of = Imported {
            file: path,
            size,
            modified,
            target: target.to_owned(),
            table: table_name,
            table_created: table.creation_date_time,
            table_id: table.table_id.clone(),
        };
        let name = format!("{}\0{}\0{}", of.file.display(), of.target, of.table);
        state.make()?;
        remove_stale(state);
        let name = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes());
        Ok(Self { path: state.join(&format!("{PREFIX}{name}.json")), of })
    }

    /// Where an interrupted import of the same file into the same table is, if there is one that had done anything.
    pub(super) fn read(&self) -> Option<Progress> {
        let remembered = read(&self.path)?;
        let is_begun = remembered.progress != Progress::default();
        (is_begun && remembered.of == self.of).then_some(remembered.progress)
    }

    pub(super) fn write(&self, progress: &Progress) -> Result<()> {
        let remembered = Remembered { of: self.of.clone(), progress: *progress };
        crate::state::write_whole(&self.path, &remembered)
    }

    /// Nothing can go on any more. A file that stays is one that fits no import, or one that is done again.
    pub(super) fn forget(&self) {
        _ = std::fs::remove_file(&self.path);
    }
}

/// The file's whole path, its size in bytes, and when it was changed.
fn look_at(file: &Path) -> std::io::Result<(PathBuf, u64, SystemTime)> {
    let metadata = std::fs::metadata(file)?;
    Ok((std::fs::canonicalize(file)?, metadata.len(), metadata.modified()?))
}

/// Removes the journals of imports that can go on no more: their file is gone, or another by now.
fn remove_stale(state: &StateFolder) {
    let found = std::fs::read_dir(state.join(""));
    for path in found.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())) {
        let is_journal = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if is_journal && let Some(Remembered { of, .. }) = read(&path) {
            let is_stale = look_at(&of.file).map_or(true, |now| now != (of.file, of.size, of.modified));
            if is_stale {
                _ = std::fs::remove_file(&path);
            }
        }
    }
}

fn read(path: &Path) -> Option<Remembered> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_goes_on_into_the_same_table_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jsonl");
        std::fs::write(&file, "{}").unwrap();
        let state = StateFolder::of(folder.path());
        let journal = |id: &str, created: f64| {
            let table = format!(
                r#"{{"TableName":"t","TableId":"{id}","CreationDateTime":{created},"KeySchema":[],"AttributeDefinitions":[]}}"#
            );
            Journal::of(&state, &file, "http://h", &serde_json::from_str(&table).unwrap()).unwrap()
        };
        let progress = Progress { imported: 7, ..Progress::default() };
        journal("one", 5.0).write(&progress).unwrap();
        assert_eq!(journal("one", 5.0).read().map(|read| read.imported), Some(7));
        // Made anew, within the second that the server counts.
        assert!(journal("two", 5.0).read().is_none());
        assert!(journal("one", 6.0).read().is_none());
        // There is nothing to go on behind.
        journal("one", 5.0).write(&Progress::default()).unwrap();
        assert!(journal("one", 5.0).read().is_none());
    }

    #[test]
    fn what_no_import_goes_on_with_does_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::of(folder.path());
        let table: TableDescription = serde_json::from_str(
            r#"{"TableName":"t","CreationDateTime":5,"KeySchema":[],"AttributeDefinitions":[]}"#,
        )
        .unwrap();
        let begun = |name: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, name).unwrap();
            let journal = Journal::of(&state, &file, "http://h", &table).unwrap();
            journal.write(&Progress::default()).unwrap();
            (file, journal)
        };
        let (same, changed, removed) = (begun("same"), begun("changed"), begun("removed"));
        let is_there = |journal: &Journal| journal.path.exists();
        begun("another");
        assert!([&same.1, &changed.1, &removed.1].into_iter().all(is_there));
        std::fs::write(&changed.0, "longer than before").unwrap();
        std::fs::remove_file(&removed.0).unwrap();
        begun("another");
        assert_eq!([&same.1, &changed.1, &removed.1].map(is_there), [true, false, false]);
    }
}
