use std::io::Write as _;

use anyhow::Result;

use crate::context::Context;
use crate::engine::{self, Database, Engine, LogRange};
use crate::output::stdout;
use crate::text::printable;

#[derive(Debug, clap::Args)]
pub(crate) struct Logs {
    /// Only this database's log
    #[arg(value_enum)]
    service: Option<Database>,
    /// Only the last N lines of each
    #[arg(long, short = 'n', value_name = "N")]
    tail: Option<usize>,
    /// Go on printing until interrupted or the database stops
    #[arg(long, short)]
    follow: bool,
}

impl Logs {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let engine = engine::by_settings(context)?;
        if let Some(database) = self.service {
            return self.print(context, &engine, database, String::new()).await;
        }
        let postgres = self.print(context, &engine, Database::Postgres, "postgres | ".to_owned());
        let dynamodb = self.print(context, &engine, Database::DynamoDb, "dynamodb | ".to_owned());
        if self.follow {
            return tokio::try_join!(postgres, dynamodb).map(|_| ());
        }
        postgres.await?;
        dynamodb.await
    }

    async fn print(
        &self,
        context: &Context,
        engine: &Engine,
        database: Database,
        prefix: String,
    ) -> Result<()> {
        let mut lines = PrefixedLines { prefix, rest: Vec::new() };
        let range = LogRange { tail: self.tail, follow: self.follow };
        engine.logs(context, database, range, &mut |chunk| lines.take(chunk)).await?;
        lines.finish()
    }
}

/// Prints whole lines with a prefix. The log arrives in chunks that end anywhere.
struct PrefixedLines {
    prefix: String,
    rest: Vec<u8>,
}

impl PrefixedLines {
    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        self.rest.extend_from_slice(chunk);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        let mut out = stdout();
        for line in self.rest.drain(..=end).as_slice().split_inclusive(|byte| *byte == b'\n') {
            writeln!(out, "{}{}", self.prefix, shown(line))?;
        }
        Ok(out.flush()?)
    }

    fn finish(mut self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { self.take(b"\n") }
    }
}

/// A log line without control characters other than tabs. A log may contain what clients sent.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let parts: Vec<_> = text.trim_end().split('\t').map(|part| printable(part.into())).collect();
    parts.join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_in_logs_are_escaped() {
        assert_eq!(
            shown(b"\tselect /* \x1b]0;Q\x07 */ 'h\xc3\xa9'\r\n"),
            "\tselect /* \\u{1b}]0;Q\\u{7} */ 'hé'"
        );
    }
}
