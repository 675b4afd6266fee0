//! Reading a file's items one by one, each with its line.

use std::fs::File;
use std::io::{self, BufRead, Read as _, Seek as _};
use std::path::Path;

use csv_core::ReadRecordResult;

use crate::dynamodb::files::{Columns, Encoding, FileForm, Notation, compression, jsonl};
use crate::dynamodb::json::Item;

/// The longest record. An item has at most 400 KB, whose escapes in JSON are six times as long at worst.
pub(crate) const LIMIT: usize = 16 << 20;

/// What a file holds for one item.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// The line it begins in, counted from 1.
    pub(crate) line: u64,
    /// The text, without the end of its line.
    pub(crate) text: &'a [u8],
    /// The item, or what is wrong with the text.
    pub(crate) item: Result<Item, String>,
}

/// A file of items that is being read. A record takes up to 16 MiB of memory; a longer one is an error of the file.
pub(crate) struct ItemFile {
    lines: Lines,
    from_line: u64,
    /// The record that was read last.
    text: Vec<u8>,
    has_begun: bool,
    rows: Rows,
    /// A second handle of the file that is read: the two share their position.
    file: File,
    size: u64,
}

/// How records become items.
enum Rows {
    /// The notation is none until a line decides.
    Jsonl(Option<Notation>),
    Csv(Box<Table>),
}

struct Table {
    header: Vec<u8>,
    columns: Columns,
    cells: Cells,
}

impl ItemFile {
    /// Opens a file in the form that its name says. Records that begin before `from_line` are left out.
    ///
    /// `notation` is of JSON lines. If there is none, the first line that is an object with members decides, as
    /// [`Notation::of`] says.
    pub(crate) fn open(path: &Path, notation: Option<Notation>, from_line: u64) -> io::Result<Self> {
        let form = FileForm::of(path)?;
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        // An import reads its file twice: what is wrong with it is said before anything is asked.
        if !metadata.is_file() {
            return Err(invalid("it is not a file: write what comes from a pipe into one"));
        }
        let mut lines = Lines { source: compression::text_of(file.try_clone()?, form.compression), read: 0 };
        let rows = match form.encoding {
            Encoding::Jsonl => Rows::Jsonl(notation),
            Encoding::Csv => Rows::Csv(Box::new(Table::begin(&mut lines)?)),
        };
        Ok(Self { lines, from_line, text: Vec::new(), has_begun: false, rows, file, size: metadata.len() })
    }

    /// The next record; blank lines are passed over. A record that is wrong is one too, and the next one follows; an
    /// error means that the file cannot be read on.
    #[allow(clippy::should_implement_trait, reason = "a record borrows the text, as no iterator's item can")]
    pub(crate) fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        loop {
            let line = self.lines.read + 1;
            self.text.clear();
            let read = match &mut self.rows {
                Rows::Jsonl(_) => self.lines.read(&mut self.text, LONG_LINE)?.then_some(Ok(())),
                Rows::Csv(table) => table.cells.read(&mut self.lines, &mut self.text)?,
            };
            let Some(read) = read else { return Ok(None) };
            self.text.truncate(end_of(&self.text));
            let is_blank = match &self.rows {
                Rows::Jsonl(_) => self.text.trim_ascii().is_empty(),
                Rows::Csv(_) => self.text.is_empty(),
            };
            if is_blank {
                continue;
            }
            let is_first = !std::mem::replace(&mut self.has_begun, true);
            if let (Rows::Jsonl(notation), Ok(text)) = (&mut self.rows, utf8(&self.text)) {
                if is_first && jsonl::is_document(text) {
                    return Err(invalid(ONE_DOCUMENT));
                }
                if notation.is_none() {
                    *notation = Notation::of(text).map_err(|why| {
                        invalid(format!("line {line}: {why}: add --dynamodb-json or --plain"))
                    })?;
                }
            }
            if line < self.from_line {
                continue;
            }
            let item = read.and_then(|()| utf8(&self.text)).and_then(|text| match &self.rows {
                Rows::Jsonl(notation) => jsonl::item(text, notation.unwrap_or(Notation::Typed)),
                Rows::Csv(table) => table.columns.item(&table.cells.texts()?),
            });
            return Ok(Some(Record { line, text: &self.text, item }));
        }
    }

    /// How many lines have been read.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.read
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
        let read = (&self.file).stream_position().unwrap_or_default();
        if self.size == 0 { 1.0 } else { read as f64 / self.size as f64 }
    }
}

/// What is wrong with a file whose first line is, or begins, a document.
const ONE_DOCUMENT: &str = "it is one JSON document, and not an item a line: `jq -c '.[]'` makes lines of a list, and \
                            `jq -c '.Items[]'` of what `-o json` or the AWS CLI prints";

const LONG_LINE: &str = ": is it one JSON document? `jq -c '.[]'` makes lines of a list";

impl Table {
    fn begin(lines: &mut Lines) -> io::Result<Self> {
        let mut cells = Cells { csv: csv_core::Reader::new(), cells: Vec::new(), ends: Vec::new() };
        let mut header = Vec::new();
        while header.is_empty() {
            let of_header = |why| invalid(format!("the header: {why}"));
            let read = cells.read(lines, &mut header)?.ok_or_else(|| invalid("there is no header"))?;
            read.map_err(of_header)?;
            header.truncate(end_of(&header));
            utf8(&header).map_err(of_header)?;
        }
        let columns = cells.texts().and_then(|texts| Columns::from_header(&texts)).map_err(invalid)?;
        Ok(Self { header, columns, cells })
    }
}

/// The lines of a stream, none of which fills the memory.
struct Lines {
    source: Box<dyn BufRead>,
    /// How many have been read.
    read: u64,
}

impl Lines {
    /// Appends the next line to `text`, the end of the line included; false if there is none. A byte order mark
    /// before the first line is left out.
    ///
    /// If `text` gets longer than [`LIMIT`], that is an error of the file, because a rejected record is kept whole.
    /// `hint` is the likely reason.
    fn read(&mut self, text: &mut Vec<u8>, hint: &str) -> io::Result<bool> {
        let begin = text.len();
        let room = u64::try_from(LIMIT - begin).unwrap_or(u64::MAX);
        let read = (&mut self.source).take(room + 1).read_until(b'\n', text)?;
        self.read += u64::from(read > 0);
        if text.len() > LIMIT {
            return Err(invalid(format!(
                "the record in line {} is longer than {} MiB, as no item is{hint}",
                self.read,
                LIMIT >> 20
            )));
        }
        if self.read == 1 && text[begin..].starts_with("\u{feff}".as_bytes()) {
            text.drain(begin..begin + '\u{feff}'.len_utf8());
        }
        Ok(read > 0)
    }
}

/// Cuts rows of CSV into cells. The csv crate's own reader keeps no text of a row, and its positions are wrong
/// behind blank lines and `\r\n`.
struct Cells {
    csv: csv_core::Reader,
    /// The cells of the row that was read last, one after another, and where each of them ends.
    cells: Vec<u8>,
    ends: Vec<usize>,
}

impl Cells {
    /// Reads a row, which goes on where a line ends within quotes, and appends its text; none at the end of the file.
    fn read(&mut self, lines: &mut Lines, text: &mut Vec<u8>) -> io::Result<Option<Result<(), String>>> {
        let (mut length, mut count) = (0, 0);
        loop {
            let begin = text.len();
            if !lines.read(text, ": is a quote not closed, there or before?")? {
                let unclosed = || Err("a quote is not closed up to the end of the file".to_owned());
                return Ok((begin > 0).then(unclosed));
            }
            let end = text.len() - usize::from(text.ends_with(b"\n"));
            let line = &text[begin..end];
            if begin == 0 && matches!(line, b"" | b"\r") {
                return Ok(Some(Ok(())));
            }
            // Room for what is read, and a bit more: csv_core does not read on when it is full.
            let commas = line.iter().filter(|byte| **byte == b',').count();
            self.cells.resize(text.len() + 2, 0);
            self.ends.resize(count + commas + 2, 0);
            // The last line of a file may lack its end. No bytes at all are the end of the file to csv_core.
            for part in [line, b"\n"].into_iter().filter(|part| !part.is_empty()) {
                let (result, read, cells, ends) =
                    self.csv.read_record(part, &mut self.cells[length..], &mut self.ends[count..]);
                length += cells;
                count += ends;
                if result == ReadRecordResult::Record {
                    self.ends.truncate(count);
                    let is_whole = read == part.len();
                    let why = "a line ends with a carriage return alone: write the file with line feeds";
                    return Ok(Some(if is_whole { Ok(()) } else { Err(why.to_owned()) }));
                }
            }
        }
    }

    fn texts(&self) -> Result<Vec<&str>, String> {
        let begins = [0].iter().chain(&self.ends);
        begins.zip(&self.ends).map(|(begin, end)| utf8(&self.cells[*begin..*end])).collect()
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
