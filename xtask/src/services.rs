//! Starts the two databases on the chosen engine, and waits until both answer.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::dynamodb::client::DynamoDb;
use crate::error::Failure;
use crate::poll::{self, Look};
use crate::postgres::target::Connection;
use crate::targets::Targets;
use crate::ui::seconds;
use anyhow::{Result, anyhow};

use crate::context::Context;
use crate::engine::{self, Database, Engine, EngineName, LogRange};
use crate::state::Lock;

/// How long a database may take from its start to its first answer.
const READY_BOUND: Duration = Duration::from_secs(60);

/// The pause between checks. A check takes about a millisecond.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How long one check may take.
const CHECK_BOUND: Duration = Duration::from_secs(10);

/// How long nobody may listen at the address of an external database.
const NOBODY_BOUND: Duration = Duration::from_secs(3);

/// How often the server's process or container is checked while it does not answer.
const LIFE_INTERVAL: Duration = Duration::from_millis(300);

/// How many lines of each database's log are shown in CI after a failure.
const CI_LOG_LINES: usize = 30;

/// The two databases, started but perhaps not ready. They stay locked against other commands of this checkout.
pub(crate) struct Services {
    pub(crate) targets: Targets,
    pub(crate) engine: Engine,
    /// A database that was already running ended before it answered: another run was stopping it.
    was_being_stopped: Cell<bool>,
    _lock: Lock,
}

impl Services {
    /// Starts the databases that do not run, and calls `work`. If a database turns out to be stopping, for example
    /// because of an interrupted run, starts again and repeats `work`. In CI, a failure shows the databases' last log
    /// lines. `doing` names the command to those that wait for the lock. `keep` saves the tables that an engine's
    /// DynamoDB keeps in memory; it is called if the start would lose them.
    pub(crate) async fn with<T>(
        context: &Context,
        doing: &str,
        keep: impl AsyncFn(EngineName) -> Result<()>,
        work: impl AsyncFn(&Self) -> Result<T>,
    ) -> Result<(Self, T)> {
        // Each of the two databases may end this way once.
        let mut again = 2;
        loop {
            let services = {
                let _group = context.ui.group("Start the databases");
                Self::start(context, doing, &keep).await?
            };
            let done = work(&services).await;
            if done.is_err() && again > 0 && services.was_being_stopped.get() {
                context.ui.note("it was being stopped, and is started again");
                again -= 1;
                continue;
            }
            let done = services.explain_failure(context, done).await?;
            return Ok((services, done));
        }
    }

    /// Starts the databases that do not run, both at once. The engine checks both for obstacles before it starts
    /// either.
    async fn start(
        context: &Context,
        doing: &str,
        keep: impl AsyncFn(EngineName) -> Result<()>,
    ) -> Result<Self> {
        let ui = &context.ui;
        let lock = context.state.lock(ui, doing).await?;
        let mut state = context.state.read(ui)?;
        engine::finish_stop(context, &mut state, &keep).await?;
        let (mut engine, why) = engine::choose(context, &state).await?;
        ui.note(format_args!("engine {}: {why}", engine.name()));
        if engine.start_loses_tables(context).await? {
            keep(engine.name()).await?;
        }
        if let Err(error) = engine.start(context).await {
            engine.remember_leftovers(context, &mut state).await?;
            return Err(error);
        }
        engine.remember(context, &mut state)?;
        let targets = engine.targets(context)?;
        Ok(Self { targets, engine, was_being_stopped: Cell::new(false), _lock: lock })
    }

    /// Waits until Postgres answers a query and DynamoDB a signed request. Returns a connection to the maintenance database,
    /// and the client.
    pub(crate) async fn both_ready(&self, context: &Context) -> Result<(Connection, DynamoDb)> {
        let Targets { postgres, dynamodb } = &self.targets;
        let client = DynamoDb::new(dynamodb, &context.ui).await?;
        let look = async || postgres.look().await;
        let wait_for_postgres = self.wait(Database::Postgres, look, &postgres.remedy);
        let wait_for_dynamodb = self.wait(Database::DynamoDb, async || client.look().await, &dynamodb.remedy);
        let (maintenance, ()) = tokio::try_join!(
            context.ui.run(format!("Postgres: wait for {postgres}"), wait_for_postgres),
            context.ui.run(format!("DynamoDB: wait for {dynamodb}"), wait_for_dynamodb)
        )?;
        Ok((maintenance, client))
    }

    /// Returns `result`. In CI, a failure shows the databases' last log lines, which cannot be read later.
    async fn explain_failure<T>(&self, context: &Context, result: Result<T>) -> Result<T> {
        if result.is_err() && context.environment.is_ci() {
            let _group = context.ui.group("The databases' last logs");
            let mut text = Vec::new();
            for (name, database) in [("postgres", Database::Postgres), ("dynamodb", Database::DynamoDb)] {
                text.extend(format!("--- {name} ---\n").bytes());
                let range = LogRange { tail: Some(CI_LOG_LINES), follow: false };
                let mut sink = |chunk: &[u8]| {
                    text.extend(chunk);
                    Ok(())
                };
                if let Err(error) = self.engine.logs(context, database, range, &mut sink).await {
                    text.extend(format!("{error:#}\n").bytes());
                }
            }
            context.ui.line(String::from_utf8_lossy(&text).trim_end());
        }
        result
    }

    /// Checks until the database answers, and regularly whether its server still lives.
    async fn wait<T>(&self, database: Database, look: impl AsyncFn() -> Look<T>, remedy: &str) -> Result<T> {
        let is_ours = self.engine.starts_servers();
        let started = Instant::now();
        let life_seen = Cell::new(started);
        let waited = poll::until_ready(READY_BOUND, LOOK_INTERVAL, async || {
            // A server may accept a connection and never answer.
            let looked = tokio::time::timeout(CHECK_BOUND, look()).await;
            let looked =
                looked.unwrap_or_else(|_| Look::NotYet(format!("no answer within {}", seconds(CHECK_BOUND))));
            match looked {
                // If our server has ended, another one may have taken its port: perhaps another checkout's.
                Look::Ready(_) => self.death(database).await.map_or(looked, Look::Failed),
                Look::Failed(error) => Look::Failed(self.death(database).await.unwrap_or(error)),
                Look::Nobody(reason) if !is_ours && started.elapsed() > NOBODY_BOUND => {
                    Look::Failed(anyhow!("nobody listens there, for {}: {reason}", seconds(NOBODY_BOUND)))
                }
                looked if life_seen.get().elapsed() > LIFE_INTERVAL => {
                    life_seen.set(Instant::now());
                    self.death(database).await.map_or(looked, Look::Failed)
                }
                looked => looked,
            }
        });
        waited.await.map_err(|error| match error.is::<Failure>() {
            true => error,
            false => Failure::unreachable("it does not answer", remedy).caused_by(error).into(),
        })
    }

    async fn death(&self, database: Database) -> Option<anyhow::Error> {
        let death = self.engine.death(database).await;
        if death.is_some() && self.engine.found_running(database) {
            self.was_being_stopped.set(true);
        }
        death
    }
}
