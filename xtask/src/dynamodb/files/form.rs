//! What a file's name says of what is in it.

use std::io;
use std::path::Path;

/// How items become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values below a header.
    Csv,
}

/// How the text becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// As it is.
    None,
    /// gzip, <https://www.rfc-editor.org/rfc/rfc1952>.
    Gzip,
    /// Zstandard, <https://www.rfc-editor.org/rfc/rfc8878>.
    Zstd,
}

/// The form of a file of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileForm {
    /// How items become text.
    pub(crate) encoding: Encoding,
    /// How the text becomes bytes.
    pub(crate) compression: Compression,
}

impl FileForm {
    /// The form that a path's extensions name, in capitals or not: `.jsonl`, `.ndjson` and `.json` are JSON
    /// lines (the last is what DynamoDB's export to S3 calls them), `.csv` is CSV; a further `.gz` or `.zst`
    /// is the compression.
    ///
    /// # Errors
    /// The extension is none of these; the error names them.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let (name, compression) = match name.rsplit_once('.') {
            Some((name, "gz")) => (name, Compression::Gzip),
            Some((name, "zst")) => (name, Compression::Zstd),
            _ => (name.as_str(), Compression::None),
        };
        let encoding = match name.rsplit_once('.') {
            Some((_, "jsonl" | "ndjson" | "json")) => Encoding::Jsonl,
            Some((_, "csv")) => Encoding::Csv,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!(
                        "{}: the name says no form that is known: it ends in .jsonl, .ndjson, .json or .csv, \
                         and then in .gz or .zst if it is compressed",
                        path.display()
                    ),
                ));
            }
        };
        Ok(Self { encoding, compression })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn extensions_name_the_form() {
        for (name, encoding, compression) in [
            ("a.jsonl", Encoding::Jsonl, Compression::None),
            ("folder.csv/a.ndjson.gz", Encoding::Jsonl, Compression::Gzip),
            ("4pdnhjbxgm2qq.json.gz", Encoding::Jsonl, Compression::Gzip),
            ("A.CSV", Encoding::Csv, Compression::None),
            ("a.jsonl.csv.zst", Encoding::Csv, Compression::Zstd),
        ] {
            assert_eq!(FileForm::of(Path::new(name)).unwrap(), FileForm { encoding, compression }, "{name}");
        }
    }

    #[test]
    fn an_unknown_extension_is_an_error_that_names_the_known_ones() {
        for name in ["a", "a.txt", "a.gz", "jsonl", "a.jsonl.bz2", "..", "a.csv.gz.zst"] {
            let error = FileForm::of(Path::new(name)).unwrap_err().to_string();
            assert!(
                [name, ".jsonl", ".ndjson", ".json", ".csv", ".gz", ".zst"]
                    .iter()
                    .all(|part| error.contains(part)),
                "{error}"
            );
        }
    }
}
