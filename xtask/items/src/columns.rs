//! Text in columns, for people.

use std::io::Write;

use unicode_width::UnicodeWidthStr as _;

/// How wide each column is, in places on the screen.
#[derive(Default)]
pub struct Columns {
    widths: Vec<usize>,
}

impl Columns {
    /// Makes each column as wide as the widest of its cells so far.
    pub fn widen<S: AsRef<str>>(&mut self, cells: &[S]) {
        self.widths.resize(self.widths.len().max(cells.len()), 0);
        for (width, cell) in self.widths.iter_mut().zip(cells) {
            *width = (*width).max(width_of(cell.as_ref()));
        }
    }

    /// Prints one line. A cell that is wider than its column moves what follows it to the right.
    ///
    /// # Errors
    /// `out` is closed.
    pub fn print<S: AsRef<str>>(&self, out: &mut impl Write, cells: &[S]) -> std::io::Result<()> {
        let mut line = String::new();
        for (index, cell) in cells.iter().map(AsRef::as_ref).enumerate() {
            let width = self.widths.get(index).copied().unwrap_or_default();
            line.push(' ');
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(width_of(cell)) + 1));
        }
        writeln!(out, "{}", line.trim_end())
    }
}

/// Most texts are ASCII, where each letter takes one place.
fn width_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

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
