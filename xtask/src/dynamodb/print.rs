//! Items of any number, printed page by page: memory does not grow with the table.

use std::borrow::Cow;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};

use serde::Serialize;
use tempfile::SpooledTempFile;

use anyhow::Result;

use super::read::Response;
use crate::dynamodb::json::{AttributeValue, Item, PlainJson, TypedJson, sorted};
use crate::output::{Columns, Format, Stdout, aws_cli_style, line_width, stdout};
use crate::text::{fitted, printable, shortened};

/// A JSON document puts counts before items (its keys are sorted), and they are known last. Items wait in
/// memory up to this many bytes, beyond it in a temporary file.
const SPOOL_BYTES: usize = 4 << 20;

/// The widest a table's column gets; a longer value is cut.
const COLUMN_WIDTH: usize = 40;

/// How much text is printed at once.
const PRINTED_AT_ONCE: usize = 1 << 16;

/// How items are printed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    /// In columns, for people.
    Table {
        /// The keys' names; their columns come first.
        keys: Vec<String>,
        /// How many places a line has, where a line that is too long would break: on a terminal.
        width: Option<usize>,
    },
    /// One document in the shape the AWS CLI prints a response.
    Json,
    /// Plain JSON, one item a line.
    Jsonl,
    /// DynamoDB JSON, one item a line.
    DynamoDbJsonl,
    /// Only how many items there are.
    Count,
    /// The same, as [`Form::Json`] has it.
    JsonCount,
}

impl Form {
    /// The form of items in a format; `keys` are the columns that come first.
    pub(crate) fn of(format: Format, keys: Vec<String>) -> Self {
        match format {
            Format::Table => Self::Table { keys, width: line_width() },
            Format::Json => Self::Json,
            Format::Jsonl => Self::Jsonl,
        }
    }
}

/// Prints items to stdout as they come.
pub(crate) struct ItemWriter {
    out: BufWriter<Stdout>,
    form: Begun,
}

/// A form, with what it has to remember.
enum Begun {
    Table(Table),
    Json { items: SpooledTempFile, any: bool },
    Jsonl,
    DynamoDbJsonl,
    Count,
    JsonCount,
}

impl ItemWriter {
    pub(crate) fn new(form: Form) -> Self {
        let form = match form {
            Form::Table { keys, width } => {
                Begun::Table(Table { keys, width, names: Vec::new(), columns: Columns::default() })
            }
            Form::Json => Begun::Json { items: tempfile::spooled_tempfile(SPOOL_BYTES), any: false },
            Form::Jsonl => Begun::Jsonl,
            Form::DynamoDbJsonl => Begun::DynamoDbJsonl,
            Form::Count => Begun::Count,
            Form::JsonCount => Begun::JsonCount,
        };
        Self { out: BufWriter::with_capacity(PRINTED_AT_ONCE, stdout()), form }
    }

    /// Prints one page.
    pub(crate) fn page(&mut self, items: &[Item]) -> Result<()> {
        let out = &mut self.out;
        match &mut self.form {
            Begun::Table(table) => table.items(out, items)?,
            Begun::Json { items: spool, any } => {
                for item in items {
                    let follows_another = std::mem::replace(any, true);
                    spool_item(spool, item, follows_another)
                        .map_err(|error| in_temporary_file("write", &error))?;
                }
            }
            Begun::Jsonl => items.iter().try_for_each(|item| line(out, &PlainJson(item)))?,
            Begun::DynamoDbJsonl => items.iter().try_for_each(|item| line(out, &TypedJson(item)))?,
            Begun::Count | Begun::JsonCount => {}
        }
        // The next page may take a while.
        Ok(out.flush()?)
    }

    /// Prints what follows the last page.
    pub(crate) fn finish(mut self, response: &Response) -> Result<()> {
        match &mut self.form {
            Begun::Json { items, any } => {
                items.seek(SeekFrom::Start(0)).map_err(|error| in_temporary_file("read", &error))?;
                json_document(&mut self.out, Some((items, *any)), response)?;
            }
            Begun::JsonCount => json_document(&mut self.out, None, response)?,
            Begun::Count => writeln!(self.out, "{}", response.count)?,
            Begun::Table(_) | Begun::Jsonl | Begun::DynamoDbJsonl => {}
        }
        Ok(self.out.flush()?)
    }
}

fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

fn in_temporary_file(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what} the temporary file: {error}"))
}

/// JSON as the AWS CLI indents it, at a place `indent` deep; the first line's place is the caller's.
fn write_indented(out: &mut impl Write, indent: &str, value: &impl Serialize) -> io::Result<()> {
    let mut text = Vec::new();
    value.serialize(&mut aws_cli_style(&mut text))?;
    for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if index > 0 {
            out.write_all(indent.as_bytes())?;
        }
        out.write_all(line)?;
    }
    Ok(())
}

/// One item of the list `Items`, indented to its place.
fn spool_item(spool: &mut impl Write, item: &Item, follows_another: bool) -> io::Result<()> {
    let indent = "        ";
    write!(spool, "{}{indent}", if follows_another { ",\n" } else { "\n" })?;
    write_indented(spool, indent, &TypedJson(item))
}

/// The response in the AWS CLI's shape, its keys sorted. With the items it is told whether there are any.
fn json_document(
    out: &mut impl Write,
    items: Option<(&mut SpooledTempFile, bool)>,
    response: &Response,
) -> io::Result<()> {
    write!(out, "{{")?;
    if let (Some(capacity_units), Some(table_name)) = (response.capacity_units, &response.table) {
        member(out, "ConsumedCapacity", &ConsumedCapacity { capacity_units, table_name })?;
        write!(out, ",")?;
    }
    member(out, "Count", &response.count)?;
    if let Some((items, any)) = items {
        write!(out, ",\n    \"Items\": [")?;
        io::copy(items, out)?;
        write!(out, "{}]", if any { "\n    " } else { "" })?;
    }
    if let Some(key) = &response.last_evaluated_key {
        write!(out, ",")?;
        member(out, "LastEvaluatedKey", &TypedJson(key))?;
    }
    write!(out, ",")?;
    member(out, "ScannedCount", &response.scanned_count)?;
    writeln!(out, "\n}}")
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConsumedCapacity<'a> {
    capacity_units: f64,
    table_name: &'a str,
}

fn member(out: &mut impl Write, name: &str, value: &impl Serialize) -> io::Result<()> {
    write!(out, "\n    \"{name}\": ")?;
    write_indented(out, "    ", value)
}

/// Items in columns. The first page decides which there are; attributes that only later items have
/// follow as `name=value`, so that nothing is left out.
struct Table {
    keys: Vec<String>,
    width: Option<usize>,
    names: Vec<String>,
    columns: Columns,
}

impl Table {
    fn items(&mut self, out: &mut impl Write, items: &[Item]) -> io::Result<()> {
        let is_first = self.names.is_empty();
        if is_first {
            self.names = columns_of(&self.keys, items);
            self.columns.widen(&header(&self.names));
        }
        let rows: Vec<_> = items.iter().map(|item| row(&self.names, item)).collect();
        if is_first || self.width.is_none() {
            rows.iter().for_each(|row| self.columns.widen(row));
        }
        if is_first {
            if let Some(width) = self.width {
                self.columns.narrow_to(width);
            }
            if !items.is_empty() {
                self.print(out, &header(&self.names))?;
            }
        }
        rows.iter().try_for_each(|row| self.print(out, row))
    }

    fn print<S: AsRef<str>>(&self, out: &mut impl Write, cells: &[S]) -> io::Result<()> {
        if self.width.is_none() {
            return self.columns.print(out, cells);
        }
        // What follows the last column is an attribute that it does not name: that is shown whole.
        let widths = self.columns.widths.iter().copied().chain(std::iter::repeat(usize::MAX));
        let cells: Vec<_> =
            cells.iter().zip(widths).map(|(cell, width)| fitted(cell.as_ref(), width)).collect();
        self.columns.print(out, &cells)
    }
}

fn header(names: &[String]) -> Vec<Cow<'_, str>> {
    names.iter().map(|name| shown(name)).collect()
}

fn row<'a>(names: &[String], item: &'a Item) -> Vec<Cow<'a, str>> {
    let mut row = Vec::with_capacity(names.len() + 1);
    row.extend(names.iter().map(|name| item.get(name.as_str()).map(cell).unwrap_or_default()));
    let mut others = sorted(item).into_iter().filter(|(name, _)| !names.contains(name)).peekable();
    if others.peek().is_some() {
        let others: Vec<String> =
            others.map(|(name, value)| format!("{}={}", shown(name), cell(value))).collect();
        row.push(Cow::Owned(others.join(" ")));
    }
    row
}

/// The keys first, then the other attributes by name.
fn columns_of(keys: &[String], items: &[Item]) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    for name in items.iter().flat_map(Item::keys) {
        if let Err(place) = names.binary_search(&name.as_str()) {
            names.insert(place, name);
        }
    }
    let first = keys.iter().map(String::as_str).filter(|key| names.contains(key));
    let others = names.iter().copied().filter(|name| keys.iter().all(|key| key != name));
    first.chain(others).map(str::to_owned).collect()
}

/// A value on one line of a table: strings as they are, other types as plain JSON.
fn cell(value: &AttributeValue) -> Cow<'_, str> {
    if let AttributeValue::S(text) = value {
        return printable(shortened(text, COLUMN_WIDTH));
    }
    let text = serde_json::to_string(&PlainJson(value)).unwrap_or_else(|error| format!("<{error}>"));
    printable(Cow::Owned(shortened(&text, COLUMN_WIDTH).into_owned()))
}

fn shown(name: &str) -> Cow<'_, str> {
    printable(Cow::Borrowed(name))
}
