//! The items that every client writes: those of `ddb seed --messages N`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use backend_flask::population::{DEFAULT_END, Population, Wanted};
use xtask_items::{BATCH, WriteRequest, batch_body};

use crate::connection::request;
use crate::workspace::TABLE;

/// The population of so many messages.
///
/// # Errors
/// There is none of so few.
pub(crate) fn population(messages: u32) -> Result<Population> {
    let wanted = Wanted { messages: Some(messages), ..Wanted::default() };
    Population::new(wanted, DEFAULT_END).context("--items")
}

/// The requests that write a population, whole.
pub(crate) fn batches(population: Population) -> Vec<Vec<u8>> {
    let requests: Vec<String> =
        population.items().map(|item| WriteRequest::put_strings(&item, &[]).text).collect();
    let batch =
        |batch: &[String]| request("BatchWriteItem", &batch_body(TABLE, batch.iter().map(String::as_str)));
    requests.chunks(BATCH).map(batch).collect()
}

/// Writes a population into a file, an item a line, as plain JSON.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write_jsonl(population: Population, path: &Path) -> Result<()> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        for item in population.items() {
            let item: BTreeMap<_, _> = item.into();
            serde_json::to_writer(&mut file, &item)?;
            file.write_all(b"\n")?;
        }
        anyhow::Ok(file.flush()?)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
