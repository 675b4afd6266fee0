//! Reads the records of an imported file, and says which are written and where rejected ones go.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::rules::Rules;
use crate::dynamodb::files::{FileRecord, ItemFile};
use crate::dynamodb::write::Write;
use crate::error::Failure;
use crate::ui::Ui;

/// What to do with a record that cannot be imported.
pub(super) enum Rejects {
    End,
    Print,
    /// Print it and add it to a file beside the imported one, which is created for the first.
    Keep(Option<File>),
}

/// A file's records, and the line up to which they have been written.
pub(super) struct Records<'a> {
    path: &'a Path,
    file: ItemFile,
    from_line: u64,
    rules: &'a Rules,
    names: Vec<&'a str>,
    rejects: Rejects,
    /// A CSV's header, which the rejected rows need too.
    header: Vec<u8>,
    ui: &'a Ui,
    /// The number of importable records read.
    pub(super) imported: u64,
    /// The number of rejected records read.
    pub(super) rejected: u64,
    /// The lines of the records that may not be written yet, in order.
    under_way: VecDeque<u64>,
    /// The line after the last record that was read. A bad record that ends the import does not count.
    next_line: u64,
}

impl<'a> Records<'a> {
    pub(super) fn new(
        path: &'a Path,
        file: ItemFile,
        from_line: u64,
        rules: &'a Rules,
        rejects: Rejects,
        ui: &'a Ui,
    ) -> Self {
        Self {
            path,
            from_line,
            rules,
            names: rules.key_names().collect(),
            rejects,
            header: file.header().map(|header| [header, b"\n"].concat()).unwrap_or_default(),
            file,
            ui,
            imported: 0,
            rejected: 0,
            under_way: VecDeque::new(),
            next_line: from_line,
        }
    }

    /// The request that writes the next importable record; `None` at the end.
    pub(super) fn next_request(&mut self) -> Result<Option<Write>> {
        loop {
            let lines = self.file.lines();
            let record = self.file.next().with_context(|| format!("cannot read on after line {lines}"))?;
            let Some(FileRecord { line, text, item }) = record else {
                let (file, lines) = (self.path.display(), self.file.lines());
                ensure!(
                    self.from_line <= lines.max(1),
                    "--from-line {}: {file} has {lines} lines",
                    self.from_line
                );
                return Ok(None);
            };
            let item = item.and_then(|item| self.rules.importable(item));
            if let Err(why) = &item {
                let place = format!("{}:{line}: {why}", self.path.display());
                if let Rejects::End = self.rejects {
                    return Err(bad_line(place));
                }
                self.ui.line(place);
                self.rejected += 1;
                if let Rejects::Keep(rejected) = &mut self.rejects {
                    keep(rejected, self.path, &self.header, text, self.ui)?;
                }
            }
            self.next_line = self.file.lines() + 1;
            if let Ok(item) = item {
                self.imported += 1;
                self.under_way.push_back(line);
                return Write::put(item, &self.names).map(Some);
            }
        }
    }

    /// Notes that the first `count` requests have been written.
    pub(super) fn are_written(&mut self, count: u64) {
        while self.imported - (self.under_way.len() as u64) < count {
            self.under_way.pop_front();
        }
    }

    /// The first line that may not be written yet.
    pub(super) fn first_unwritten(&self) -> u64 {
        self.under_way.front().copied().unwrap_or(self.next_line)
    }

    /// The fraction of the file that has been read, from 0 to 1.
    pub(super) fn share(&self) -> f64 {
        self.file.share()
    }
}

fn bad_line(problem: String) -> anyhow::Error {
    let remedy = "fix the line and run the command again; or add --reject, which puts such lines into a file of \
                  their own";
    Failure::usage(problem, remedy).into()
}

/// Adds a record's text, unchanged and uncompressed, to the file for rejected records. If an earlier import left such a
/// file, renames that one first.
fn keep(rejected: &mut Option<File>, imported: &Path, header: &[u8], text: &[u8], ui: &Ui) -> Result<()> {
    let path = rejected_path(imported);
    let cannot_write = || format!("cannot write {}", path.display());
    let mut text = [text, b"\n"].concat();
    let file = match rejected {
        Some(file) => file,
        none => {
            set_aside(&path, ui)?;
            text = [header, &text].concat();
            none.insert(create_as(imported, &path).with_context(cannot_write)?)
        }
    };
    file.write_all(&text).with_context(cannot_write)
}

pub(super) fn rejected_path(file: &Path) -> PathBuf {
    with_suffix(file, ".rejected")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Creates a file with the permissions of another, so that it is readable by nobody else.
fn create_as(other: &Path, path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        options.mode(other.metadata()?.permissions().mode() & 0o666);
    }
    #[cfg(not(unix))]
    let _ = other;
    options.write(true).create_new(true).open(path)
}

/// If the file exists, renames it with a number.
fn set_aside(path: &Path, ui: &Ui) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let numbered = |number: u32| with_suffix(path, &format!(".{number}"));
    let aside = (1..).map(numbered).find(|aside| !aside.exists()).context("there is no free name")?;
    std::fs::rename(path, &aside).with_context(|| format!("cannot move {} aside", path.display()))?;
    ui.note(format_args!("renamed the earlier {} to {}", path.display(), aside.display()));
    Ok(())
}
