//! Reading a file's items, one by one.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::dynamodb::json::Item;
use csv::{StringRecord, Terminator};
use serde::{Deserialize, Serialize};

use crate::dynamodb::files::lines::{LIMIT, Line, Lines};
use crate::dynamodb::files::{Columns, Encoding, FileForm, Notation, compression, jsonl};

/// A place between two records of a file, where reading can go on another time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Records before it, those that could not be read among them.
    pub(crate) records: u64,
    /// Lines before it.
    pub(crate) lines: u64,
    /// Bytes of text before it; of what a compressed file holds, not of the file.
    pub(crate) bytes: u64,
}

/// What a file holds for one item.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// The line it begins in, counted from 1.
    pub(crate) line: u64,
    /// The place behind it.
    pub(crate) after: Position,
    /// The text, without the end of its line.
    pub(crate) text: &'a [u8],
    /// The item, or what is wrong with the text.
    pub(crate) item: Result<Item, String>,
}

/// A file of items that is being read. A record takes up to 16 MiB of memory; a longer one is an error of the file.
pub(crate) struct ItemFile {
    lines: Lines,
    records: u64,
    text: Vec<u8>,
    rows: Rows,
    size: u64,
    consumed: Arc<AtomicU64>,
}

/// How records become items.
enum Rows {
    Jsonl(Notation),
    Csv(Box<Table>),
}

struct Table {
    header: Vec<u8>,
    columns: Columns,
    cells: Cells,
}

impl ItemFile {
    /// Opens a file in the form that its name says, for reading from a position on: the default one is the
    /// beginning, and [`Record::after`] gives others.
    ///
    /// `notation` is of JSON lines. Without one, the first line that is an object with members decides: it is
    /// [`Notation::Typed`] if each of its values is an object with one member, named as a type of DynamoDB's
    /// and with a value of its form, and [`Notation::Plain`] if none is.
    ///
    /// # Errors
    /// The name says no form; the file cannot be read; it has no header as [`Columns`] are written; its
    /// notation cannot be told; or it ends before the position.
    pub(crate) fn open(path: &Path, notation: Option<Notation>, position: Position) -> io::Result<Self> {
        let form = FileForm::of(path)?;
        let metadata = fs::metadata(path)?;
        // Its beginning is read twice, and an interrupted import goes on in the middle of it.
        if !metadata.is_file() {
            return Err(invalid("it is not a file: write what comes from a pipe into one"));
        }
        let size = metadata.len();
        let consumed = Arc::default();
        let open = |from| compression::open(path, form.compression, from, &consumed);
        // What the beginning decides, it decides for what is read later too.
        let (rows, begin) = match (form.encoding, notation) {
            (Encoding::Csv, _) => {
                let (table, begin) = Table::begin(&mut Lines::new(open(0)?, 0, 0))?;
                (Rows::Csv(Box::new(table)), begin)
            }
            (Encoding::Jsonl, Some(notation)) => (Rows::Jsonl(notation), Position::default()),
            (Encoding::Jsonl, None) => {
                let notation = notation_of(&mut Lines::new(open(0)?, 0, 0))?;
                (Rows::Jsonl(notation), Position::default())
            }
        };
        let Position { records, lines, bytes } = if position.bytes < begin.bytes { begin } else { position };
        let lines = Lines::new(open(bytes)?, lines, bytes);
        Ok(Self { lines, records, text: Vec::new(), rows, size, consumed })
    }

    /// The next record; blank lines are passed over. After a record that is wrong, the next one follows.
    ///
    /// # Errors
    /// The file cannot be read on: what is compressed is damaged or ends early, say. There are no further
    /// records then.
    #[allow(clippy::should_implement_trait, reason = "a record borrows the text, as no iterator's item can")]
    pub(crate) fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        loop {
            let line = self.lines.lines + 1;
            self.text.clear();
            let read = match &self.rows {
                Rows::Jsonl(_) => read_line(&mut self.lines, &mut self.text)?,
                Rows::Csv(_) => read_row(&mut self.lines, &mut self.text)?,
            };
            let Some(read) = read else { return Ok(None) };
            let end = end_of(&self.text);
            self.text.truncate(end);
            let is_blank = match &self.rows {
                Rows::Jsonl(_) => self.text.trim_ascii().is_empty(),
                Rows::Csv(_) => self.text.is_empty(),
            };
            if is_blank {
                continue;
            }
            self.records += 1;
            let item = read.and_then(|()| self.rows.item(&self.text));
            let after = Position { records: self.records, lines: self.lines.lines, bytes: self.lines.bytes };
            return Ok(Some(Record { line, after, text: &self.text, item }));
        }
    }

    /// The text of a CSV file's header, which a file of rejected rows begins with too.
    pub(crate) fn header(&self) -> Option<&[u8]> {
        match &self.rows {
            Rows::Jsonl(_) => None,
            Rows::Csv(table) => Some(&table.header),
        }
    }

    /// How much of the file has been read, from 0 to 1.
    #[allow(clippy::cast_precision_loss, reason = "a share is shown to people")]
    pub(crate) fn share(&self) -> f64 {
        if self.size == 0 { 1.0 } else { self.consumed.load(Ordering::Relaxed) as f64 / self.size as f64 }
    }
}

impl Rows {
    fn item(&mut self, text: &[u8]) -> Result<Item, String> {
        let text = utf8(text)?;
        match self {
            Self::Jsonl(notation) => jsonl::item(text, *notation),
            Self::Csv(table) => table.columns.item(table.cells.of(text).map_err(|error| error.to_string())?),
        }
    }
}

impl Table {
    /// Reads the header, and gives the position behind it.
    fn begin(lines: &mut Lines) -> io::Result<(Self, Position)> {
        let mut header = Vec::new();
        while header.is_empty() {
            match read_row(lines, &mut header)? {
                None => return Err(invalid("there is no header")),
                Some(Err(why)) => return Err(invalid(format!("the header: {why}"))),
                Some(Ok(())) => header.truncate(end_of(&header)),
            }
        }
        let mut cells = Cells::new();
        let text = utf8(&header).map_err(|why| invalid(format!("the header: {why}")))?;
        // Between quotes it is a part of a name.
        if text.split('"').step_by(2).any(|outside| outside.contains('\r')) {
            return Err(invalid("its lines end with a carriage return alone: write it with line feeds"));
        }
        let columns = Columns::from_header(cells.of(text)?).map_err(invalid)?;
        let begin = Position { records: 0, lines: lines.lines, bytes: lines.bytes };
        Ok((Self { header, columns, cells }, begin))
    }
}

/// The cells of one row after another, through one reader of CSV.
struct Cells {
    reader: csv::Reader<Row>,
    cells: StringRecord,
}

/// A row that is read: its text, and how much of that has been.
#[derive(Default)]
struct Row {
    text: Vec<u8>,
    read: usize,
}

impl Read for Row {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&self.text[self.read..]).read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

impl Cells {
    fn new() -> Self {
        let mut form = csv::ReaderBuilder::new();
        form.has_headers(false).flexible(true).terminator(Terminator::Any(b'\n'));
        Self { reader: form.from_reader(Row::default()), cells: StringRecord::new() }
    }

    /// The cells of a row whose quotes are all closed.
    fn of(&mut self, text: &str) -> csv::Result<&StringRecord> {
        let row = self.reader.get_mut();
        row.text.clear();
        row.text.extend_from_slice(text.as_bytes());
        row.text.push(b'\n');
        row.read = 0;
        self.reader.read_record(&mut self.cells)?;
        Ok(&self.cells)
    }
}

/// What is wrong with a file whose first line only begins a document.
const ONE_DOCUMENT: &str = "it is one JSON document, and not an item a line: `jq -c '.[]'` makes lines of a list, and \
                            `jq -c '.Items[]'` of what `-o json` or the AWS CLI prints";

/// The notation of JSON lines: that of the first line which has one.
fn notation_of(lines: &mut Lines) -> io::Result<Notation> {
    let mut text = Vec::new();
    while read_line(lines, &mut text)?.is_some() {
        if let Ok(text) = utf8(&text) {
            if matches!(text.trim(), "[" | "{") {
                return Err(invalid(ONE_DOCUMENT));
            }
            let notation = Notation::of(text).map_err(|why| {
                let ask = "say whether the file is DynamoDB JSON or plain JSON";
                invalid(format!("line {}: {why}: {ask}", lines.lines))
            })?;
            if let Some(notation) = notation {
                return Ok(notation);
            }
        }
        text.clear();
    }
    Ok(Notation::Typed)
}

/// Appends a line; `None` at the end.
fn read_line(lines: &mut Lines, text: &mut Vec<u8>) -> io::Result<Option<Result<(), String>>> {
    Ok(match lines.read(text)? {
        Line::End => None,
        Line::Whole => Some(Ok(())),
        Line::Cut => return Err(too_long(lines, "")),
    })
}

/// What is wrong with a record that ends beyond the limit in the line read last. Whatever follows is not looked at: what
/// is rejected is kept whole, and this cannot be.
fn too_long(lines: &Lines, hint: &str) -> io::Error {
    invalid(format!(
        "the record in line {} is longer than {} MiB, as no item is{hint}",
        lines.lines,
        LIMIT >> 20
    ))
}

/// Appends a row of CSV, which goes on where a line ends within quotes.
fn read_row(lines: &mut Lines, text: &mut Vec<u8>) -> io::Result<Option<Result<(), String>>> {
    let mut place = Place::CellStart;
    loop {
        let begin = text.len();
        match lines.read(text)? {
            Line::End if text.is_empty() => return Ok(None),
            Line::End => return Ok(Some(Err("a quote is not closed up to the end of the file".to_owned()))),
            Line::Cut => {
                return Err(too_long(lines, ": is a quote not closed, there or before?"));
            }
            Line::Whole => place = text[begin..].iter().fold(place, |place, byte| place.after(*byte)),
        }
        if place != Place::Quoted {
            return Ok(Some(Ok(())));
        }
    }
}

/// Where in a row of CSV a byte is, as the csv crate sees it: a quote has a meaning at a cell's start, and
/// within quotes. <https://www.rfc-editor.org/rfc/rfc4180#section-2>
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    CellStart,
    Bare,
    Quoted,
    BehindQuote,
}

impl Place {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::BehindQuote,
            (Self::Quoted, _) | (Self::CellStart | Self::BehindQuote, b'"') => Self::Quoted,
            (_, b',') => Self::CellStart,
            _ => Self::Bare,
        }
    }
}

/// Where a text's end of line begins, `\n` or `\r\n`.
fn end_of(text: &[u8]) -> usize {
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    line.strip_suffix(b"\r").unwrap_or(line).len()
}

fn utf8(text: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(text).map_err(|error| format!("it is not UTF-8 at byte {}", error.valid_up_to() + 1))
}

fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}
