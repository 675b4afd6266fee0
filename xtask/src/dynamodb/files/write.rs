//! Writes items to a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::dynamodb::json::{Item, Json};
use tempfile::NamedTempFile;

use crate::dynamodb::files::compression::Encoder;
use crate::dynamodb::files::{Columns, Compression, Notation};

#[derive(Clone, Debug)]
pub(crate) enum Layout {
    /// One item per line.
    Jsonl(Notation),
    /// A header, then one item per row.
    Csv(Columns),
}

/// Writes a file of items. The items go to a temporary file next to the destination until [`finish`](Self::finish).
/// If the writer is dropped before that, the destination is unchanged. The same items give the same bytes: attributes
/// are sorted by name, and no times are stored.
pub(crate) struct ItemFileWriter {
    path: PathBuf,
    out: Encoder<NamedTempFile>,
    layout: Layout,
    line: Vec<u8>,
}

impl ItemFileWriter {
    /// Begins a file that will replace the one at `path`, or the one that the link at `path` leads to.
    pub(crate) fn create(path: &Path, compression: Compression, layout: Layout) -> io::Result<Self> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut out = Encoder::new(beside(&path)?, compression);
        let mut line = Vec::new();
        if let Layout::Csv(columns) = &layout {
            add_row(&mut line, columns.header())?;
            out.write_all(&line)?;
        }
        Ok(Self { path, out, layout, line })
    }

    pub(crate) fn write(&mut self, item: &Item) -> io::Result<()> {
        self.line.clear();
        match &self.layout {
            Layout::Jsonl(notation) => {
                serde_json::to_writer(&mut self.line, &Json(item, *notation))?;
                self.line.push(b'\n');
            }
            Layout::Csv(columns) => add_row(&mut self.line, columns.row(item)?)?,
        }
        self.out.write_all(&self.line)
    }

    /// Completes the file and moves it to its destination.
    pub(crate) fn finish(self) -> io::Result<()> {
        let file = self.out.finish()?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

fn add_row(line: &mut Vec<u8>, cells: impl IntoIterator<Item = impl AsRef<[u8]>>) -> io::Result<()> {
    let mut row = csv::Writer::from_writer(line);
    row.write_record(cells)?;
    row.flush()
}

const SUFFIX: &str = ".partial";

/// Creates a temporary file in the destination's folder. It is locked while it is written. The next export to the
/// same destination removes those that killed processes left: they are not locked.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    remove_left(folder, &prefix);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX);
    // The permissions of the replaced file, or those of a new file, which the umask restricts.
    #[cfg(unix)]
    builder.permissions(match fs::metadata(path) {
        Ok(replaced) => replaced.permissions(),
        Err(_) => std::os::unix::fs::PermissionsExt::from_mode(0o666),
    });
    loop {
        let file = builder.tempfile_in(folder)?;
        // On a file system without locks this fails, and so does the lock in `remove_left`, which then removes
        // nothing.
        _ = file.as_file().lock();
        // Another export may have removed the file before it was locked.
        if file.path().exists() {
            return Ok(file);
        }
    }
}

/// Removes temporary files of killed processes.
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
