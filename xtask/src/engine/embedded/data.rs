//! Creates and removes a database's data folder, completely or not at all.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::poll::{self, Look};
use crate::ui::Ui;
use anyhow::{Context as _, Result};

/// How long a killed run's folder may resist removal after the processes that write to it have been ended.
const REMOVAL_BOUND: Duration = Duration::from_secs(10);
const REMOVAL_INTERVAL: Duration = Duration::from_millis(10);

/// Where data is while it is being created or removed: a folder next to its place.
pub(super) fn beside(data: &Path) -> PathBuf {
    data.with_extension("new")
}

/// Removes `data`, and the rest of an interrupted removal.
pub(super) async fn remove(data: &Path, ui: &Ui) -> Result<()> {
    let beside = beside(data);
    remove_whole(&beside).await?;
    match std::fs::rename(data, &beside) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        moved => moved.with_context(|| format!("cannot move {} aside", data.display()))?,
    }
    remove_whole(&beside).await?;
    ui.note(format_args!("removed {}", data.display()));
    Ok(())
}

/// Removes a file or a folder if it exists. A killed process may still write to it for a moment.
pub(super) async fn remove_whole(path: &Path) -> Result<()> {
    let removed = poll::until_ready(REMOVAL_BOUND, REMOVAL_INTERVAL, async || removal(path)).await;
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

fn removal(path: &Path) -> Look<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Look::NotYet(error.to_string()),
        Err(error) if error.kind() != ErrorKind::NotFound => Look::Failed(error.into()),
        // If a file vanished during the removal, the rest may still be there.
        _ if path.exists() => Look::NotYet("it is there again".to_owned()),
        _ => Look::Ready(()),
    }
}
