//! Data on stdout: tables for people, JSON and JSON lines for programs.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write};

use anyhow::Result;
use clap::ValueEnum;
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Serializer, Value};

use crate::text::{end_of, fitted, printable, printable_json, width_of};

/// No column is made narrower than this to fit a terminal.
const NARROWEST: usize = 8;

/// The minimum visible width of a long value next to uncut keys and other uncut columns.
const READABLE: usize = 22;

/// The maximum width of a column when nothing is cut, so that one long value does not widen every line.
const WIDEST: usize = 40;

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Jsonl,
}

pub(crate) const HEADING: &str = "Output";

#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Output {
    /// table, json (one document) or jsonl (one JSON value a line)
    #[arg(short = 'o', long = "output", value_name = "FORMAT", value_enum, default_value = "table")]
    #[arg(hide_possible_values = true, help_heading = HEADING)]
    pub(crate) format: Format,
    /// Print whole values in a table, however long its lines get
    #[arg(long, conflicts_with = "format", help_heading = HEADING)]
    pub(crate) wide: bool,
    /// Print one row or item after another, a value a line
    #[arg(long, conflicts_with_all = ["format", "wide"], help_heading = HEADING)]
    pub(crate) vertical: bool,
}

impl Output {
    /// The width of a table's line on the terminal; `None` if nothing is cut, as in a pipe.
    pub(crate) fn line_width(self) -> Option<usize> {
        let prints_whole = self.format != Format::Table || self.wide || self.vertical;
        let cuts = !prints_whole && io::stdout().is_terminal();
        cuts.then(terminal_columns).flatten()
    }
}

/// The terminal's width. `console` does not return it if the terminal reports no height.
#[cfg(unix)]
fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(size.ws_col.into()).filter(|columns| *columns > 0)
}

#[cfg(not(unix))]
fn terminal_columns() -> Option<usize> {
    console::Term::stdout().size_checked().map(|(_, columns)| columns.into())
}

/// Standard output, named in its errors. A terminal gets JSON with everything escaped that it would interpret; a pipe
/// gets the bytes that the AWS CLI prints.
pub(crate) struct Stdout {
    out: io::Stdout,
    is_terminal: bool,
}

pub(crate) fn stdout() -> Stdout {
    let out = io::stdout();
    Stdout { is_terminal: out.is_terminal(), out }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Writers never split a character, so `bytes` is UTF-8.
        let text = std::str::from_utf8(bytes).ok().filter(|_| self.is_terminal).map(printable_json);
        match text {
            Some(Cow::Owned(escaped)) => self.out.write_all(escaped.as_bytes()).map(|()| bytes.len()),
            _ => self.out.write(bytes),
        }
        .map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().map_err(named)
    }
}

/// Adds context, and keeps the error's kind, by which callers recognize closed pipes and interrupted calls.
fn named(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write to standard output: {error}"))
}

/// A serializer that indents by four spaces, like the AWS CLI.
pub(crate) fn aws_cli_style<W: Write>(out: W) -> Serializer<W, PrettyFormatter<'static>> {
    Serializer::with_formatter(out, PrettyFormatter::with_indent(b"    "))
}

/// Prints one JSON document, indented like the AWS CLI's.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let mut out = stdout();
    value.serialize(&mut aws_cli_style(&mut out))?;
    Ok(writeln!(out)?)
}

/// Prints records. `columns` are the names of each row's fields.
pub(crate) fn print_rows(output: Output, columns: &[&str], rows: Vec<Vec<Value>>) -> Result<()> {
    let mut out = stdout();
    let object = |row: Vec<Value>| -> Map<String, Value> {
        columns.iter().map(|column| (*column).to_owned()).zip(row).collect()
    };
    match output.format {
        Format::Table => {
            let header: Vec<String> = columns.iter().map(|column| column.to_uppercase()).collect();
            let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
            let mut layout = ColumnWidths::new(output.line_width());
            layout.widen(&header);
            rows.iter().for_each(|row| layout.widen(row));
            if !output.vertical && layout.fit() {
                layout.print(&mut out, &header)?;
                return Ok(rows.iter().try_for_each(|row| layout.print_wrapped(&mut out, row))?);
            }
            for (index, cells) in rows.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                print_vertical(&mut out, columns.iter().zip(cells))?;
            }
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

/// A value as a table cell: text without quotes, and null as an empty cell.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(Cow::Borrowed(text)).into_owned(),
        other => other.to_string(),
    }
}

/// Prints pairs of name and value, one per line.
pub(crate) fn print_vertical<N: AsRef<str>, V: AsRef<str>>(
    out: &mut impl Write,
    pairs: impl Iterator<Item = (N, V)> + Clone,
) -> io::Result<()> {
    let names = pairs.clone().map(|(name, _)| width_of(name.as_ref())).max();
    let mut columns = ColumnWidths::new(None);
    columns.widths.extend(names);
    pairs.into_iter().try_for_each(|(name, value)| columns.print(out, &[name.as_ref(), value.as_ref()]))
}

/// Wraps a text at `width` columns, between words where possible.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut words = Vec::new();
    for mut word in text.split(' ') {
        while width_of(word) > width {
            let (part, rest) = word.split_at(end_of(word, width));
            words.push(part);
            word = rest;
        }
        words.push(word);
    }
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut().filter(|line| width_of(line) + width_of(word) < width) {
            Some(line) => *line = format!("{line} {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The width of a line. Each column has a space on both sides, except that the last trailing space is not printed.
fn line_of(widths: &[usize]) -> usize {
    widths.iter().map(|width| width + 2).sum::<usize>().saturating_sub(1)
}

fn chosen(widths: &[usize], shown: &[bool]) -> Vec<usize> {
    widths.iter().zip(shown).filter(|(_, shown)| **shown).map(|(width, _)| *width).collect()
}

/// The widths of a table's columns on the screen.
pub(crate) struct ColumnWidths {
    widths: Vec<usize>,
    /// The width of a line; `None` if no cell is cut.
    line: Option<usize>,
    pub(crate) has_cut: bool,
}

impl ColumnWidths {
    pub(crate) fn new(line: Option<usize>) -> Self {
        Self { widths: Vec::new(), line, has_cut: false }
    }

    /// Makes each column at least as wide as its cell in this row.
    pub(crate) fn widen<S: AsRef<str>>(&mut self, cells: &[S]) {
        self.widths.resize(self.widths.len().max(cells.len()), 0);
        let widest = self.line.unwrap_or(WIDEST);
        for (width, cell) in self.widths.iter_mut().zip(cells) {
            *width = (*width).max(width_of(cell.as_ref()).min(widest));
        }
    }

    /// Narrows the widest columns until a line fits the screen or every column has the minimum width. Returns whether it
    /// fits.
    pub(crate) fn fit(&mut self) -> bool {
        let Some(line) = self.line else { return true };
        self.narrow(line, &vec![NARROWEST; self.widths.len()]);
        line_of(&self.widths) <= line
    }

    /// Chooses the columns that fit on a line, narrows them, and returns which are shown. The first `keys` columns and
    /// the widest text column always are; the keys are not cut if the text stays readable next to them. Other columns
    /// are shown uncut or not at all; narrow ones are preferred.
    pub(crate) fn choose(&mut self, keys: usize, has_words: &[bool]) -> Vec<bool> {
        let mut shown = vec![true; self.widths.len()];
        let Some(line) = self.line.filter(|line| line_of(&self.widths) > *line) else { return shown };
        let mut others: Vec<usize> = (keys..self.widths.len()).collect();
        others.sort_by_key(|index| (has_words[*index], self.widths[*index]));
        let text = others.pop();
        others.sort_by_key(|index| self.widths[*index]);
        others.iter().for_each(|index| shown[*index] = false);

        let mut least = self.widths.clone();
        text.iter().for_each(|text| least[*text] = least[*text].min(READABLE));
        if line_of(&chosen(&least, &shown)) > line {
            least[..keys].iter_mut().for_each(|key| *key = READABLE.min(*key));
        }
        for index in others {
            shown[index] = true;
            if line_of(&chosen(&least, &shown)) > line {
                shown[index] = false;
                break;
            }
        }
        self.widths = chosen(&self.widths, &shown);
        self.narrow(line, &chosen(&least, &shown));
        self.fit();
        shown
    }

    /// Narrows the widest columns until a line fits or every column has its minimum width.
    fn narrow(&mut self, line: usize, least: &[usize]) {
        while line_of(&self.widths) > line {
            let wide = self.widths.iter_mut().zip(least).filter(|(width, least)| **width > **least);
            let Some((widest, _)) = wide.max() else { break };
            *widest -= 1;
        }
    }

    /// Prints a row on as many lines as its cells need.
    fn print_wrapped(&mut self, out: &mut impl Write, cells: &[String]) -> io::Result<()> {
        let width = |index: usize| self.line.map_or(usize::MAX, |_| self.widths[index]);
        let cells: Vec<_> =
            cells.iter().enumerate().map(|(index, cell)| wrapped(cell, width(index))).collect();
        let lines = cells.iter().map(Vec::len).max().unwrap_or_default();
        (0..lines).try_for_each(|line| {
            let cells: Vec<_> =
                cells.iter().map(|lines| lines.get(line).map_or("", String::as_str)).collect();
            self.print(out, &cells)
        })
    }

    /// Prints a row on one line. A cell that is too wide is cut on a terminal, elsewhere it shifts the rest to the
    /// right. Cells after the last column are cut only at the end of the terminal's line.
    pub(crate) fn print<S: AsRef<str>>(&mut self, out: &mut impl Write, cells: &[S]) -> io::Result<()> {
        let places = self.widths.iter().map(|width| width + 2).sum();
        let mut line = String::with_capacity(places);
        for (index, whole) in cells.iter().map(AsRef::as_ref).enumerate() {
            let width = self.widths.get(index).copied();
            let cut = width.filter(|_| self.line.is_some()).unwrap_or(usize::MAX);
            let cell = fitted(whole, cut);
            self.has_cut |= cell != whole;
            line.push(' ');
            line.push_str(&cell);
            let padding = width.unwrap_or_default().saturating_sub(width_of(&cell));
            line.extend(std::iter::repeat_n(' ', padding + 1));
        }
        let whole = line.trim_end();
        let line = fitted(whole, self.line.unwrap_or(usize::MAX));
        self.has_cut |= line != whole;
        writeln!(out, "{line}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_narrowed_to_a_line() {
        for (line, widths) in [(48, [20, 20, 3]), (10, [8, 8, 3])] {
            let mut columns = ColumnWidths { widths: vec![40, 20, 3], ..ColumnWidths::new(Some(line)) };
            columns.fit();
            assert_eq!(columns.widths, widths);
        }
    }

    #[test]
    fn keys_and_text_have_their_room_first() {
        // As in the messages table: partition key, sort key, message, two uuids, display name, handle.
        let has_words = [false, false, true, false, false, true, false];
        let none = 0;
        for (line, widths) in [
            (40, [12, 12, 11, none, none, none, none]),
            (80, [25, 25, 25, none, none, none, none]),
            (100, [40, 32, 23, none, none, none, none]),
            (120, [40, 32, 30, none, none, none, 11]),
            (140, [40, 32, 31, none, none, 17, 11]),
            (300, [40, 32, 90, 36, 36, 17, 11]),
        ] {
            let mut columns =
                ColumnWidths { widths: vec![40, 32, 90, 36, 36, 17, 11], ..ColumnWidths::new(Some(line)) };
            let shown = columns.choose(2, &has_words);
            let mut left = columns.widths.into_iter();
            let all: Vec<_> =
                shown.iter().map(|shown| if *shown { left.next().unwrap() } else { none }).collect();
            assert_eq!(all, widths, "{line}");
        }
    }

    #[test]
    fn rows_are_wrapped_between_words() {
        let mut out = Vec::new();
        let mut columns = ColumnWidths { widths: vec![3, 8], ..ColumnWidths::new(Some(14)) };
        columns.print_wrapped(&mut out, &["a".to_owned(), "none: nobody-listens".to_owned()]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), " a    none:\n      nobody-l\n      istens\n");
    }

    #[test]
    fn columns_are_as_wide_as_what_is_shown() {
        let rows = [["a", "名前", "x"], ["bb", "é", ""], ["", "wider", "y"]];
        let mut columns = ColumnWidths::new(None);
        rows.iter().for_each(|row| columns.widen(row));
        let mut out = Vec::new();
        rows.iter().for_each(|row| columns.print(&mut out, row).unwrap());
        let expected = " a   名前   x\n bb  é\n     wider  y\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
