//! How far an import is, remembered for the one that goes on.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xtask_databases::table::TableDescription;
use xtask_files::Position;

use crate::state::StateFolder;

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Behind the last record that is done.
    pub(super) position: Position,
    pub(super) imported: u64,
    pub(super) rejected: u64,
    /// How long the file of rejected records is.
    pub(super) rejected_bytes: u64,
}

/// The file in the state folder that remembers how far one import is.
pub(super) struct Journal {
    path: PathBuf,
    of: Imported,
}

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
        let read = || {
            let metadata = std::fs::metadata(file)?;
            Ok((std::fs::canonicalize(file)?, metadata.len(), metadata.modified()?))
        };
        let (path, size, modified) = read().map_err(|error: std::io::Error| {
            anyhow!(error).context(format!("cannot read {}", file.display()))
        })?;
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
        let path =
            state.join(&format!("import-{}.json", Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes())));
        Ok(Self { path, of })
    }

    /// Where an interrupted import of the same file into the same table is, if there is one.
    pub(super) fn read(&self) -> Option<Progress> {
        let remembered: Remembered = serde_json::from_slice(&std::fs::read(&self.path).ok()?).ok()?;
        (remembered.of == self.of).then_some(remembered.progress)
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
    }
}
