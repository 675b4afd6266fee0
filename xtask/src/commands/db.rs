//! `cargo xtask db`: the Postgres commands.

use std::time::Duration;

use anyhow::{Context as _, Result};
use backend_flask::sql::{self, Script};
use clap::Subcommand;
use postgres::Client;
use postgres::error::SqlState;
use postgres::types::Type;
use serde_json::{Value, json};
use xshell::{Shell, cmd};
use xtask_base::failure::Failure;
use xtask_base::process;
use xtask_base::ui::Ui;
use xtask_databases::facts::Facts;
use xtask_databases::target::PostgresTarget;
use xtask_databases::target::postgres::{Connection, STATEMENT_BOUND, readable, readable_script};

use super::lazy::Lazy;
use crate::context::Context;
use crate::engine::own::Evidence;
use crate::guard::{Guard, Rehearsal};
use crate::output;

/// How long another command's session may take to create or drop a database: as long as a few statements.
const TURN_BOUND: Duration = STATEMENT_BOUND.saturating_mul(3);

/// When a user who waits for that is told so.
const TURN_TOLD_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// Create the database
    Create(Lazy<Writing>),
    /// Drop the database, and end the sessions in it
    Drop(Lazy<Guarded>),
    /// Load backend-flask-rs/db/schema.sql: all of it or nothing
    SchemaLoad(Lazy<Guarded>),
    /// Load backend-flask-rs/db/seed.sql: all of it or nothing
    Seed(Lazy<Guarded>),
    /// Drop the database if it exists, create it, load the schema, seed it
    Setup(Lazy<Guarded>),
    /// Open psql on the database
    Connect(Lazy<Target>),
    /// List the sessions of other clients
    Sessions(Lazy<Target>),
    /// End the sessions of other clients in the database
    KillAll(Lazy<Guarded>),
    /// Connect and ask how many rows there are
    Test(Lazy<Target>),
}

/// Which Postgres.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// Production's: PROD_CONNECTION_URL says where
    #[arg(long)]
    prod: bool,
}

/// Which Postgres, for a command that writes.
#[derive(Debug, clap::Args)]
pub(crate) struct Writing {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

/// Which Postgres, for a command that destroys or overwrites.
#[derive(Debug, clap::Args)]
pub(crate) struct Guarded {
    #[command(flatten)]
    writing: Writing,
    /// With --prod: the database's name, instead of typing it
    #[arg(long, value_name = "NAME", requires = "prod")]
    confirm: Option<String>,
}

impl Target {
    async fn resolve(&self, context: &Context, evidence: Evidence) -> Result<PostgresTarget> {
        context.postgres(self.prod, evidence).await
    }
}

impl Writing {
    /// The target; none where the deed has been rehearsed only.
    async fn resolve(&self, context: &Context, deed: &str) -> Result<Option<PostgresTarget>> {
        let target = self.target.resolve(context, Evidence::Sight).await?;
        if self.rehearsal.dry_run {
            let facts = [Facts::of_postgres(&target).await?];
            let guard = Guard {
                deed,
                facts: &facts,
                name: target.database(),
                production: self.target.prod,
                hint: "",
            };
            guard.rehearse(&context.ui);
            return Ok(None);
        }
        Ok(Some(target))
    }
}

impl Guarded {
    /// The target, once it is certain that the user means it; none where the deed has been rehearsed only.
    async fn resolve(&self, context: &Context, deed: &str) -> Result<Option<PostgresTarget>> {
        let target = self.writing.resolve(context, deed).await?;
        if let (Some(target), true) = (&target, self.writing.target.prod) {
            let facts = [Facts::of_postgres(target).await?];
            let guard =
                Guard { deed, facts: &facts, name: target.database(), production: true, hint: NO_BACKUP };
            guard.pass(&context.ui, self.confirm.as_deref())?;
        }
        Ok(target)
    }
}

/// What is said before Postgres's data is changed.
const NO_BACKUP: &str = "no backup is made first: `pg_dump` makes one";

impl Db {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let ui = &context.ui;
        let _lock = match self.changes() {
            Some((writing, doing)) => {
                ui.stop.remedy("run the same command again: each of its steps was done whole, or not at all");
                writing.rehearsal.lock(context, writing.target.prod, doing).await?
            }
            None => None,
        };
        match self {
            Self::Create(Lazy(writing)) => {
                let Some(target) = writing.resolve(context, "create the database").await? else {
                    return Ok(());
                };
                let mut maintenance = target.maintenance().connect().await?;
                take_turn(ui, &mut maintenance).await?;
                create(ui, &mut maintenance, target.database()).await
            }
            Self::Drop(Lazy(guarded)) => {
                let Some(target) = guarded.resolve(context, "drop the database").await? else {
                    return Ok(());
                };
                let mut maintenance = target.maintenance().connect().await?;
                take_turn(ui, &mut maintenance).await?;
                drop(ui, &mut maintenance, target.database()).await
            }
            Self::SchemaLoad(Lazy(guarded)) => {
                let deed = "replace the tables and lose their rows";
                let Some(target) = guarded.resolve(context, deed).await? else { return Ok(()) };
                load(ui, &mut target.connect().await?, sql::SCHEMA).await
            }
            Self::Seed(Lazy(guarded)) => {
                let deed = "overwrite the seed's rows";
                let Some(target) = guarded.resolve(context, deed).await? else { return Ok(()) };
                load(ui, &mut target.connect().await?, sql::SEED).await
            }
            Self::Setup(Lazy(guarded)) => {
                let deed = "drop and recreate the database";
                let Some(target) = guarded.resolve(context, deed).await? else { return Ok(()) };
                setup(ui, &mut target.maintenance().connect().await?, &target).await.map(|_| ())
            }
            Self::Connect(Lazy(target)) => connect(context, &target.resolve(context, Evidence::Sight).await?),
            Self::Sessions(Lazy(target)) => {
                sessions(context, &target.resolve(context, Evidence::Memory).await?).await
            }
            Self::KillAll(Lazy(guarded)) => {
                let Some(target) = guarded.resolve(context, "end all sessions").await? else {
                    return Ok(());
                };
                kill_all(ui, &target).await
            }
            Self::Test(Lazy(target)) => {
                test(context, &target.resolve(context, Evidence::Memory).await?).await
            }
        }
    }
}

impl Db {
    /// What it changes, and what to call it, for a command that changes something.
    fn changes(&self) -> Option<(&Writing, &'static str)> {
        match self {
            Self::Create(Lazy(writing)) => Some((writing, "db create")),
            Self::Drop(Lazy(guarded)) => Some((&guarded.writing, "db drop")),
            Self::SchemaLoad(Lazy(guarded)) => Some((&guarded.writing, "db schema-load")),
            Self::Seed(Lazy(guarded)) => Some((&guarded.writing, "db seed")),
            Self::Setup(Lazy(guarded)) => Some((&guarded.writing, "db setup")),
            Self::Connect(_) | Self::Sessions(_) | Self::KillAll(_) | Self::Test(_) => None,
        }
    }
}

/// All of Postgres's steps, in order. `maintenance` is a connection to the server's maintenance
/// database; returned is one to the new database.
///
/// # Errors
/// The first step that failed.
pub(crate) async fn setup(
    ui: &Ui,
    maintenance: &mut Connection,
    target: &PostgresTarget,
) -> Result<Connection> {
    take_turn(ui, maintenance).await?;
    drop(ui, maintenance, target.database()).await?;
    create(ui, maintenance, target.database()).await?;
    let mut connection = target.connect().await?;
    load(ui, &mut connection, sql::SCHEMA).await?;
    load(ui, &mut connection, sql::SEED).await?;
    Ok(connection)
}

/// Postgres's steps that are still to do: a database, tables or users that are there stay as they are.
/// `maintenance` is a connection to the server's maintenance database; returned is one to the database.
///
/// # Errors
/// A step failed, or only one of the tables is there.
pub(crate) async fn set_up_missing(
    ui: &Ui,
    mut maintenance: Connection,
    target: &PostgresTarget,
) -> Result<Connection> {
    take_turn(ui, &mut maintenance).await?;
    let name = target.database().to_owned();
    let has_database = maintenance.with(move |client| {
        let row = client.query_typed_opt(sql::HAS_DATABASE, &[(&name, Type::TEXT)]);
        Ok(row.map_err(readable)?.is_some())
    });
    if !has_database.await? {
        create(ui, &mut maintenance, target.database()).await?;
    }
    let mut connection = target.connect().await?;
    let has_tables = connection.with(|client| {
        let row = client.query_typed_one(sql::HAS_TABLES, &[]).map_err(readable)?;
        Ok((row.try_get("users")?, row.try_get("activities")?))
    });
    match has_tables.await? {
        (true, true) => {}
        (false, false) => load(ui, &mut connection, sql::SCHEMA).await?,
        _ => {
            let remedy =
                "load the schema with `cargo xtask db schema-load`, which replaces them and loses their rows";
            return Err(Failure::new(format!("{target} has only one of its two tables"), remedy).into());
        }
    }
    if connection.with(counts).await?[0] == 0 {
        load(ui, &mut connection, sql::SEED).await?;
    }
    Ok(connection)
}

/// Waits until the session of another command, perhaps one that was killed, has ended its work.
async fn take_turn(ui: &Ui, maintenance: &mut Connection) -> Result<()> {
    let shown = maintenance.target.to_string();
    let lock =
        maintenance.with_within(TURN_BOUND, |client| client.batch_execute(sql::LOCK).map_err(readable));
    let mut lock = std::pin::pin!(lock);
    let locked = match tokio::time::timeout(TURN_TOLD_AFTER, &mut lock).await {
        Ok(locked) => locked,
        Err(_) => {
            ui.line(format_args!("waiting for another session to create or drop a database at {shown}"));
            lock.await
        }
    };
    locked.context("another session is creating or dropping a database, or the server is stuck")
}

async fn create(ui: &Ui, maintenance: &mut Connection, database: &str) -> Result<()> {
    let label = format!("Postgres: create database {database}");
    let statement = sql::create_database(database);
    let database = database.to_owned();
    let work = maintenance.with(move |client| {
        client.batch_execute(&statement).map_err(|error| match error.code() {
            Some(&SqlState::DUPLICATE_DATABASE) => {
                let remedy =
                    "drop it first with `cargo xtask db drop`, or do both with `cargo xtask db setup`";
                Failure::new(format!("database {database} exists already"), remedy).into()
            }
            _ => readable(error),
        })
    });
    ui.run_whole(label, work).await
}

async fn drop(ui: &Ui, maintenance: &mut Connection, database: &str) -> Result<()> {
    let in_it = sessions_in(maintenance, database).await?;
    if !in_it.is_empty() {
        ui.line(format_args!("dropping {database} ends the sessions of {}", in_it.join(", ")));
    }
    let statement = sql::drop_database(database);
    let work = maintenance.with(move |client| client.batch_execute(&statement).map_err(readable));
    ui.run_whole(format!("Postgres: drop database {database} if it exists"), work).await
}

/// Who else is connected to a database.
async fn sessions_in(maintenance: &mut Connection, database: &str) -> Result<Vec<String>> {
    let database = database.to_owned();
    let rows = maintenance.with(move |client| {
        let rows = client.query_typed(sql::SESSIONS, &[]).map_err(readable)?;
        let in_it = |row: &postgres::Row| -> Result<Option<String>, postgres::Error> {
            let text = |column| Ok(row.try_get::<_, Option<String>>(column)?.unwrap_or_default());
            let (user, application) = (text("usename")?, text("application_name")?);
            let shown = format!("{user} ({application}, pid {})", row.try_get::<_, i32>("pid")?);
            Ok((text("datname")? == database).then_some(shown))
        };
        rows.iter().filter_map(|row| in_it(row).transpose()).collect::<Result<Vec<_>, _>>().map_err(readable)
    });
    rows.await.context("cannot ask who is connected")
}

async fn load(ui: &Ui, connection: &mut Connection, script: Script) -> Result<()> {
    let label = format!("Postgres: load {} into {}", script.path, connection.target.database());
    let work = connection.with_patience(ui, move |client| script.run(client).map_err(readable_script));
    ui.run_whole(label, work).await.map(|_| ())
}

/// Settings of libpq's that would lead psql elsewhere than the other commands.
/// <https://www.postgresql.org/docs/current/libpq-envars.html>
const UNUSED: [&str; 21] = [
    "PGHOSTADDR",
    "PGPASSWORD",
    "PGSERVICE",
    "PGOPTIONS",
    "PGCONNECT_TIMEOUT",
    "PGTARGETSESSIONATTRS",
    "PGLOADBALANCEHOSTS",
    "PGREQUIREAUTH",
    "PGCHANNELBINDING",
    "PGREQUIREPEER",
    "PGGSSENCMODE",
    "PGSSLMODE",
    "PGREQUIRESSL",
    "PGSSLNEGOTIATION",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMAXPROTOCOLVERSION",
];

/// psql takes its settings from the environment: the password is in no process list.
fn connect(context: &Context, target: &PostgresTarget) -> Result<()> {
    let shell = Shell::new()?;
    let psql = UNUSED.iter().fold(cmd!(shell, "psql"), |psql, name| psql.env_remove(name));
    let psql = psql.envs(target.libpq_environment());
    context.ui.line(format_args!("$ psql ({target})"));
    process::become_program(&mut std::process::Command::from(psql)).map_err(|error| {
        let remedy = "install PostgreSQL's client (Debian: `apt install postgresql-client`; macOS: `brew install libpq`)";
        Failure::new("cannot run psql", remedy).caused_by(error).into()
    })
}

async fn sessions(context: &Context, target: &PostgresTarget) -> Result<()> {
    let ask = |client: &mut Client| {
        let rows = client.query_typed(sql::SESSIONS, &[]).map_err(readable)?;
        rows.iter().map(session).collect::<Result<Vec<_>, _>>().context("cannot read pg_stat_activity")
    };
    let rows = target.ask(ask).await?;
    output::print_rows(
        context.format,
        &["pid", "user", "database", "client", "application", "state", "query_s", "session_s"],
        rows,
    )
}

fn session(row: &postgres::Row) -> Result<Vec<Value>, postgres::Error> {
    let text = |column: &str| row.try_get::<_, Option<String>>(column).map(|text| json!(text));
    let seconds = |column: &str| {
        let seconds = row.try_get::<_, Option<f64>>(column)?;
        Ok::<_, postgres::Error>(json!(seconds.map(|seconds| (seconds * 10.0).round() / 10.0)))
    };
    Ok(vec![
        json!(row.try_get::<_, i32>("pid")?),
        text("usename")?,
        text("datname")?,
        text("client_addr")?,
        text("application_name")?,
        text("state")?,
        seconds("query_seconds")?,
        seconds("session_seconds")?,
    ])
}

async fn kill_all(ui: &Ui, target: &PostgresTarget) -> Result<()> {
    let mut maintenance = target.maintenance().connect().await?;
    let database = target.database().to_owned();
    let _held = ui.stop.hold().await;
    let step = ui.step(format!("Postgres: end the other sessions in {target}"));
    let ended = maintenance.with(move |client| {
        let rows = client.query_typed(sql::KILL_SESSIONS, &[(&database, Type::TEXT)]).map_err(readable)?;
        rows.iter().map(|row| Ok(row.try_get::<_, i32>("pid")?)).collect::<Result<Vec<_>>>()
    });
    match ended.await {
        Ok(pids) if pids.is_empty() => step.done("there were none"),
        Ok(pids) => {
            let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
            step.done(&format!("ended {} (pid {})", pids.len(), pids.join(", ")));
        }
        Err(error) => return Err(error.context(step.failed())),
    }
    Ok(())
}

/// How many users and activities there are.
///
/// # Errors
/// The tables are not there, or cannot be read.
pub(crate) fn counts(client: &mut Client) -> Result<[i64; 2]> {
    let row = client.query_typed_one(sql::COUNTS, &[]).map_err(explain)?;
    Ok([row.try_get("users")?, row.try_get("activities")?])
}

/// What a query for the tables' rows says where they are not there; else the server's own words.
pub(crate) fn explain(error: postgres::Error) -> anyhow::Error {
    match error.code() {
        Some(&SqlState::UNDEFINED_TABLE) => {
            let remedy = "load the schema with `cargo xtask db schema-load`";
            Failure::new("the tables are not there", remedy).caused_by(readable(error)).into()
        }
        _ => readable(error),
    }
}

async fn test(context: &Context, target: &PostgresTarget) -> Result<()> {
    let count = {
        let place = target.to_string();
        move |client: &mut Client| counts(client).with_context(|| format!("in {place}"))
    };
    let [users, activities] = target.ask(count).await?;
    let row = vec![json!(target.to_string()), json!(users), json!(activities)];
    output::print_rows(context.format, &["database", "users", "activities"], vec![row])
}
