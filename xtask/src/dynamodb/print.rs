//! Prints items page by page, so that memory does not grow with the table.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};

use serde::Serialize;
use serde_json::json;
use tempfile::SpooledTempFile;

use anyhow::Result;

use super::read::Response;
use crate::dynamodb::json::{AttributeValue, Item, Json, Notation, sorted};
use crate::error::Usage;
use crate::output::{
    ColumnWidths, Format, HEADING, Output, Stdout, aws_cli_style, print_json, print_vertical, stdout,
};
use crate::text::{counted, printable};
use crate::ui::Ui;

/// The counts come before the items in a JSON document, whose keys are sorted, but they are known last. Items are
/// kept in memory up to this many bytes, and beyond it in a temporary file.
const SPOOL_BYTES: usize = 4 << 20;

const PRINTED_AT_ONCE: usize = 1 << 16;

/// The output options of commands that print items.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct ItemOutput {
    #[command(flatten)]
    pub(crate) output: Output,
    /// With -o jsonl: print items in DynamoDB JSON
    #[arg(long, help_heading = HEADING)]
    dynamodb_json: bool,
}

impl ItemOutput {
    /// The form of the output. `keys` are the first columns.
    pub(crate) fn form(self, keys: Vec<String>) -> Result<Form> {
        Ok(match self.output.format {
            Format::Table if self.dynamodb_json => {
                return Err(Usage("--dynamodb-json goes with -o jsonl".to_owned()).into());
            }
            Format::Table if self.output.vertical => Form::Vertical,
            Format::Table => Form::Table(Table::new(keys, self.output.line_width())),
            Format::Json => Form::Json(Some(tempfile::spooled_tempfile(SPOOL_BYTES))),
            Format::Jsonl if self.dynamodb_json => Form::Jsonl(Notation::Typed),
            Format::Jsonl => Form::Jsonl(Notation::Plain),
        })
    }
}

pub(crate) enum Form {
    /// A table for people.
    Table(Table),
    /// One attribute per line.
    Vertical,
    /// One document in the shape of the AWS CLI's output, with the items so far; `None` if it has only the counts.
    Json(Option<SpooledTempFile>),
    /// One item per line.
    Jsonl(Notation),
    /// Only the number of items.
    Count,
}

impl Form {
    /// Prints one item. `member` is its name in the AWS CLI's output.
    pub(crate) fn print_one(&self, member: &str, item: &Item) -> Result<()> {
        let mut out = stdout();
        match self {
            Self::Json(_) => print_json(&BTreeMap::from([(member, Json(item, Notation::Typed))]))?,
            Self::Jsonl(notation) => line(&mut out, &Json(item, *notation))?,
            _ => vertical(&mut out, item)?,
        }
        Ok(())
    }
}

/// Prints items to stdout as they arrive.
pub(crate) struct ItemWriter {
    out: BufWriter<Stdout>,
    form: Form,
    /// Whether an item was printed.
    any: bool,
}

impl ItemWriter {
    pub(crate) fn new(form: Form) -> Self {
        Self { out: BufWriter::with_capacity(PRINTED_AT_ONCE, stdout()), form, any: false }
    }

    pub(crate) fn page(&mut self, items: &[Item]) -> Result<()> {
        let out = &mut self.out;
        match &mut self.form {
            Form::Table(table) => table.items(out, items)?,
            Form::Vertical => {
                for item in items.iter().filter(|item| !item.is_empty()) {
                    if std::mem::replace(&mut self.any, true) {
                        writeln!(out)?;
                    }
                    vertical(out, item)?;
                }
            }
            Form::Json(Some(spool)) => {
                for item in items {
                    let follows_another = std::mem::replace(&mut self.any, true);
                    spool_item(spool, item, follows_another)
                        .map_err(|error| in_temporary_file("write", &error))?;
                }
            }
            Form::Jsonl(notation) => items.iter().try_for_each(|item| line(out, &Json(item, *notation)))?,
            Form::Json(None) | Form::Count => {}
        }
        // Flush, because the next page may take a while.
        Ok(out.flush()?)
    }

    /// Prints what comes after the last page, and a note if a table was cut.
    pub(crate) fn finish(mut self, response: &Response, ui: &Ui) -> Result<()> {
        match &mut self.form {
            Form::Json(items) => {
                if let Some(items) = items {
                    items.seek(SeekFrom::Start(0)).map_err(|error| in_temporary_file("read", &error))?;
                }
                json_document(&mut self.out, items.as_mut(), self.any, response)?;
            }
            Form::Count => writeln!(self.out, "{}", response.count)?,
            Form::Table(_) | Form::Vertical | Form::Jsonl(_) => {}
        }
        self.out.flush()?;
        if let Form::Table(table) = &self.form {
            table.note_cuts(ui);
        }
        Ok(())
    }
}

fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

fn in_temporary_file(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what} the temporary file: {error}"))
}

/// Writes one item of the list `Items`, with the AWS CLI's indentation.
fn spool_item(spool: &mut impl Write, item: &Item, follows_another: bool) -> io::Result<()> {
    let mut text = Vec::new();
    Json(item, Notation::Typed).serialize(&mut aws_cli_style(&mut text))?;
    spool.write_all(if follows_another { b"," } else { b"" })?;
    for line in text.split(|byte| *byte == b'\n') {
        spool.write_all(b"\n        ")?;
        spool.write_all(line)?;
    }
    Ok(())
}

/// Writes the response in the AWS CLI's shape, with sorted keys. `any` says whether there are items.
fn json_document(
    out: &mut impl Write,
    items: Option<&mut SpooledTempFile>,
    any: bool,
    response: &Response,
) -> io::Result<()> {
    let counts = [("Count", response.count), ("ScannedCount", response.scanned_count)];
    let mut document = BTreeMap::from(counts.map(|(name, count)| (name, json!(count))));
    if let (Some(capacity_units), Some(table_name)) = (response.capacity_units, &response.table) {
        let consumed = json!({ "CapacityUnits": capacity_units, "TableName": table_name });
        document.insert("ConsumedCapacity", consumed);
    }
    if let Some(key) = &response.last_evaluated_key {
        document.insert("LastEvaluatedKey", serde_json::to_value(Json(key, Notation::Typed))?);
    }
    if items.is_some() {
        document.insert("Items", json!([]));
    }
    let mut text = Vec::new();
    document.serialize(&mut aws_cli_style(&mut text))?;
    let text = String::from_utf8_lossy(&text);
    match (items, text.split_once("[]")) {
        (Some(items), Some((before, after))) => {
            write!(out, "{before}[")?;
            io::copy(items, out)?;
            writeln!(out, "{}]{after}", if any { "\n    " } else { "" })
        }
        _ => writeln!(out, "{text}"),
    }
}

/// Items in columns. The first page decides the columns. Attributes without a column are printed as `name=value`
/// after the last one.
pub(crate) struct Table {
    keys: Vec<String>,
    cuts: bool,
    names: Vec<String>,
    /// The attributes of the first page for which the terminal has no room.
    left_out: Vec<String>,
    columns: ColumnWidths,
}

impl Table {
    /// `width` is the width of a line; `None` if nothing is cut.
    fn new(keys: Vec<String>, width: Option<usize>) -> Self {
        let (names, left_out) = Default::default();
        Self { keys, cuts: width.is_some(), names, left_out, columns: ColumnWidths::new(width) }
    }

    fn items(&mut self, out: &mut impl Write, items: &[Item]) -> io::Result<()> {
        // A projection may leave an item without attributes.
        let items: Vec<_> = items.iter().filter(|item| !item.is_empty()).collect();
        if self.names.is_empty() && !items.is_empty() {
            self.choose_columns(&items);
            self.columns.print(out, &header(&self.names))?;
        }
        let rows: Vec<_> = items.iter().map(|item| row(&self.names, &self.left_out, item)).collect();
        if !self.cuts {
            rows.iter().for_each(|row| self.columns.widen(row));
        }
        rows.iter().try_for_each(|row| self.columns.print(out, row))
    }

    fn choose_columns(&mut self, items: &[&Item]) {
        let names = columns_of(&self.keys, items);
        let rows: Vec<_> = items.iter().map(|item| row(&names, &[], item)).collect();
        self.columns.widen(&header(&names));
        rows.iter().for_each(|row| self.columns.widen(row));
        let has_words = |column: usize| rows.iter().any(|row| row[column].contains(' '));
        let has_words: Vec<_> = (0..names.len()).map(has_words).collect();
        let keys = names.iter().filter(|name| self.keys.contains(name)).count();
        let mut shown = self.columns.choose(keys, &has_words).into_iter();
        (self.names, self.left_out) = names.into_iter().partition(|_| shown.next() == Some(true));
    }

    fn note_cuts(&self, ui: &Ui) {
        let without = match self.left_out.len() as u64 {
            0 if !self.columns.has_cut => return,
            0 => String::new(),
            count => format!(", without {}", counted(count, "column", "columns")),
        };
        ui.note(format_args!("cut to fit the terminal{without}; --wide or --vertical shows all"));
    }
}

fn vertical(out: &mut impl Write, item: &Item) -> io::Result<()> {
    let sorted = sorted(item);
    let pairs: Vec<_> = sorted.iter().map(|(name, value)| (shown(name), cell(value))).collect();
    print_vertical(out, pairs.iter().map(|(name, value)| (name, value)))
}

fn header(names: &[String]) -> Vec<Cow<'_, str>> {
    names.iter().map(|name| shown(name)).collect()
}

fn row<'a>(names: &[String], left_out: &[String], item: &'a Item) -> Vec<Cow<'a, str>> {
    let mut row = Vec::with_capacity(names.len() + 1);
    row.extend(names.iter().map(|name| item.get(name.as_str()).map(cell).unwrap_or_default()));
    let is_other = |name: &String| !names.contains(name) && !left_out.contains(name);
    let mut others = sorted(item).into_iter().filter(|(name, _)| is_other(name)).peekable();
    if others.peek().is_some() {
        let others: Vec<String> =
            others.map(|(name, value)| format!("{}={}", shown(name), cell(value))).collect();
        row.push(Cow::Owned(others.join(" ")));
    }
    row
}

/// The keys, then the other attributes sorted by name.
fn columns_of(keys: &[String], items: &[&Item]) -> Vec<String> {
    let names: BTreeSet<&String> = items.iter().flat_map(|item| item.keys()).collect();
    let first = keys.iter().filter(|key| names.contains(key));
    first.chain(names.iter().copied().filter(|name| !keys.contains(name))).cloned().collect()
}

/// A value as a table cell: strings as they are, other types as plain JSON.
fn cell(value: &AttributeValue) -> Cow<'_, str> {
    if let AttributeValue::S(text) = value {
        return printable(Cow::Borrowed(text));
    }
    let text =
        serde_json::to_string(&Json(value, Notation::Plain)).unwrap_or_else(|error| format!("<{error}>"));
    printable(Cow::Owned(text))
}

fn shown(name: &str) -> Cow<'_, str> {
    printable(Cow::Borrowed(name))
}
