//! Files of items. Items that are written and read again are unchanged. A record that cannot be read is an error with
//! its line.
//!
//! The file's name determines its form: `messages.jsonl`, `messages.csv.gz`, `messages.ndjson.zst` ([`FileForm`]).
//!
//! | in the file | reading gives | is lossless |
//! |---|---|---|
//! | JSON lines, DynamoDB JSON | `{"n":{"N":"1"}}`, and `{"Item":{...}}` as DynamoDB's export to S3 writes | yes |
//! | JSON lines, plain | text S, number N, true BOOL, null NULL, object M, array L | no: sets come back as lists, binary as text |
//! | CSV | as [`Columns`] says | yes |
//!
//! Memory holds one record at a time, and the compressor's buffers.

mod columns;
mod compression;
mod jsonl;
mod read;
mod rules;
mod write;

use std::io;
use std::path::Path;

pub(crate) use crate::dynamodb::json::Notation;
pub(crate) use columns::Columns;
pub(crate) use jsonl::item_of;
pub(crate) use read::{FileRecord, ItemFile};
pub(crate) use rules::check;
pub(crate) use write::{ItemFileWriter, Layout};

#[cfg(test)]
mod tests;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileForm {
    /// Comma-separated values below a header; otherwise one JSON object per line.
    pub(crate) is_csv: bool,
    pub(crate) compression: Compression,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    /// <https://www.rfc-editor.org/rfc/rfc1952>
    Gzip,
    /// <https://www.rfc-editor.org/rfc/rfc8878>
    Zstd,
}

impl FileForm {
    /// The form given by the extensions, in upper or lower case: `.jsonl`, `.ndjson` and `.json` for JSON lines
    /// (DynamoDB's export to S3 uses the last one), `.csv` for CSV; then `.gz` or `.zst` for the compression. The
    /// records that an import of `a.csv.gz` rejected are in `a.csv.gz.rejected` or `a.csv.gz.rejected.1`,
    /// uncompressed.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let (name, compression) = match not_rejected(&name) {
            Some(imported) => (without_compression(imported).0, Compression::None),
            None => without_compression(&name),
        };
        let is_csv = match name.rsplit_once('.') {
            Some((_, "jsonl" | "ndjson" | "json")) => false,
            Some((_, "csv")) => true,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("the name of {} does not tell its format", path.display()),
                ));
            }
        };
        Ok(Self { is_csv, compression })
    }
}

fn without_compression(name: &str) -> (&str, Compression) {
    match name.rsplit_once('.') {
        Some((name, "gz")) => (name, Compression::Gzip),
        Some((name, "zst")) => (name, Compression::Zstd),
        _ => (name, Compression::None),
    }
}

/// The name of the imported file, if `name` is a file of its rejected records.
fn not_rejected(name: &str) -> Option<&str> {
    let numbered =
        name.rsplit_once('.').filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()));
    let name = numbered.map_or(name, |(name, _)| name).strip_suffix(".rejected")?;
    Some(not_rejected(name).unwrap_or(name))
}
