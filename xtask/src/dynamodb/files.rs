//! DynamoDB's items in files: read one by one with what is wrong with a record, and written so that they
//! are read back as they were.
//!
//! A file's name says its form: `messages.jsonl`, `messages.csv.gz`, `messages.ndjson.zst` ([`FileForm`]).
//!
//! | in the file | reading gives | is lossless |
//! |---|---|---|
//! | JSON lines, DynamoDB JSON | `{"n":{"N":"1"}}`, and `{"Item":{...}}` as DynamoDB's export to S3 writes | yes |
//! | JSON lines, plain | text S, number N, true BOOL, null NULL, object M, array L | no: sets come back as lists, binary as text |
//! | CSV | as [`Columns`] says | yes |
//!
//! Reading holds one record and the decompressor's window in memory; writing one record and the
//! compressor's. Neither knows of tables, networks or terminals.

mod columns;
mod compression;
mod form;
mod jsonl;
mod lines;
mod reader;
mod rules;
mod writer;

pub(crate) use columns::Columns;
pub(crate) use form::{Compression, Encoding, FileForm};
pub(crate) use jsonl::{Notation, item_of};
pub(crate) use reader::{ItemFile, Position, Record};
pub(crate) use rules::check;
pub(crate) use writer::{ItemFileWriter, Layout};

#[cfg(test)]
mod tests;
