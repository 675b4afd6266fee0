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
    /// As much as the limit allows. What would be read next is its rest.
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
        let read = (&mut self.source).take(limit).read_until(b'\n', text)?;
        let is_whole = text.len() > begin && text.last() == Some(&b'\n') || text.len() < LIMIT;
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_line_as_long_as_the_limit_is_whole_and_a_longer_one_is_cut() {
        let long = "x".repeat(LIMIT);
        let stream = format!("\u{feff}a\n{}\n\n{long}y\n", &long[..LIMIT - 1]);
        let mut lines = Lines::new(Box::new(io::Cursor::new(stream)), 0, 0);
        let mut text = Vec::new();
        for (line, length) in [(Line::Whole, 2), (Line::Whole, LIMIT), (Line::Whole, 1), (Line::Cut, LIMIT)] {
            text.clear();
            assert_eq!((lines.read(&mut text).unwrap(), text.len()), (line, length));
        }
        assert_eq!(lines.lines, 4);
        let mut lines = Lines::new(Box::new(io::Cursor::new("last")), 0, 0);
        assert_eq!(lines.read(&mut Vec::new()).unwrap(), Line::Whole);
        assert_eq!((lines.read(&mut Vec::new()).unwrap(), lines.bytes), (Line::End, 4));
    }
}
