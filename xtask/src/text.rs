//! Text for people: cutting, counting, and escaping what a terminal would interpret.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// A text's width in terminal columns. Most texts are ASCII, with one column per letter.
pub(crate) fn width_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// Cuts a text to `width` columns; a cut text ends in `...`.
pub(crate) fn fitted(text: &str, width: usize) -> Cow<'_, str> {
    if width_of(text) <= width {
        return Cow::Borrowed(text);
    }
    let end = if width > 3 { end_of(text, width - 3) } else { 0 };
    Cow::Owned(format!("{}...", &text[..end]))
}

/// The end of the longest prefix that fits in `width` columns. It has at least one letter.
pub(crate) fn end_of(text: &str, width: usize) -> usize {
    let mut used = 0;
    let end = text.char_indices().find(|(index, letter)| {
        used += letter.width().unwrap_or_default();
        used > width && *index > 0
    });
    end.map_or(text.len(), |(end, _)| end)
}

/// The first `most` characters of a text, followed by `...` if it was cut.
pub(crate) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    match text.char_indices().nth(most) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// A text in one line, with control characters, line separators, bidirectional marks and invisible characters
/// escaped. They could break the line, disguise the text or control the terminal.
pub(crate) fn printable(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return text;
    }
    let mut printed = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if is_unprintable(letter) { printed.extend(letter.escape_default()) } else { printed.push(letter) }
    }
    Cow::Owned(printed)
}

/// Like [`printable`], but keeps line breaks.
pub(crate) fn printable_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(|line| printable(Cow::Borrowed(line))).collect();
    lines.join("\n")
}

/// JSON with the same characters escaped inside its strings. Line breaks stay.
pub(crate) fn printable_json(json: &str) -> Cow<'_, str> {
    let is_escaped =
        |letter: char| !letter.is_ascii_control() && is_unprintable(letter) || letter == '\u{7f}';
    if !json.contains(is_escaped) {
        return Cow::Borrowed(json);
    }
    let mut printed = String::with_capacity(json.len() + 8);
    for letter in json.chars() {
        if is_escaped(letter) {
            printed.extend(letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            printed.push(letter);
        }
    }
    Cow::Owned(printed)
}

fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        )
        || matches!(letter, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        // Tag characters: invisible ASCII.
        || matches!(letter, '\u{e0000}'..='\u{e007f}')
}

/// A count with its noun: `one` for 1, `more` for other numbers.
pub(crate) fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// A number of bytes for people: `720 B`, `14.2 KB`, `3.0 GB`.
#[expect(clippy::cast_precision_loss, reason = "a size is shown to people")]
pub(crate) fn size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "KB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

/// Adds global options to each command that a text suggests in backticks, so that it is about the same databases. A
/// command that names an engine itself is left as it is.
pub(crate) fn with_options(text: &str, options: &str) -> String {
    const START: &str = "`cargo xtask ";
    let mut parts = text.split(START);
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        whole += START;
        match part.split_once('`') {
            Some((command, rest)) if !command.contains("--engine") => {
                whole += &format!("{command}{options}`{rest}");
            }
            _ => whole += part,
        }
    }
    whole
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_places() {
        for (text, width, expected) in [
            ("hello", 5, "hello"),
            ("hello", 4, "h..."),
            ("名前です名前", 8, "名前..."),
            ("名前", 3, "..."),
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
    fn control_characters_are_escaped() {
        for (text, expected) in [
            ("plain é 名", "plain é 名"),
            ("a\nb\t\u{1b}[31mc\u{7f}", r"a\nb\t\u{1b}[31mc\u{7f}"),
            ("\u{9b}31m¢", r"\u{9b}31m¢"),
            ("a\u{202e}txt.exe", r"a\u{202e}txt.exe"),
            ("a\u{2028}b\u{2029}c\u{200b}d\u{ad}e\u{feff}", r"a\u{2028}b\u{2029}c\u{200b}d\u{ad}e\u{feff}"),
            ("a\u{180e}b\u{2061}c\u{2064}d\u{206f}", r"a\u{180e}b\u{2061}c\u{2064}d\u{206f}"),
            ("a\u{e0072}\u{e006d}\u{e007f}", r"a\u{e0072}\u{e006d}\u{e007f}"),
            ("👩\u{200d}👦 ❤\u{fe0f}", "👩\u{200d}👦 ❤\u{fe0f}"),
        ] {
            assert_eq!(printable(Cow::Borrowed(text)), expected);
        }
        assert_eq!(printable_lines("a\n  b\r\n"), "a\n  b\\r\n");
    }

    #[test]
    fn a_size_has_its_unit() {
        for (bytes, text) in [(0, "0 B"), (999, "999 B"), (14_210, "14.2 KB"), (3_000_000_000, "3.0 GB")] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_count_has_its_noun() {
        assert_eq!(counted(1, "item is", "items are"), "1 item is");
        assert_eq!(counted(0, "item is", "items are"), "0 items are");
    }
}
