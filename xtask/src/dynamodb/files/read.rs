//! Reads a file's items one by one, each with its line.

use std::fs::File;
use std::io::{self, BufRead, Read as _, Seek as _};
use std::path::Path;

use csv_core::ReadRecordResult;

use crate::dynamodb::files::{Columns, FileForm, Notation, compression, jsonl};
use crate::dynamodb::json::Item;

/// The maximum size of a record in bytes. An item has at most 400 KB, and JSON escapes may make it six times as long.
pub(crate) const LIMIT: usize = 16 << 20;

#[derive(Debug)]
pub(crate) struct FileRecord<'a> {
    /// The line in which it begins, counted from 1.
    pub(crate) line: u64,
    /// The text, without the last line end.
    pub(crate) text: &'a [u8],
    /// The item, or what is wrong with the text.
    pub(crate) item: Result<Item, String>,
}

/// Reads a file of items. A record takes up to 16 MiB of memory; a longer one is an error of the file.
pub(crate) struct ItemFile {
    lines: Lines,
    /// `None` if the file has JSON lines.
    csv: Option<CsvRows>,
    /// The notation of JSON lines; `None` until a line decides.
    notation: Option<Notation>,
    /// Whether a line of JSON was read.
    has_begun: bool,
    from_line: u64,
    /// The first record until [`ItemFile::next`] returns it.
    first: Option<Option<Result<Item, String>>>,
    /// Another handle of the file being read. Both share one position.
    file: File,
    size: u64,
}

impl ItemFile {
    /// Opens a file in the form that its name gives, and reads the first record. Skips the records that begin before
    /// `from_line`.
    ///
    /// `notation` is that of JSON lines. Without one, the first line that is an object with members decides by
    /// [`Notation::of`].
    pub(crate) fn open(path: &Path, notation: Option<Notation>, from_line: u64) -> io::Result<Self> {
        Self::of(File::open(path)?, FileForm::of(path)?, notation, from_line)
    }

    /// As [`ItemFile::open`], of an open file.
    pub(crate) fn of(
        file: File,
        form: FileForm,
        notation: Option<Notation>,
        from_line: u64,
    ) -> io::Result<Self> {
        let metadata = file.metadata()?;
        // No signal is handled while a read waits for what another program writes.
        if !metadata.is_file() {
            return Err(invalid("it is not a file: `cargo xtask ddb import -` reads a pipe"));
        }
        let source = compression::text_of(file.try_clone()?, form.compression)?;
        let hint = match form.is_csv {
            true => "is a quote not closed?",
            false => "is it one JSON document? `jq -c '.[]'` makes lines of a list",
        };
        let mut lines = Lines { source, hint, count: 0, record: Vec::new(), first: 0 };
        let csv = if form.is_csv { Some(CsvRows::begin(&mut lines)?) } else { None };
        let (has_begun, size) = (false, metadata.len());
        let mut file = Self { lines, csv, notation, has_begun, from_line, first: None, file, size };
        file.first = Some(file.read()?);
        Ok(file)
    }

    /// The next record. Skips blank lines. A record may be invalid, and then the following one can still be read;
    /// after an `Err` the file cannot.
    #[allow(clippy::should_implement_trait, reason = "a record borrows the text, as no iterator's item can")]
    pub(crate) fn next(&mut self) -> io::Result<Option<FileRecord<'_>>> {
        let item = match self.first.take() {
            Some(first) => first,
            None => self.read()?,
        };
        let (line, text) = (self.lines.first, without_end(&self.lines.record));
        Ok(item.map(|item| FileRecord { line, text, item }))
    }

    fn read(&mut self) -> io::Result<Option<Result<Item, String>>> {
        loop {
            let item = match &mut self.csv {
                None => self.json_line()?,
                Some(rows) => rows.read(&mut self.lines)?,
            };
            if item.is_none() || self.lines.first >= self.from_line {
                return Ok(item);
            }
        }
    }

    /// Reads a line of JSON.
    fn json_line(&mut self) -> io::Result<Option<Result<Item, String>>> {
        while self.lines.begin()? {
            let text = match utf8(without_end(&self.lines.record)) {
                Ok(text) if text.trim().is_empty() => continue,
                Ok(text) => text,
                Err(why) => return Ok(Some(Err(why))),
            };
            let is_first = !std::mem::replace(&mut self.has_begun, true);
            if is_first && jsonl::is_document(text) {
                return Err(invalid(
                    "it is one JSON document, not one item per line: `jq -c '.[]'` makes lines of a list, and \
                     `jq -c '.Items[]'` of what `-o json` or the AWS CLI prints",
                ));
            }
            if self.notation.is_none() {
                let mixed = |why| format!("line {}: {why}: add --dynamodb-json or --plain", self.lines.first);
                self.notation = Notation::of(text).map_err(|why| invalid(mixed(why)))?;
            }
            return Ok(Some(jsonl::item(text, self.notation.unwrap_or(Notation::Typed))));
        }
        Ok(None)
    }

    /// The number of lines read so far.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.count
    }

    /// The text of a CSV file's header. A file of rejected rows begins with the same header.
    pub(crate) fn header(&self) -> Option<&[u8]> {
        self.csv.as_ref().map(|table| table.header.as_slice())
    }

    /// The fraction of the file read so far, from 0 to 1.
    #[allow(clippy::cast_precision_loss, reason = "a share is shown to people")]
    pub(crate) fn share(&self) -> f64 {
        let read = (&self.file).stream_position().unwrap_or_default();
        if self.size == 0 { 1.0 } else { read as f64 / self.size as f64 }
    }
}

/// The lines of a stream. An endless line cannot fill the memory.
struct Lines {
    source: Box<dyn BufRead>,
    /// The likely reason if a record is too long.
    hint: &'static str,
    /// The number of lines read so far.
    count: u64,
    /// The current record, which may continue in the next line.
    record: Vec<u8>,
    first: u64,
}

impl Lines {
    /// Begins a record with the next line that is not empty. Returns false at the end.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            self.record.clear();
            self.first = self.count + 1;
            if !self.add()? {
                return Ok(false);
            }
            if !without_end(&self.record).is_empty() {
                return Ok(true);
            }
        }
    }

    /// Appends the next line with its line end to the record. Returns false at the end. Skips a byte order mark
    /// before the first line.
    ///
    /// A record longer than [`LIMIT`] is an error of the file, because a rejected record is kept whole.
    fn add(&mut self) -> io::Result<bool> {
        let begin = self.record.len();
        let room = u64::try_from(LIMIT - begin).unwrap_or(u64::MAX);
        let read = (&mut self.source).take(room + 1).read_until(b'\n', &mut self.record)?;
        self.count += u64::from(read > 0);
        if self.record.len() > LIMIT {
            let (line, most, hint) = (self.first, LIMIT >> 20, self.hint);
            let why = format!(
                "the record in line {line} is longer than {most} MiB, more than any item needs: {hint}"
            );
            return Err(invalid(why));
        }
        if self.count == 1 && self.record.starts_with("\u{feff}".as_bytes()) {
            self.record.drain(..'\u{feff}'.len_utf8());
        }
        Ok(read > 0)
    }
}

/// A CSV's rows. The csv crate's own reader does not keep a row's text, and its positions are wrong after blank lines
/// and after `\r\n`.
struct CsvRows {
    csv: csv_core::Reader,
    header: Vec<u8>,
    columns: Columns,
}

impl CsvRows {
    fn begin(lines: &mut Lines) -> io::Result<Self> {
        let mut csv = csv_core::Reader::new();
        let header = read_row(&mut csv, lines)?.ok_or_else(|| invalid("there is no header"))?;
        let header = header.map_err(|why| invalid(format!("the header: {why}")))?;
        let columns = Columns::from_header(&header).map_err(invalid)?;
        Ok(Self { csv, header: without_end(&lines.record).to_owned(), columns })
    }

    fn read(&mut self, lines: &mut Lines) -> io::Result<Option<Result<Item, String>>> {
        let row = read_row(&mut self.csv, lines)?;
        Ok(row.map(|row| row.and_then(|cells| self.columns.item(&cells))))
    }
}

/// Reads a row. It may continue on the next line inside quotes. Returns `None` at the end of the file.
fn read_row(
    csv: &mut csv_core::Reader,
    lines: &mut Lines,
) -> io::Result<Option<Result<Vec<String>, String>>> {
    if !lines.begin()? {
        return Ok(None);
    }
    let (mut cells, mut ends) = (Vec::new(), Vec::new());
    let (mut cells_length, mut ends_count, mut parsed) = (0, 0, 0);
    loop {
        let line = lines.record[parsed..].strip_suffix(b"\n").unwrap_or(&lines.record[parsed..]);
        // A bit more room than the text needs, because csv_core stops when the buffer is full.
        cells.resize(lines.record.len() + 2, 0);
        ends.resize(ends_count + line.iter().filter(|byte| **byte == b',').count() + 2, 0);
        // The last line of the file may lack its line end. Empty input would mean the end of the file to csv_core.
        for part in [line, b"\n"].into_iter().filter(|part| !part.is_empty()) {
            let (result, read, text, count) =
                csv.read_record(part, &mut cells[cells_length..], &mut ends[ends_count..]);
            cells_length += text;
            ends_count += count;
            if result != ReadRecordResult::Record {
                continue;
            }
            if read < part.len() {
                let why = "a line ends with a carriage return alone: write the file with line feeds";
                return Ok(Some(Err(why.to_owned())));
            }
            if let Err(why) = utf8(&lines.record) {
                return Ok(Some(Err(why)));
            }
            let begins = [0].iter().chain(&ends);
            let cells = begins.zip(&ends[..ends_count]).map(|(begin, end)| &cells[*begin..*end]);
            return Ok(Some(Ok(cells.map(|cell| String::from_utf8_lossy(cell).into_owned()).collect())));
        }
        parsed = lines.record.len();
        if !lines.add()? {
            return Ok(Some(Err("a quote is not closed up to the end of the file".to_owned())));
        }
    }
}

/// A text without its line end, `\n` or `\r\n`.
fn without_end(text: &[u8]) -> &[u8] {
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn utf8(text: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(text).map_err(|error| format!("it is not UTF-8 at byte {}", error.valid_up_to() + 1))
}

pub(super) fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}
