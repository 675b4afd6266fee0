//! Items of any number, printed page by page: memory does not grow with the table.

use std::io::{BufWriter, Seek as _, SeekFrom, Stdout, Write, stdout};

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::types::AttributeValue;
use backend_flask::messages::{Item, PARTITION_KEY, SORT_KEY};
use serde::Serialize as _;
use serde_json::json;
use tempfile::SpooledTempFile;

use super::columns::Columns;
use super::dynamodb_json::{DynamoDbJson, PlainJson, Response, sorted};
use super::{Format, aws_cli_style};
use crate::target::dynamodb::shortened;

/// A JSON document puts counts before items (its keys are sorted), and they are known last. Items wait in
/// memory up to this many bytes, beyond it in a temporary file.
const SPOOL_BYTES: usize = 4 << 20;

/// The widest a table's column gets; a longer value is cut.
const COLUMN_WIDTH: usize = 40;

/// Prints items as they come.
pub(crate) struct ItemWriter {
    out: BufWriter<Stdout>,
    form: Form,
}

enum Form {
    Table { names: Vec<String>, columns: Columns },
    Json { items: SpooledTempFile, any: bool },
    Jsonl,
}

impl ItemWriter {
    /// Prints to stdout in `format`.
    pub(crate) fn new(format: Format) -> Self {
        let form = match format {
            Format::Table => Form::Table { names: Vec::new(), columns: Columns::default() },
            Format::Json => Form::Json { items: tempfile::spooled_tempfile(SPOOL_BYTES), any: false },
            Format::Jsonl => Form::Jsonl,
        };
        Self { out: BufWriter::new(stdout()), form }
    }

    /// Prints one page.
    ///
    /// # Errors
    /// stdout is closed, or the temporary file cannot be written.
    pub(crate) fn page(&mut self, items: &[Item]) -> Result<()> {
        match &mut self.form {
            Form::Table { names, columns } => table_page(&mut self.out, names, columns, items)?,
            Form::Json { items: spool, any } => {
                for item in items {
                    spool_item(spool, item, *any).context("cannot write the temporary file")?;
                    *any = true;
                }
            }
            Form::Jsonl => {
                for item in items {
                    serde_json::to_writer(&mut self.out, &PlainJson(item))?;
                    self.out.write_all(b"\n")?;
                }
            }
        }
        Ok(())
    }

    /// Prints what follows the last page.
    ///
    /// # Errors
    /// stdout is closed, or the temporary file cannot be read.
    pub(crate) fn finish(mut self, response: &Response) -> Result<()> {
        if let Form::Json { items, any } = &mut self.form {
            items.seek(SeekFrom::Start(0)).context("cannot read the temporary file")?;
            json_document(&mut self.out, items, *any, response)?;
        }
        Ok(self.out.flush()?)
    }
}

/// One item of the list `Items`, indented to its place.
fn spool_item(spool: &mut SpooledTempFile, item: &Item, follows_another: bool) -> Result<()> {
    let mut text = Vec::new();
    DynamoDbJson(item).serialize(&mut aws_cli_style(&mut text))?;
    spool.write_all(if follows_another { b",\n" } else { b"\n" })?;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        spool.write_all(b"        ")?;
        spool.write_all(line)?;
    }
    Ok(())
}

/// The response in the AWS CLI's shape, its keys sorted.
fn json_document(
    out: &mut impl Write,
    items: &mut SpooledTempFile,
    any: bool,
    response: &Response,
) -> Result<()> {
    write!(out, "{{")?;
    if let (Some(units), Some(table)) = (response.capacity_units, &response.table) {
        member(out, "ConsumedCapacity", &json!({ "CapacityUnits": units, "TableName": table }))?;
        write!(out, ",")?;
    }
    member(out, "Count", &response.count)?;
    write!(out, ",\n    \"Items\": [")?;
    std::io::copy(items, out)?;
    write!(out, "{}]", if any { "\n    " } else { "" })?;
    if let Some(key) = &response.last_evaluated_key {
        write!(out, ",")?;
        member(out, "LastEvaluatedKey", &DynamoDbJson(key))?;
    }
    write!(out, ",")?;
    member(out, "ScannedCount", &response.scanned_count)?;
    Ok(writeln!(out, "\n}}")?)
}

fn member(out: &mut impl Write, name: &str, value: &impl serde::Serialize) -> Result<()> {
    let mut text = Vec::new();
    value.serialize(&mut aws_cli_style(&mut text))?;
    write!(out, "\n    \"{name}\": ")?;
    for line in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let indent: &[u8] = if line.0 == 0 { b"" } else { b"    " };
        out.write_all(indent)?;
        out.write_all(line.1)?;
    }
    Ok(())
}

/// A page in columns: the first page decides which there are; attributes that only later items have
/// follow as `name=value`, so that nothing is left out.
fn table_page(
    out: &mut impl Write,
    names: &mut Vec<String>,
    columns: &mut Columns,
    items: &[Item],
) -> Result<()> {
    let rows_of = |names: &[String]| items.iter().map(|item| row(names, item)).collect::<Vec<_>>();
    let is_first = names.is_empty();
    if is_first {
        *names = columns_of(items);
        columns.widen(names);
    }
    let rows = rows_of(names);
    rows.iter().for_each(|row| columns.widen(row));
    if is_first && !items.is_empty() {
        columns.print(out, names)?;
    }
    Ok(rows.iter().try_for_each(|row| columns.print(out, row))?)
}

fn row(names: &[String], item: &Item) -> Vec<String> {
    let mut row: Vec<String> =
        names.iter().map(|name| item.get(name).map(cell).unwrap_or_default()).collect();
    if item.keys().any(|name| !names.contains(name)) {
        let others = sorted(item).into_iter().filter(|(name, _)| !names.contains(name));
        let others: Vec<String> = others.map(|(name, value)| format!("{name}={}", cell(value))).collect();
        row.push(others.join(" "));
    }
    row
}

/// The keys first, then the other attributes by name.
fn columns_of(items: &[Item]) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = items.iter().flat_map(|item| item.keys()).collect();
    let is_key = |name: &str| name == PARTITION_KEY || name == SORT_KEY;
    let keys = [PARTITION_KEY, SORT_KEY].into_iter().filter(|key| names.iter().any(|name| name == key));
    let others = names.iter().map(|name| name.as_str()).filter(|name| !is_key(name));
    keys.chain(others).map(str::to_owned).collect()
}

/// A value on one line of a table: strings as they are, other types as plain JSON.
fn cell(value: &AttributeValue) -> String {
    let text = match value {
        AttributeValue::S(text) => return on_one_line(text),
        other => serde_json::to_string(&PlainJson(other)).unwrap_or_else(|error| format!("<{error}>")),
    };
    shortened(&text, COLUMN_WIDTH)
}

fn on_one_line(text: &str) -> String {
    let text = shortened(text, COLUMN_WIDTH);
    if text.contains(char::is_control) { text.replace(char::is_control, " ") } else { text }
}
