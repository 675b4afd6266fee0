//! SQL files. A file runs in one transaction: completely or not at all.
//!
//! The server parses the file, and reports an error's position in characters from the start of the text.

use std::path::Path;

use crate::error::{Failure, PREPARE};
use crate::record::Sources;
use anyhow::{Result, anyhow};
use postgres::Client;
use postgres::error::{DbError, ErrorPosition, SqlState};

use super::target::{readable, remedy};
use crate::text::{printable, width_of};

/// Creates the tables. Replaces existing ones and their rows.
pub(crate) const SCHEMA: &str = "backend-flask-rs/db/schema.sql";

/// Writes users and activities with fixed uuids. Other rows do not change.
pub(crate) const SEED: &str = "backend-flask-rs/db/seed.sql";

/// How many characters of a line an error shows.
const SHOWN: usize = 120;

#[derive(Clone)]
pub(crate) struct Script {
    /// The path from the workspace's root.
    pub(crate) path: &'static str,
    text: String,
}

impl Script {
    pub(crate) fn read(root: &Path, path: &'static str) -> Result<Self> {
        let text = std::fs::read_to_string(root.join(path)).map_err(|error| {
            let remedy = format!("`git restore {path}` brings back what was committed");
            Failure::new(format!("cannot read {path}"), remedy).caused_by(error)
        })?;
        // Some editors write a byte order mark. psql skips it too.
        Ok(Self { path, text: text.trim_start_matches('\u{feff}').to_owned() })
    }

    /// Adds the script to the sources of a set-up.
    pub(crate) fn add_to(&self, sources: &mut Sources) {
        sources.add(self.path, &self.text);
    }

    /// Runs the script in one transaction, then resets the session: pg_dump writes `select set_config('search_path',
    /// '', false)`, which must not affect the next script. `prod` is the suffix of a command that an error suggests.
    pub(crate) fn run(&self, client: &mut Client, prod: &str) -> Result<()> {
        let mut transaction = client.transaction().map_err(readable)?;
        transaction.batch_execute("savepoint whole_script").map_err(readable)?;
        transaction.batch_execute(&self.text).map_err(|error| self.explain(error, prod))?;
        transaction.batch_execute("release savepoint whole_script").map_err(|error| self.was_ended(error))?;
        transaction.commit().map_err(|error| self.explain(error, prod))?;
        client.batch_execute("discard all").map_err(readable)
    }

    fn explain(&self, error: postgres::Error, prod: &str) -> anyhow::Error {
        let Some(error) = error.as_db_error() else {
            // The server waits for rows of a `copy`, which the driver does not expect.
            let waits = error.to_string() == "unexpected message from server" && copies(self.text.lines());
            return if waits {
                Failure::usage(self.path, NO_ROWS).caused_by(error).into()
            } else {
                error.into()
            };
        };
        let (text, code) = (self.told(error), error.code());
        if let Some(remedy) = remedy(code) {
            return Failure::new("nothing of it has taken effect", remedy).caused_by(text).into();
        }
        if *code == SqlState::UNDEFINED_TABLE && self.path == SEED {
            let remedy = match prod {
                "" => PREPARE.to_owned(),
                prod => format!("load the schema first: `cargo xtask db schema-load{prod}`"),
            };
            return Failure::new(text, remedy).into();
        }
        match self.psql_remedy(error) {
            Some(remedy) => Failure::usage(text, remedy).into(),
            None if is_script_s(code) => Failure::usage(text, CORRECT).into(),
            None => anyhow!(text),
        }
    }

    /// The error if the script ends the transaction that it runs in.
    fn was_ended(&self, error: postgres::Error) -> anyhow::Error {
        if error.as_db_error().is_none() {
            return readable(error);
        }
        let problem = format!(
            "{}: it ends its transaction itself, so what stands before its `commit` may have taken effect",
            self.path
        );
        Failure::new(problem, "leave `begin`, `commit` and `rollback` out: the file is one transaction")
            .into()
    }

    /// The server's message, and its place in the file.
    fn told(&self, error: &DbError) -> String {
        let place = self.place(error);
        let at = place.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
        let mut told = format!("{}{at}: {} (SQLSTATE {})", self.path, error.message(), error.code().code());
        let line = place.and_then(|(line, column)| shown_line(self.text.lines().nth(line - 1)?, column));
        for (name, value) in [
            ("line", line.as_deref()),
            ("detail", error.detail()),
            ("hint", error.hint()),
            ("table", error.table()),
            ("constraint", error.constraint()),
            ("in", error.where_()),
        ] {
            told.extend(value.map(|value| format!("\n{name}: {value}")));
        }
        told
    }

    /// The line and column of an error, counted from 1 in characters.
    fn place(&self, error: &DbError) -> Option<(usize, usize)> {
        // An internal position refers to a query that the server generated.
        let &ErrorPosition::Original(position) = error.position()? else { return None };
        Some(place(&self.text, usize::try_from(position).ok()?))
    }

    /// The remedy for a syntax error that psql would not report.
    fn psql_remedy(&self, error: &DbError) -> Option<&'static str> {
        if *error.code() != SqlState::SYNTAX_ERROR {
            return None;
        }
        let (line, _) = self.place(error)?;
        let before: Vec<_> = self.text.lines().take(line).collect();
        if before.last()?.trim_start().starts_with('\\') {
            return Some("psql's own commands are not SQL: leave the line out");
        }
        copies(before.into_iter()).then_some(NO_ROWS)
    }
}

const CORRECT: &str = "correct the file, and run the command again: nothing of the file has taken effect";

const NO_ROWS: &str = "only psql reads rows after a `copy`: write an INSERT, as `pg_dump --inserts` does";

/// Whether an error is the script's: its data, a constraint, its syntax or a name, or one that it raises.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn is_script_s(code: &SqlState) -> bool {
    let classes = ["22", "23", "42", "P0"];
    *code != SqlState::INSUFFICIENT_PRIVILEGE && classes.iter().any(|class| code.code().starts_with(class))
}

/// Whether a line is a `copy` that reads its rows from the following lines.
fn copies<'a>(mut lines: impl Iterator<Item = &'a str>) -> bool {
    lines.any(|line| {
        let line = line.to_ascii_lowercase();
        line.starts_with("copy ") && line.contains(" from stdin")
    })
}

/// A line with a mark under a column, counted from 1 in characters. A long line is cut around the column.
fn shown_line(line: &str, column: usize) -> Option<String> {
    let indent = line.chars().take_while(|letter| letter.is_whitespace()).count();
    let skipped = indent.max(column.saturating_sub(SHOWN));
    let part = |from: usize, to: usize| -> String { line.chars().skip(from).take(to - from).collect() };
    let before = printable(part(skipped, column.saturating_sub(1).max(skipped)).into()).into_owned();
    // Aligned with the line, which is printed after `line: `.
    let blank = " ".repeat("line: ".len() + width_of(&before));
    Some(format!("{}\n{blank}^", part(skipped, skipped + SHOWN).trim_end()))
}

fn place(text: &str, position: usize) -> (usize, usize) {
    let before: String = text.chars().take(position.saturating_sub(1)).collect();
    let start_of_line = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[start_of_line..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_below_the_column() {
        let marked = |line: &str, column| shown_line(line, column).unwrap();
        assert_eq!(marked("  create tabel x;", 10), "create tabel x;\n             ^");
        assert_eq!(marked("語\tx", 3), "語\tx\n          ^");
        let long = marked(&"x".repeat(1_000), 500);
        assert_eq!(long, format!("{}\n{}^", "x".repeat(SHOWN), " ".repeat(SHOWN + 5)));
    }

    #[test]
    fn positions_are_counted_in_characters() {
        let places = [0, 1, 3, 4, 5, 6, 99].map(|position| place("é語\nb\nc", position));
        assert_eq!(places, [(1, 1), (1, 1), (1, 3), (2, 1), (2, 2), (3, 1), (3, 2)]);
    }
}
