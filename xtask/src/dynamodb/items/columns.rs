//! Text in columns, and text that is cut, for people.

use std::borrow::Cow;
use std::io::Write;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// A column is not made narrower than this.
const NARROWEST: usize = 8;

/// How wide each column is, in places on the screen.
#[derive(Default)]
pub(crate) struct Columns {
    widths: Vec<usize>,
}

impl Columns {
    /// Makes each column as wide as the widest of its cells so far.
    pub(crate) fn widen<S: AsRef<str>>(&mut self, cells: &[S]) {
        self.widths.resize(self.widths.len().max(cells.len()), 0);
        for (width, cell) in self.widths.iter_mut().zip(cells) {
            *width = (*width).max(width_of(cell.as_ref()));
        }
    }

    /// How wide each column is.
    pub(crate) fn widths(&self) -> &[usize] {
        &self.widths
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
    ///
    /// # Errors
    /// `out` is closed.
    pub(crate) fn print<S: AsRef<str>>(&self, out: &mut impl Write, cells: &[S]) -> std::io::Result<()> {
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

/// A text that takes at most `width` places, ending in an ellipsis where something was cut.
pub(crate) fn fitted(text: &str, width: usize) -> Cow<'_, str> {
    if width_of(text) <= width {
        return Cow::Borrowed(text);
    }
    let mut used = 1;
    let end = text.char_indices().find(|(_, letter)| {
        used += letter.width().unwrap_or_default();
        used > width
    });
    let end = end.map_or(text.len(), |(end, _)| end);
    Cow::Owned(format!("{}…", &text[..end]))
}

/// The first `most` characters of a text, and `...` where something was cut.
pub(crate) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    match text.char_indices().nth(most) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// A text with spaces for its control characters: one may break the line, or do something to the terminal.
pub(crate) fn printable(text: Cow<'_, str>) -> Cow<'_, str> {
    // Most texts have none. In UTF-8 a control character is one of these bytes, or begins with 0xC2.
    let mut bytes = text.bytes();
    let may_have_control = bytes.any(|byte| byte < b' ' || byte == 0x7F || byte == 0xC2);
    if may_have_control { Cow::Owned(text.replace(char::is_control, " ")) } else { text }
}

/// Most texts are ASCII, where each letter takes one place.
fn width_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// So many, for people: `one` is the noun with its verb for a single one, `more` for any other number.
///
/// ```
/// # use crate::dynamodb::items::counted;
/// assert_eq!(counted(1, "item is", "items are"), "1 item is");
/// assert_eq!(counted(0, "item is", "items are"), "0 items are");
/// ```
pub(crate) fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn columns_are_narrowed_to_a_line() {
        let mut columns = Columns::default();
        columns.widen(&["x".repeat(40), "y".repeat(20), "z".repeat(3)]);
        columns.narrow_to(48);
        assert_eq!(columns.widths(), [20, 20, 3]);
        columns.narrow_to(10);
        assert_eq!(columns.widths(), [8, 8, 3]);
    }

    #[test]
    fn texts_are_cut_by_places() {
        for (text, width, expected) in [
            ("hello", 5, "hello"),
            ("hello", 4, "hel…"),
            ("名前です", 5, "名前…"),
            ("名前", 2, "…"),
            ("é", 1, "é"),
        ] {
            assert_eq!(fitted(text, width), expected);
        }
    }

    #[test]
    fn texts_are_cut_by_characters() {
        assert_eq!(shortened("héllo", 5), "héllo");
        assert_eq!(shortened("héllo!", 5), "héllo...");
    }

    #[test]
    fn control_characters_are_not_printed() {
        for (text, expected) in [
            ("plain é 名", "plain é 名"),
            ("a\nb\t\u{1b}[31mc\u{7f}", "a b  [31mc "),
            ("\u{9b}31m¢", " 31m¢"),
        ] {
            assert_eq!(printable(Cow::Borrowed(text)), expected);
        }
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
