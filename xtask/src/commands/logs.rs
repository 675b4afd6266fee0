use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use crate::docker::compose::{Compose, Service};
use crate::docker::daemon::Docker;
use crate::dynamodb::items::stdout;
use crate::error::Failure;
use crate::process::{self, Process};
use anyhow::Result;
use clap::ValueEnum;

use crate::context::Context;
use crate::engine::embedded::{self, Running};
use crate::engine::{Engine, docker};

/// How often a log file is looked at while it is followed.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(crate) struct Logs {
    /// Only this one's
    #[arg(value_enum)]
    service: Option<Name>,
    /// Only the last N lines of each
    #[arg(long, short = 'n', value_name = "N")]
    tail: Option<usize>,
    /// Go on printing until interrupted or the database stops
    #[arg(long, short)]
    follow: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum, PartialEq)]
enum Name {
    #[value(alias = "db")]
    Postgres,
    #[value(alias = "dynamodb-local")]
    Dynamodb,
}

impl Logs {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        match context.engine()? {
            Engine::Docker(compose) => {
                let docker = Docker::find(&context.environment).await?;
                let postgres = self.print_container(Name::Postgres, &docker, &compose, &compose.postgres);
                let dynamodb = self.print_container(Name::Dynamodb, &docker, &compose, &compose.dynamodb);
                self.both(postgres, dynamodb).await
            }
            Engine::Embedded(_) => {
                let [postgres, dynamodb] = embedded::logs(&context.state);
                let running = match context.state.canonical() {
                    Ok(folder) if self.follow => Running::find(&folder),
                    _ => Running::NOTHING,
                };
                self.both(
                    self.print_file(Name::Postgres, &postgres, running.postgres.as_ref()),
                    self.print_file(Name::Dynamodb, &dynamodb, running.dynamodb.as_ref()),
                )
                .await
            }
            Engine::External => {
                let remedy = "ask whoever runs them";
                Err(Failure::new("engine external: its databases' logs are not kept here", remedy).into())
            }
        }
    }

    /// One after the other, or side by side where they do not end.
    async fn both(
        &self,
        postgres: impl Future<Output = Result<()>>,
        dynamodb: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        if self.follow {
            return tokio::try_join!(postgres, dynamodb).map(|_| ());
        }
        postgres.await?;
        dynamodb.await
    }

    fn lines(&self, name: &str) -> Lines {
        Lines::new(if self.service.is_none() { format!("{name} | ") } else { String::new() })
    }

    fn leaves_out(&self, name: Name) -> bool {
        self.service.is_some_and(|wanted| wanted != name)
    }

    async fn print_container(
        &self,
        name: Name,
        docker: &Docker,
        compose: &Compose,
        service: &Service,
    ) -> Result<()> {
        if self.leaves_out(name) {
            return Ok(());
        }
        let Some(container) = docker::own_container(docker, compose, service).await? else {
            let problem = format!("service {} has no container", service.name);
            return Err(Failure::new(problem, "start the databases with `cargo xtask up`").into());
        };
        let mut lines = self.lines(service.name);
        docker.logs(&container.id, self.tail, self.follow, &mut |chunk| lines.take(chunk)).await?;
        lines.finish()
    }

    /// What a server that is `running` prints is followed until it ends; that of none is not followed.
    async fn print_file(&self, name: Name, log: &Path, running: Option<&Process>) -> Result<()> {
        if self.leaves_out(name) {
            return Ok(());
        }
        let Ok(mut file) = File::open(log) else {
            let problem = format!("there is no log {}", log.display());
            return Err(Failure::new(problem, "start the databases with `cargo xtask up`").into());
        };
        let mut lines = self.lines(if name == Name::Postgres { "postgres" } else { "dynamodb" });
        if let Some(tail) = self.tail {
            file.seek(SeekFrom::End(0))?;
            let last = process::last_lines(log, tail);
            if !last.is_empty() {
                lines.take(last.as_bytes())?;
                lines.take(b"\n")?;
            }
        }
        let mut chunk = vec![0; 64 << 10];
        loop {
            // What it printed before it ended is there by then.
            let goes_on = running.is_some_and(Process::still_runs);
            loop {
                match file.read(&mut chunk)? {
                    0 => break,
                    count => lines.take(&chunk[..count])?,
                }
            }
            if !goes_on {
                return lines.finish();
            }
            tokio::time::sleep(FOLLOW_INTERVAL).await;
        }
    }
}

/// Prints whole lines, each behind a prefix; the log arrives in chunks that end anywhere.
struct Lines {
    prefix: String,
    rest: Vec<u8>,
}

impl Lines {
    fn new(prefix: String) -> Self {
        Self { prefix, rest: Vec::new() }
    }

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
