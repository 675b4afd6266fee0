//! The items that every client writes: those of `ddb seed --messages N`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use backend_flask::population::{DEFAULT_END, Population, Wanted};
use xtask_items::{Attribute, Item, PlainJson, batch_body, put_request};

use crate::connection::request;
use crate::workspace::TABLE;

/// The most that BatchWriteItem takes.
const BATCH: usize = 25;

/// The population of so many messages.
///
/// # Errors
/// There is none of so few.
pub(crate) fn population(messages: u32) -> Result<Population> {
    let wanted = Wanted { messages: Some(messages), ..Wanted::default() };
    Population::new(wanted, DEFAULT_END).context("--items")
}

/// The requests that write a population, whole.
///
/// # Errors
/// See [`items`].
pub(crate) fn batches(population: Population) -> Result<Vec<Vec<u8>>> {
    let requests = items(population).map(|item| Ok(put_request(&item?)));
    let requests = requests.collect::<Result<Vec<String>>>()?;
    let batch =
        |batch: &[String]| request("BatchWriteItem", &batch_body(TABLE, batch.iter().map(String::as_str)));
    Ok(requests.chunks(BATCH).map(batch).collect())
}

/// Writes a population into a file, an item a line, as plain JSON.
///
/// # Errors
/// The file cannot be written. See also [`items`].
pub(crate) fn write_jsonl(population: Population, path: &Path) -> Result<()> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        for item in items(population) {
            serde_json::to_writer(&mut file, &PlainJson(&item?))?;
            file.write_all(b"\n")?;
        }
        anyhow::Ok(file.flush()?)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The items, as text has them.
///
/// # Errors
/// An attribute is no string: the messages table's all are.
fn items(population: Population) -> impl Iterator<Item = Result<Item>> {
    population.items().map(|item| {
        let attributes = item.into_iter().map(|(name, value)| match value.as_s() {
            Ok(text) => Ok((name, Attribute::S(text.clone()))),
            Err(_) => Err(anyhow!("{name} is no string")),
        });
        attributes.collect()
    })
}
