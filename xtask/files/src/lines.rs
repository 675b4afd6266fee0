//! Lines of a stream, none of which fills the memory.

use std::io::{self, BufRead, Read as _};

/// The longest record. An item has at most 400 KB, whose escapes in JSON are six times as long at worst.
pub(crate) const LIMIT: usize = 16 << 20;

/// How a line was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// There was none left.
    End,
    /// All of it, with the newline where one follows.
    Whole,
    /// As much as the limit allows; the rest has been skipped.
    Cut,
}

/// Reads lines, and counts them.
pub(crate) struct Lines {
    source: Box<dyn BufRead + Send>,
    /// Lines read so far.
    pub(crate) lines: u64,
    /// Bytes read so far.
    pub(crate) bytes: u64,
}

impl Lines {
    /// Reads what is left of a stream, `lines` and `bytes` of which have been read.
    pub(crate) fn new(source: Box<dyn BufRead + Send>, lines: u64, bytes: u64) -> Self {
        Self { source, lines, bytes }
    }

    /// Appends the next line to `text`, which grows up to [`LIMIT`]. A byte order mark in front of the first
    /// line is left out.
    pub(crate) fn read(&mut self, text: &mut Vec<u8>) -> io::Result<Line> {
        let begin = text.len();
        let limit = u64::try_from(LIMIT.saturating_sub(begin)).unwrap_or(u64::MAX);
        let mut read = (&mut self.source).take(limit).read_until(b'\n', text)?;
        let is_whole = text.len() > begin && text.last() == Some(&b'\n') || text.len() < LIMIT;
        if !is_whole {
            read += skip_line(&mut self.source)?;
        }
        if read == 0 {
            return Ok(Line::End);
        }
        if self.bytes == 0 && text[begin..].starts_with("\u{feff}".as_bytes()) {
            text.drain(begin..begin + '\u{feff}'.len_utf8());
        }
        self.lines += 1;
        self.bytes += u64::try_from(read).unwrap_or(u64::MAX);
        Ok(if is_whole { Line::Whole } else { Line::Cut })
    }
}

/// Reads up to the end of the line, and gives how long that was.
fn skip_line(source: &mut impl BufRead) -> io::Result<usize> {
    let mut skipped = 0;
    loop {
        let buffer = source.fill_buf()?;
        let (length, is_end) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(newline) => (newline + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        source.consume(length);
        skipped += length;
        if is_end {
            return Ok(skipped);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_line_beyond_the_limit_is_cut_and_the_next_is_whole() {
        let long = "x".repeat(LIMIT + 5);
        let stream = format!("\u{feff}a\n{long}\n\n{}\nlast", &long[..LIMIT - 1]);
        let length = u64::try_from(stream.len()).unwrap();
        let mut lines = Lines::new(Box::new(io::Cursor::new(stream)), 0, 0);
        let mut text = Vec::new();
        let mut read = Vec::new();
        loop {
            text.clear();
            match lines.read(&mut text).unwrap() {
                Line::End => break,
                line => read.push((line, text.len())),
            }
        }
        let expected =
            [(Line::Whole, 2), (Line::Cut, LIMIT), (Line::Whole, 1), (Line::Whole, LIMIT), (Line::Whole, 4)];
        assert_eq!(read, expected);
        assert_eq!((lines.lines, lines.bytes), (5, length));
    }
}
