//! Data on stdout: tables for people, JSON and JSON lines for programs.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write};

use anyhow::Result;
use clap::ValueEnum;
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Serializer, Value};

use crate::text::{printable, width_of};

/// A column is not made narrower than this.
const NARROWEST: usize = 8;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One JSON document, as the AWS CLI prints it where DynamoDB answered
    Json,
    /// One JSON value a line
    Jsonl,
}

/// Standard output, which its errors name.
pub(crate) struct Stdout(io::Stdout);

pub(crate) fn stdout() -> Stdout {
    Stdout(io::stdout())
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(named)
    }
}

/// Of the same kind: a closed pipe is no failure, and a call that a signal interrupted is made again.
fn named(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write to standard output: {error}"))
}

/// How many places a line of stdout has, if it is a terminal.
pub(crate) fn line_width() -> Option<usize> {
    let terminal = io::stdout().is_terminal().then(console::Term::stdout)?;
    terminal.size_checked().map(|(_, columns)| columns.into())
}

/// A serializer that indents by four spaces, as the AWS CLI does.
pub(crate) fn aws_cli_style<W: Write>(out: W) -> Serializer<W, PrettyFormatter<'static>> {
    Serializer::with_formatter(out, PrettyFormatter::with_indent(b"    "))
}

/// Prints one JSON document, indented as the AWS CLI does.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let mut out = stdout();
    value.serialize(&mut aws_cli_style(&mut out))?;
    Ok(writeln!(out)?)
}

/// Prints records that fit the screen: `columns` names the fields of each row.
pub(crate) fn print_rows(format: Format, columns: &[&str], rows: Vec<Vec<Value>>) -> Result<()> {
    let mut out = stdout();
    let object = |row: Vec<Value>| -> Map<String, Value> {
        columns.iter().map(|column| (*column).to_owned()).zip(row).collect()
    };
    match format {
        Format::Table => {
            let header: Vec<String> = columns.iter().map(|column| column.to_uppercase()).collect();
            let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
            let mut layout = Columns::default();
            layout.widen(&header);
            rows.iter().for_each(|row| layout.widen(row));
            layout.print(&mut out, &header)?;
            rows.iter().try_for_each(|row| layout.print(&mut out, row))?;
        }
        Format::Json => {
            let records: Vec<_> = rows.into_iter().map(object).collect();
            writeln!(out, "{}", serde_json::to_string_pretty(&records)?)?;
        }
        Format::Jsonl => {
            for row in rows {
                writeln!(out, "{}", serde_json::to_string(&object(row))?)?;
            }
        }
    }
    Ok(())
}

/// A value as a table's cell: text without quotes, nothing for null.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(Cow::Borrowed(text)).into_owned(),
        other => other.to_string(),
    }
}

/// How wide each column is, in places on the screen.
#[derive(Default)]
pub(crate) struct Columns {
    pub(crate) widths: Vec<usize>,
}

impl Columns {
    /// Makes each column as wide as the widest of its cells so far.
    pub(crate) fn widen<S: AsRef<str>>(&mut self, cells: &[S]) {
        self.widths.resize(self.widths.len().max(cells.len()), 0);
        for (width, cell) in self.widths.iter_mut().zip(cells) {
            *width = (*width).max(width_of(cell.as_ref()));
        }
    }

    /// Makes the widest columns narrower until a line has at most `width` places, or no column can be.
    pub(crate) fn narrow_to(&mut self, width: usize) {
        // Each column has a space on both sides; the last one's is not printed.
        let line = |widths: &[usize]| widths.iter().map(|width| width + 2).sum::<usize>().saturating_sub(1);
        while line(&self.widths) > width {
            let Some(widest) = self.widths.iter_mut().max().filter(|widest| **widest > NARROWEST) else {
                break;
            };
            *widest -= 1;
        }
    }

    /// Prints one line. A cell that is wider than its column moves what follows it to the right.
    pub(crate) fn print<S: AsRef<str>>(&self, out: &mut impl Write, cells: &[S]) -> io::Result<()> {
        let places = self.widths.iter().map(|width| width + 2).sum();
        let mut line = String::with_capacity(places);
        for (index, cell) in cells.iter().map(AsRef::as_ref).enumerate() {
            let width = self.widths.get(index).copied().unwrap_or_default();
            line.push(' ');
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(width_of(cell)) + 1));
        }
        writeln!(out, "{}", line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_narrowed_to_a_line() {
        let mut columns = Columns::default();
        columns.widen(&["x".repeat(40), "y".repeat(20), "z".repeat(3)]);
        columns.narrow_to(48);
        assert_eq!(columns.widths, [20, 20, 3]);
        columns.narrow_to(10);
        assert_eq!(columns.widths, [8, 8, 3]);
    }

    #[test]
    fn columns_are_as_wide_as_what_is_shown() {
        let rows = [["a", "名前", "x"], ["bb", "é", ""], ["", "wider", "y"]];
        let mut columns = Columns::default();
        rows.iter().for_each(|row| columns.widen(row));
        let mut out = Vec::new();
        rows.iter().for_each(|row| columns.print(&mut out, row).unwrap());
        let expected = " a   名前   x\n bb  é\n     wider  y\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
