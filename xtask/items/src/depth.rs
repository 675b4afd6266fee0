//! How deep JSON may be nested.

/// The most objects and arrays within another that are read, as of serde_json.
pub const DEPTH: usize = 127;

/// Whether a text of JSON has more than [`DEPTH`] objects and arrays within each other. Plain values are read
/// from the outside in, each level anew, where serde_json's own limit does not hold: the stack would run out.
pub fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return true;
        }
    }
    false
}
