//! Items of any number, printed page by page: memory does not grow with the table.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Stdout, Write, stdout};

use serde::Serialize;
use serde_json::json;
use tempfile::SpooledTempFile;

use crate::{Attribute, Columns, Item, PlainJson, Response, aws_cli_style, shortened};

/// A JSON document puts counts before items (its keys are sorted), and they are known last. Items wait in
/// memory up to this many bytes, beyond it in a temporary file.
const SPOOL_BYTES: usize = 4 << 20;

/// The widest a table's column gets; a longer value is cut.
const COLUMN_WIDTH: usize = 40;

/// How items are printed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// In columns, for people. The columns of these attributes, the keys, come first.
    Table {
        /// The keys' names.
        keys: &'static [&'static str],
    },
    /// One document in the shape the AWS CLI prints a response.
    Json,
    /// Plain JSON, one item a line.
    Jsonl,
}

/// Prints items as they come, to stdout.
pub struct ItemWriter {
    out: BufWriter<Stdout>,
    form: Begun,
}

/// A form, with what it has to remember.
enum Begun {
    Table { keys: &'static [&'static str], names: Vec<String>, columns: Columns },
    Json { items: SpooledTempFile, any: bool },
    Jsonl,
}

impl ItemWriter {
    /// Prints in `form`.
    pub fn new(form: Form) -> Self {
        let form = match form {
            Form::Table { keys } => Begun::Table { keys, names: Vec::new(), columns: Columns::default() },
            Form::Json => Begun::Json { items: tempfile::spooled_tempfile(SPOOL_BYTES), any: false },
            Form::Jsonl => Begun::Jsonl,
        };
        Self { out: BufWriter::new(stdout()), form }
    }

    /// Prints one page.
    ///
    /// # Errors
    /// stdout is closed, or the temporary file cannot be written.
    pub fn page(&mut self, items: &[Item]) -> io::Result<()> {
        match &mut self.form {
            Begun::Table { keys, names, columns } => table_page(&mut self.out, keys, names, columns, items)?,
            Begun::Json { items: spool, any } => {
                for item in items {
                    spool_item(spool, item, *any).map_err(|error| in_temporary_file("write", &error))?;
                    *any = true;
                }
            }
            Begun::Jsonl => {
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
    pub fn finish(mut self, response: &Response) -> io::Result<()> {
        if let Begun::Json { items, any } = &mut self.form {
            items.seek(SeekFrom::Start(0)).map_err(|error| in_temporary_file("read", &error))?;
            json_document(&mut self.out, items, *any, response)?;
        }
        self.out.flush()
    }
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
    write_indented(spool, indent, item)
}

/// The response in the AWS CLI's shape, its keys sorted.
fn json_document(
    out: &mut impl Write,
    items: &mut SpooledTempFile,
    any: bool,
    response: &Response,
) -> io::Result<()> {
    write!(out, "{{")?;
    if let (Some(units), Some(table)) = (response.capacity_units, &response.table) {
        member(out, "ConsumedCapacity", &json!({ "CapacityUnits": units, "TableName": table }))?;
        write!(out, ",")?;
    }
    member(out, "Count", &response.count)?;
    write!(out, ",\n    \"Items\": [")?;
    io::copy(items, out)?;
    write!(out, "{}]", if any { "\n    " } else { "" })?;
    if let Some(key) = &response.last_evaluated_key {
        write!(out, ",")?;
        member(out, "LastEvaluatedKey", key)?;
    }
    write!(out, ",")?;
    member(out, "ScannedCount", &response.scanned_count)?;
    writeln!(out, "\n}}")
}

fn member(out: &mut impl Write, name: &str, value: &impl Serialize) -> io::Result<()> {
    write!(out, "\n    \"{name}\": ")?;
    write_indented(out, "    ", value)
}

/// A page in columns: the first page decides which there are; attributes that only later items have
/// follow as `name=value`, so that nothing is left out.
fn table_page(
    out: &mut impl Write,
    keys: &[&str],
    names: &mut Vec<String>,
    columns: &mut Columns,
    items: &[Item],
) -> io::Result<()> {
    let rows_of = |names: &[String]| items.iter().map(|item| row(names, item)).collect::<Vec<_>>();
    let is_first = names.is_empty();
    if is_first {
        *names = columns_of(keys, items);
        columns.widen(names);
    }
    let rows = rows_of(names);
    rows.iter().for_each(|row| columns.widen(row));
    if is_first && !items.is_empty() {
        columns.print(out, names)?;
    }
    rows.iter().try_for_each(|row| columns.print(out, row))
}

fn row(names: &[String], item: &Item) -> Vec<String> {
    let mut row: Vec<String> =
        names.iter().map(|name| item.get(name).map(cell).unwrap_or_default()).collect();
    if item.keys().any(|name| !names.contains(name)) {
        let others = item.iter().filter(|(name, _)| !names.contains(name));
        let others: Vec<String> = others.map(|(name, value)| format!("{name}={}", cell(value))).collect();
        row.push(others.join(" "));
    }
    row
}

/// The keys first, then the other attributes by name.
fn columns_of(keys: &[&str], items: &[Item]) -> Vec<String> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for name in items.iter().flat_map(Item::keys) {
        names.insert(name);
    }
    let keys: Vec<&str> = keys.iter().copied().filter(|key| names.remove(key)).collect();
    keys.into_iter().chain(names).map(str::to_owned).collect()
}

/// A value on one line of a table: strings as they are, other types as plain JSON.
fn cell(value: &Attribute) -> String {
    let text = match value {
        Attribute::S(text) => return on_one_line(text),
        other => serde_json::to_string(&PlainJson(other)).unwrap_or_else(|error| format!("<{error}>")),
    };
    shortened(&text, COLUMN_WIDTH)
}

fn on_one_line(text: &str) -> String {
    let text = shortened(text, COLUMN_WIDTH);
    // Most texts have none. In UTF-8 a control character is one of these bytes, or begins with 0xC2.
    let mut bytes = text.bytes();
    let may_have_control = bytes.any(|byte| byte < b' ' || byte == 0x7F || byte == 0xC2);
    if may_have_control { text.replace(char::is_control, " ") } else { text }
}
