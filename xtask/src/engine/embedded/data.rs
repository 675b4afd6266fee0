//! Creates and removes a database's data folder, completely or not at all.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::ui::Ui;
use anyhow::{Context as _, Result};

/// Where data is while it is being created or removed: a folder next to its place.
pub(super) fn beside(data: &Path) -> PathBuf {
    data.with_extension("new")
}

/// Removes `data`, and the rest of an interrupted removal.
pub(super) fn remove(data: &Path, ui: &Ui) -> Result<()> {
    let beside = beside(data);
    remove_whole(&beside)?;
    match std::fs::rename(data, &beside) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        moved => moved.with_context(|| format!("cannot move {} aside", data.display()))?,
    }
    remove_whole(&beside)?;
    ui.note(format_args!("removed {}", data.display()));
    Ok(())
}

/// Removes a file or a folder if it exists. The lock of its server is free, so no server writes to it.
pub(super) fn remove_whole(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("cannot remove {}", path.display())),
    }
}
