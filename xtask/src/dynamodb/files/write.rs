//! Writing items to a file, one by one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::dynamodb::json::{Item, PlainJson, TypedJson};
use tempfile::NamedTempFile;

use crate::dynamodb::files::compression::Sink;
use crate::dynamodb::files::{Columns, Compression, Notation};

/// How items are laid out in a file.
#[derive(Clone, Debug)]
pub(crate) enum Layout {
    /// One item a line.
    Jsonl(Notation),
    /// A header, and one item a row.
    Csv(Columns),
}

/// A file of items that is being written, beside its destination until it is whole. The same items give the
/// same bytes: attributes are in the order of their names, and nothing tells the time. One that is dropped
/// before [`finish`](Self::finish) leaves the destination as it was; what a killed process left beside it, the next
/// one for the same destination removes.
pub(crate) struct ItemFileWriter {
    path: PathBuf,
    rows: Rows,
}

enum Rows {
    Jsonl { out: Sink<NamedTempFile>, notation: Notation, line: Vec<u8> },
    Csv { out: Box<csv::Writer<Sink<NamedTempFile>>>, columns: Columns },
}

impl ItemFileWriter {
    /// Begins a file that will be at `path`. Whether one that is there may be replaced, the caller has to
    /// ask, and whether the form is the one that the name says.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn create(path: &Path, compression: Compression, layout: Layout) -> io::Result<Self> {
        // Where it is a link, what it leads to is replaced, and not the link.
        let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let out = Sink::new(beside(path)?, compression);
        let rows = match layout {
            Layout::Jsonl(notation) => Rows::Jsonl { out, notation, line: Vec::new() },
            Layout::Csv(columns) => {
                let mut out = csv::Writer::from_writer(out);
                out.write_record(columns.header())?;
                Rows::Csv { out: Box::new(out), columns }
            }
        };
        Ok(Self { path: path.to_owned(), rows })
    }

    /// Writes an item.
    ///
    /// # Errors
    /// The file cannot be written, for want of space, say.
    pub(crate) fn write(&mut self, item: &Item) -> io::Result<()> {
        match &mut self.rows {
            Rows::Jsonl { out, notation, line } => {
                line.clear();
                match notation {
                    Notation::Typed => serde_json::to_writer(&mut *line, &TypedJson(item))?,
                    Notation::Plain => serde_json::to_writer(&mut *line, &PlainJson(item))?,
                }
                line.push(b'\n');
                out.write_all(line)
            }
            Rows::Csv { out, columns } => Ok(out.write_record(columns.row(item)?)?),
        }
    }

    /// Ends the file and puts it in its place, where it takes that of an older one.
    ///
    /// # Errors
    /// The rest cannot be written, or the file not be put in its place; then there is none.
    pub(crate) fn finish(self) -> io::Result<()> {
        let out = match self.rows {
            Rows::Jsonl { out, .. } => out,
            Rows::Csv { out, .. } => {
                out.into_inner().map_err(|error| io::Error::new(error.error().kind(), error.to_string()))?
            }
        };
        let file = out.finish()?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

/// What the temporary files' names end with.
const SUFFIX: &str = ".partial";

/// A temporary file in the destination's folder, whose name tells what it is. It is locked as long as it is written,
/// by which it is told from what a killed process left.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    remove_left(folder, &prefix);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX);
    // As any new file, and not for its owner alone; the process's umask takes away what it does.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    loop {
        let file = builder.tempfile_in(folder)?;
        // Where a file system knows no locks, nothing is removed either.
        _ = file.as_file().lock();
        // Before it was locked, it may have been taken for one that was left.
        if file.path().exists() {
            return Ok(file);
        }
    }
}

/// Removes the temporary files that nobody writes any more: their process was killed.
fn remove_left(folder: &Path, prefix: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_partial = name.to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(SUFFIX));
        if is_partial
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            _ = fs::remove_file(entry.path());
        }
    }
}
