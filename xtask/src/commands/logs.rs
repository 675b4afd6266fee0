use std::io::Write as _;

use anyhow::Result;

use crate::context::Context;
use crate::engine::{self, Database, Engine, LogRange};
use crate::output::stdout;

#[derive(Debug, clap::Args)]
pub(crate) struct Logs {
    /// Only this one's
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
        let mut lines = Lines { prefix, rest: Vec::new() };
        let range = LogRange { tail: self.tail, follow: self.follow };
        engine.logs(context, database, range, &mut |chunk| lines.take(chunk)).await?;
        lines.finish()
    }
}

/// Prints whole lines, each behind a prefix; the log arrives in chunks that end anywhere.
struct Lines {
    prefix: String,
    rest: Vec<u8>,
}

impl Lines {
    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        self.rest.extend_from_slice(chunk);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        let mut out = stdout();
        for line in self.rest.drain(..=end).as_slice().split_inclusive(|byte| *byte == b'\n') {
            out.write_all(self.prefix.as_bytes())?;
            out.write_all(line)?;
        }
        Ok(out.flush()?)
    }

    fn finish(mut self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { self.take(b"\n") }
    }
}
