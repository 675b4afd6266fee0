//! Shortens long texts for error messages.

/// How many characters an error shows.
const SHOWN: usize = 60;

/// The first 60 characters of `text`, followed by `…` if it was cut.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_characters_only_where_it_must() {
        let whole = "é語🐈".repeat(20);
        for text in ["", "é語🐈", &whole] {
            assert_eq!(excerpt(text), text);
        }
        assert_eq!(excerpt(&format!("{whole}!")), format!("{whole}…"));
    }
}
