//! Removes times from output, for snapshots.

/// `(12 ms)` becomes `(TIME)`, and `in 3.4 s.` becomes `in TIME.`
pub(crate) fn times(text: &str) -> String {
    let mut words = text.split(' ').peekable();
    let mut redacted = Vec::new();
    while let Some(word) = words.next() {
        let number = word.rsplit(['(', '\n']).next().unwrap_or_default();
        match words.peek().and_then(|unit| behind_unit(unit)) {
            Some(behind) if number.parse::<f64>().is_ok() => {
                redacted.push(format!("{}TIME{behind}", &word[..word.len() - number.len()]));
                words.next();
            }
            _ => redacted.push(word.to_owned()),
        }
    }
    redacted.join(" ")
}

/// The text after the unit of time at a word's start.
fn behind_unit(word: &str) -> Option<&str> {
    let behind = word.strip_prefix("ms").or_else(|| word.strip_prefix('s'))?;
    (!behind.starts_with(|c: char| c.is_alphanumeric())).then_some(behind)
}

#[test]
fn times_are_redacted_and_nothing_else_is() {
    let text = "ok drop table t (12 ms)\nok wait (2.5 s)\nset up, in 3.4 s.\n2 items; 3 units 4 sad (a s)";
    let redacted = "ok drop table t (TIME)\nok wait (TIME)\nset up, in TIME.\n2 items; 3 units 4 sad (a s)";
    assert_eq!(times(text), redacted);
}
