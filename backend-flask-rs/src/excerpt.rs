//! Shortens long texts for error messages.

/// The first `length` characters of `text`, followed by `…` if it was cut.
pub(crate) fn excerpt(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_characters_only_where_it_must() {
        assert_eq!(excerpt("", 3), "");
        assert_eq!(excerpt("é語🐈", 3), "é語🐈");
        assert_eq!(excerpt("é語🐈!", 3), "é語🐈…");
    }
}
