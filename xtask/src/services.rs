//! Starting the two databases on the engine that fits, and waiting until they really answer.

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
use crate::engine::{self, Database, Engine, LogRange};
use crate::state::Lock;

/// How long a database may take from its start to its first answer.
const READY_BOUND: Duration = Duration::from_secs(60);

/// How often it is asked. A look costs about a millisecond.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How long one look may take.
const LOOK_BOUND: Duration = Duration::from_secs(10);

/// How long one that somebody else runs may have nobody listen where it should be.
const NOBODY_BOUND: Duration = Duration::from_secs(3);

/// How often one that does not answer is looked at whether it lives.
const LIFE_INTERVAL: Duration = Duration::from_millis(300);

/// How much of each database's log a failure shows in CI.
const CI_LOG_LINES: usize = 30;

/// The two databases, started but perhaps not ready. No other command of this checkout changes them
/// while this lives.
pub(crate) struct Services {
    pub(crate) targets: Targets,
    pub(crate) engine: Engine,
    /// One that was found running ended before it answered: it was being stopped.
    was_being_stopped: Cell<bool>,
    _lock: Lock,
}

impl Services {
    /// Starts what is not running, and does `work` with both; in CI a failure shows what the databases logged last.
    /// Where one of them is being stopped at this moment, by a run that was interrupted, say, both are started again
    /// behind that. `doing` is the command, for others that have to wait.
    pub(crate) async fn with<T>(
        context: &Context,
        doing: &str,
        work: impl AsyncFn(&Self) -> Result<T>,
    ) -> Result<(Self, T)> {
        // Each of the two may still be there when the other one has ended.
        let mut again = 2;
        loop {
            let services = {
                let _group = context.ui.group("Start the databases");
                Self::start(context, doing).await?
            };
            let done = work(&services).await;
            if done.is_err() && again > 0 && services.was_being_stopped.get() {
                context.ui.line("it was being stopped, and is started again");
                again -= 1;
                continue;
            }
            let done = services.explain_failure(context, done).await?;
            return Ok((services, done));
        }
    }

    /// Starts what is not running, both at once. Whatever could stop one of them from starting is looked
    /// for in both before either is touched. `doing` is the command, for others that have to wait.
    async fn start(context: &Context, doing: &str) -> Result<Self> {
        let ui = &context.ui;
        let lock = context.state.lock(ui, doing).await?;
        let mut state = context.state.read(ui)?;
        let (mut engine, why) = engine::choose(context, &state).await?;
        ui.note(format_args!("engine {}: {why}", engine.name()));
        engine.start(context).await?;
        engine.remember(context, &mut state)?;
        let targets = engine.targets(context)?;
        Ok(Self { targets, engine, was_being_stopped: Cell::new(false), _lock: lock })
    }

    /// Waits until Postgres answers a query; returns the connection, to the maintenance database.
    pub(crate) async fn postgres_ready(&self, context: &Context) -> Result<Connection> {
        let target = &self.targets.postgres;
        let wait = self.wait(Database::Postgres, async || target.look().await, target.remedy());
        context.ui.run(format!("Postgres: wait for {target}"), wait).await
    }

    /// Waits until both answer.
    pub(crate) async fn both_ready(&self, context: &Context) -> Result<(Connection, DynamoDb)> {
        tokio::try_join!(self.postgres_ready(context), self.dynamodb_ready(context))
    }

    /// Hands a result on. In CI, where nobody can look later, a failure shows what the databases logged last.
    async fn explain_failure<T>(&self, context: &Context, result: Result<T>) -> Result<T> {
        if result.is_err() && context.environment.is_ci() {
            let _group = context.ui.group("The databases' last logs");
            let logs = self.last_logs(context).await.unwrap_or_else(|error| format!("{error:#}"));
            context.ui.line(logs.trim_end());
        }
        result
    }

    async fn last_logs(&self, context: &Context) -> Result<String> {
        let mut text = Vec::new();
        for (name, database) in [("postgres", Database::Postgres), ("dynamodb", Database::DynamoDb)] {
            text.extend(format!("--- {name} ---\n").bytes());
            let mut sink = |chunk: &[u8]| {
                text.extend(chunk);
                Ok(())
            };
            let range = LogRange { tail: Some(CI_LOG_LINES), follow: false };
            self.engine.logs(context, database, range, &mut sink).await?;
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Waits until DynamoDB answers a signed request; returns what asked.
    pub(crate) async fn dynamodb_ready(&self, context: &Context) -> Result<DynamoDb> {
        let target = &self.targets.dynamodb;
        let dynamodb = DynamoDb::new(target, &context.ui).await?;
        let wait = self.wait(Database::DynamoDb, async || dynamodb.look().await, &target.remedy);
        context.ui.run(format!("DynamoDB: wait for {target}"), wait).await?;
        Ok(dynamodb)
    }

    /// Looks until the database answers, and now and then whether it lives.
    async fn wait<T>(&self, database: Database, look: impl AsyncFn() -> Look<T>, remedy: &str) -> Result<T> {
        let is_ours = self.engine.starts_servers();
        let started = Instant::now();
        let life_seen = Cell::new(started);
        let waited = poll::until_ready(READY_BOUND, LOOK_INTERVAL, async || {
            // A server may accept a connection and then say nothing.
            let looked = tokio::time::timeout(LOOK_BOUND, look()).await;
            let looked =
                looked.unwrap_or_else(|_| Look::NotYet(format!("no answer within {}", seconds(LOOK_BOUND))));
            match looked {
                Look::Ready(_) => looked,
                // If ours has ended, another program at its port may have refused.
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
            false => Failure::new("it does not answer", remedy).caused_by(error).into(),
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
