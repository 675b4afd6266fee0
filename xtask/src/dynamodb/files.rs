//! Items in files. What is written is read back as it was, and a record that cannot be read is an error with its line.
//!
//! A file's name says its form: `messages.jsonl`, `messages.csv.gz`, `messages.ndjson.zst` ([`FileForm`]).
//!
//! | in the file | reading gives | is lossless |
//! |---|---|---|
//! | JSON lines, DynamoDB JSON | `{"n":{"N":"1"}}`, and `{"Item":{...}}` as DynamoDB's export to S3 writes | yes |
//! | JSON lines, plain | text S, number N, true BOOL, null NULL, object M, array L | no: sets come back as lists, binary as text |
//! | CSV | as [`Columns`] says | yes |
//!
//! Reading and writing hold one record in memory, and what the compression needs.

mod columns;
mod compression;
mod jsonl;
mod read;
mod rules;
mod write;

use std::io;
use std::path::Path;

pub(crate) use columns::Columns;
pub(crate) use jsonl::{Notation, item_of};
pub(crate) use read::{ItemFile, Record};
pub(crate) use rules::check;
pub(crate) use write::{ItemFileWriter, Layout};

#[cfg(test)]
mod tests;

/// The form of a file of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileForm {
    pub(crate) encoding: Encoding,
    pub(crate) compression: Compression,
}

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
    None,
    /// <https://www.rfc-editor.org/rfc/rfc1952>
    Gzip,
    /// <https://www.rfc-editor.org/rfc/rfc8878>
    Zstd,
}

impl FileForm {
    /// The form that a path's extensions name, in capitals or not: `.jsonl`, `.ndjson` and `.json` are JSON
    /// lines (the last is what DynamoDB's export to S3 calls them), `.csv` is CSV; a further `.gz` or `.zst`
    /// is the compression. What an import left out of `a.csv.gz` is in `a.csv.gz.rejected`, or
    /// `a.csv.gz.rejected.1`, and not compressed.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let (name, compression) = match not_rejected(&name) {
            Some(imported) => (without_compression(imported).0, Compression::None),
            None => without_compression(&name),
        };
        let encoding = match name.rsplit_once('.') {
            Some((_, "jsonl" | "ndjson" | "json")) => Encoding::Jsonl,
            Some((_, "csv")) => Encoding::Csv,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("the form of {} is not known by its name", path.display()),
                ));
            }
        };
        Ok(Self { encoding, compression })
    }
}

fn without_compression(name: &str) -> (&str, Compression) {
    match name.rsplit_once('.') {
        Some((name, "gz")) => (name, Compression::Gzip),
        Some((name, "zst")) => (name, Compression::Zstd),
        _ => (name, Compression::None),
    }
}

/// The name of the file that a file of rejected records comes from; none of another file.
fn not_rejected(name: &str) -> Option<&str> {
    let numbered =
        name.rsplit_once('.').filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()));
    let name = numbered.map_or(name, |(name, _)| name).strip_suffix(".rejected")?;
    Some(not_rejected(name).unwrap_or(name))
}
