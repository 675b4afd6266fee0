//! The records that an import leaves out.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Where records go that cannot be imported: into a file beside the imported one, as they were, not
/// compressed.
pub(super) fn rejected_file(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    file.with_file_name(format!("{name}.rejected"))
}

/// The file of the records that were rejected.
pub(super) struct Rejected {
    path: PathBuf,
    /// None until there is a record for it.
    file: Option<File>,
    bytes: u64,
}

impl Rejected {
    /// Keeps the first `bytes` bytes that an interrupted import wrote: what is behind them comes again. Where they
    /// are gone, a file of its own has what follows.
    pub(super) fn open(imported: &Path, bytes: u64) -> Result<Self> {
        let path = rejected_file(imported);
        let begun = match std::fs::metadata(&path) {
            Ok(metadata) if bytes > 0 => metadata.len() >= bytes,
            _ => false,
        };
        let open = || {
            let mut file = OpenOptions::new().write(true).open(&path)?;
            file.set_len(bytes)?;
            file.seek(SeekFrom::End(0))?;
            std::io::Result::Ok(file)
        };
        if !begun {
            return Ok(Self { path, file: None, bytes: 0 });
        }
        let file = open().with_context(|| cannot_write(&path))?;
        Ok(Self { path, file: Some(file), bytes })
    }

    /// How long the file is.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a record's text; `header` is that of a CSV.
    pub(super) fn add(&mut self, header: Option<&[u8]>, text: &[u8]) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            file => file.insert(File::create(&self.path).with_context(|| cannot_write(&self.path))?),
        };
        let header = header.filter(|_| self.bytes == 0);
        for line in header.into_iter().chain([text]) {
            let line = [line, b"\n"].concat();
            file.write_all(&line).with_context(|| cannot_write(&self.path))?;
            self.bytes += line.len() as u64;
        }
        Ok(())
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_records_go_beside_the_file_uncompressed() {
        for (file, expected) in [
            ("a/items.jsonl", "a/items.jsonl.rejected"),
            ("items.csv.gz", "items.csv.rejected"),
            ("items.jsonl.zst", "items.jsonl.rejected"),
        ] {
            assert_eq!(rejected_file(Path::new(file)), Path::new(expected));
        }
    }

    #[test]
    fn rejected_records_go_on_behind_those_of_the_interrupted_import() {
        let folder = tempfile::tempdir().unwrap();
        let (file, rejects) = (folder.path().join("a.jsonl"), folder.path().join("a.jsonl.rejected"));
        let text = || std::fs::read_to_string(&rejects).unwrap();
        std::fs::write(&rejects, "1\n2\n3\n").unwrap();
        let mut rejected = Rejected::open(&file, 4).unwrap();
        rejected.add(None, b"4").unwrap();
        assert_eq!((text().as_str(), rejected.bytes), ("1\n2\n4\n", 6));
        // Where somebody has taken them away, nothing stands in their place.
        std::fs::remove_file(&rejects).unwrap();
        let mut rejected = Rejected::open(&file, 6).unwrap();
        rejected.add(Some(b"header"), b"5").unwrap();
        assert_eq!((text().as_str(), rejected.bytes), ("header\n5\n", 9));
    }

    #[test]
    fn an_earlier_import_s_rejects_stay_until_there_are_others() {
        let folder = tempfile::tempdir().unwrap();
        let (file, rejects) = (folder.path().join("a.csv"), folder.path().join("a.csv.rejected"));
        std::fs::write(&rejects, "earlier\n").unwrap();
        let mut rejected = Rejected::open(&file, 0).unwrap();
        assert_eq!(std::fs::read_to_string(&rejects).unwrap(), "earlier\n");
        rejected.add(None, b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&rejects).unwrap(), "new\n");
    }
}
