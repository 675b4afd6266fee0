//! The records that an import leaves out.

use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// Where records go that cannot be imported: into a file beside the imported one, as they were, not
/// compressed.
pub(super) fn rejected_file(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    file.with_file_name(format!("{name}.rejected"))
}

/// What an import has written into its file of rejected records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rejects {
    /// How many records.
    pub(super) count: u64,
    /// How many bytes.
    bytes: u64,
    /// Their hash, by which they are known to be this import's.
    hash: u64,
}

/// The file of the records that were rejected.
pub(super) struct Rejected {
    path: PathBuf,
    /// None until there is a record for it.
    file: Option<File>,
    hasher: DefaultHasher,
    written: Rejects,
}

impl Rejected {
    /// Goes on behind what an interrupted import wrote: what is behind that in the file comes again. Where it is not
    /// there any more as it was, a file of its own has what follows.
    pub(super) fn open(imported: &Path, written: Rejects) -> Result<Self> {
        let path = rejected_file(imported);
        if written.bytes > 0
            && let Some((file, hasher)) = open_behind(&path, written).with_context(|| cannot_write(&path))?
        {
            return Ok(Self { path, file: Some(file), hasher, written });
        }
        Ok(Self { path, file: None, hasher: DefaultHasher::new(), written: Rejects::default() })
    }

    /// What is in the file.
    pub(super) fn written(&self) -> Rejects {
        self.written
    }

    /// Adds a record's text; `header` is that of a CSV. Returns where a file went that was in the place of this one:
    /// another import's, or one that somebody has mended.
    pub(super) fn add(&mut self, header: Option<&[u8]>, text: &[u8]) -> Result<Option<PathBuf>> {
        let mut aside = None;
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                aside = set_aside(&self.path)?;
                none.insert(File::create_new(&self.path).with_context(|| cannot_write(&self.path))?)
            }
        };
        let header = header.filter(|_| self.written.bytes == 0);
        for line in header.into_iter().chain([text]) {
            let line = [line, b"\n"].concat();
            file.write_all(&line).with_context(|| cannot_write(&self.path))?;
            self.hasher.write(&line);
            self.written.bytes += line.len() as u64;
        }
        self.written.count += 1;
        self.written.hash = self.hasher.finish();
        Ok(aside)
    }
}

/// The file behind what was written into it, and the hash of that; none where something else is there.
fn open_behind(path: &Path, written: Rejects) -> std::io::Result<Option<(File, DefaultHasher)>> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut hasher = DefaultHasher::new();
    let mut left = written.bytes;
    let mut chunk = vec![0; 64 << 10];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        match file.read(&mut chunk[..most])? {
            0 => return Ok(None),
            read => {
                hasher.write(&chunk[..read]);
                left -= read as u64;
            }
        }
    }
    if hasher.finish() != written.hash {
        return Ok(None);
    }
    file.set_len(written.bytes)?;
    file.seek(SeekFrom::End(0))?;
    Ok(Some((file, hasher)))
}

/// Gives a file that is there another name, with a number behind it. Returns that.
fn set_aside(path: &Path) -> Result<Option<PathBuf>> {
    if !path.exists() {
        return Ok(None);
    }
    let numbered = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
    let aside = (1..).map(numbered).find(|aside| !aside.exists()).context("there is no free name")?;
    std::fs::rename(path, &aside).with_context(|| format!("cannot move {} aside", path.display()))?;
    Ok(Some(aside))
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
        let mut rejected = Rejected::open(&file, Rejects::default()).unwrap();
        rejected.add(None, b"1").unwrap();
        rejected.add(None, b"2").unwrap();
        let remembered = rejected.written();
        rejected.add(None, b"3").unwrap();
        let mut rejected = Rejected::open(&file, remembered).unwrap();
        assert_eq!(rejected.add(None, b"4").unwrap(), None);
        assert_eq!((text().as_str(), rejected.written().count), ("1\n2\n4\n", 3));
        // Where somebody has taken them away, nothing stands in their place.
        std::fs::remove_file(&rejects).unwrap();
        let mut rejected = Rejected::open(&file, remembered).unwrap();
        rejected.add(Some(b"header"), b"5").unwrap();
        assert_eq!((text().as_str(), rejected.written().count), ("header\n5\n", 1));
    }

    #[test]
    fn what_is_not_this_import_s_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (file, rejects) = (folder.path().join("a.csv"), folder.path().join("a.csv.rejected"));
        let aside = |number: u32| folder.path().join(format!("a.csv.rejected.{number}"));
        std::fs::write(&rejects, "of another import\n").unwrap();
        let mut rejected = Rejected::open(&file, Rejects::default()).unwrap();
        assert!(!aside(1).exists(), "there is no reject yet");
        assert_eq!(rejected.add(None, b"mine").unwrap(), Some(aside(1)));
        let remembered = rejected.written();
        // Mended while the import is interrupted: as long as before, and longer.
        for (number, mended) in [(2, "MINE\n"), (3, "mended\n")] {
            std::fs::write(&rejects, mended).unwrap();
            let mut rejected = Rejected::open(&file, remembered).unwrap();
            assert_eq!(rejected.add(None, b"next").unwrap(), Some(aside(number)));
            assert_eq!(std::fs::read_to_string(aside(number)).unwrap(), mended);
            assert_eq!(std::fs::read_to_string(&rejects).unwrap(), "next\n");
        }
        assert_eq!(std::fs::read_to_string(aside(1)).unwrap(), "of another import\n");
    }
}
