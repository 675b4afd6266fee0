//! What went wrong in a script, and where.

use std::error::Error;
use std::fmt;

use postgres::error::ErrorPosition;

use super::lexer::newlines;
use super::{Script, Statement};
use crate::excerpt::excerpt;

/// How many characters of a statement an error shows.
const SHOWN: usize = 120;

/// A script's failure: its file, the line, the statement, and what Postgres said.
///
/// The source, where it was Postgres that failed, is the [`postgres::Error`], whose own source repeats the message that
/// is shown here.
#[derive(Debug)]
pub struct SqlError {
    path: &'static str,
    statement: Option<Failed>,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Postgres(postgres::Error),
    /// Nothing was executed, since a statement is of no use in a script.
    Refused(&'static str),
}

/// The statement that failed.
#[derive(Debug)]
struct Failed {
    line: usize,
    text: String,
}

impl SqlError {
    /// The transaction could not begin or commit.
    pub(super) fn outside(script: &Script, source: postgres::Error) -> Self {
        Self { path: script.path, statement: None, why: Why::Postgres(source) }
    }

    pub(super) fn in_statement(script: &Script, statement: &Statement<'_>, source: postgres::Error) -> Self {
        let position = source.as_db_error().and_then(|e| e.position());
        let line = match position {
            Some(&ErrorPosition::Original(character)) => line_of(statement, character),
            // Internal positions are in a query of Postgres's own making.
            _ => statement.line,
        };
        let text = shorten(statement.text);
        Self { path: script.path, statement: Some(Failed { line, text }), why: Why::Postgres(source) }
    }

    /// The statement is of no use in a script, for this reason.
    pub(super) fn refused(script: &Script, statement: &Statement<'_>, why: &'static str) -> Self {
        let failed = Failed { line: statement.line, text: shorten(statement.text) };
        Self { path: script.path, statement: Some(failed), why: Why::Refused(why) }
    }

    /// The script's path from the workspace's root.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The script's line, from 1: where Postgres says the error is, else where the statement begins.
    /// None if the transaction could not begin or commit.
    pub fn line(&self) -> Option<usize> {
        self.statement.as_ref().map(|failed| failed.line)
    }
}

/// The line of the statement's `character`, which Postgres counts from 1, in characters.
fn line_of(statement: &Statement<'_>, character: u32) -> usize {
    let before = usize::try_from(character.saturating_sub(1)).unwrap_or(usize::MAX);
    let end = statement.text.char_indices().nth(before);
    let end = end.map_or(statement.text.len(), |(at, _)| at);
    statement.line + newlines(&statement.text[..end])
}

/// The beginning of the statement, on one line.
fn shorten(statement: &str) -> String {
    let line = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    excerpt(&line, SHOWN)
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path)?;
        if let Some(line) = self.line() {
            write!(f, ":{line}")?;
        }
        match &self.why {
            Why::Refused(why) => write!(f, ": {why}")?,
            Why::Postgres(error) => match error.as_db_error() {
                None => write!(f, ": {error}")?,
                Some(e) => {
                    write!(f, ": {} (SQLSTATE {})", e.message(), e.code().code())?;
                    write_field(f, "detail", e.detail())?;
                    write_field(f, "hint", e.hint())?;
                }
            },
        }
        write_field(f, "statement", self.statement.as_ref().map(|s| &*s.text))
    }
}

fn write_field(f: &mut fmt::Formatter<'_>, name: &str, value: Option<&str>) -> fmt::Result {
    match value {
        Some(value) => write!(f, "\n{name}: {value}"),
        None => Ok(()),
    }
}

impl Error for SqlError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.why {
            Why::Postgres(error) => Some(error),
            Why::Refused(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_counted_in_characters() {
        let statement = Statement { line: 7, text: "é語\nb\nc" };
        let lines = [0, 1, 3, 4, 5, 6, 99].map(|character| line_of(&statement, character));
        assert_eq!(lines, [7, 7, 7, 8, 8, 9, 9]);
    }

    #[test]
    fn statements_are_shown_on_one_line() {
        assert_eq!(shorten("select\n  1,\n\t2"), "select 1, 2");
        let cut = format!("{}…", "é".repeat(SHOWN));
        assert_eq!(shorten(&"é".repeat(SHOWN + 1)), cut);
    }

    #[test]
    fn what_is_refused_is_named_with_its_place() {
        let script = Script { path: "db/seed.sql", text: "select 1;\n\nbegin;" };
        let statements = script.statements();
        let error = SqlError::refused(&script, &statements[1], "leave this out");
        assert_eq!(error.to_string(), "db/seed.sql:3: leave this out\nstatement: begin");
    }
}
