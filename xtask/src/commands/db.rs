//! `cargo xtask db`: the Postgres commands. Their steps are in `steps`.

mod steps;

use crate::error::Failure;
use crate::facts::Facts;
use crate::postgres::script::Script;
use crate::postgres::target::readable;
use crate::process;
use crate::targets::PostgresTarget;
use crate::ui::Ui;
use anyhow::{Context as _, Result};
use backend_flask::sql;
use clap::Subcommand;
use postgres::Client;
use postgres::types::Type;
use serde_json::{Value, json};
use xshell::{Shell, cmd};

pub(crate) use steps::{counts, explain, set_up_missing, setup};
use steps::{create, drop, load, take_turn};

use crate::context::Context;
use crate::guard::{Guard, Rehearsal};
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// Create the database
    Create(Writing),
    /// Drop the database, and end the sessions in it
    Drop(Guarded),
    /// Load backend-flask-rs/db/schema.sql: all of it or nothing
    SchemaLoad(Guarded),
    /// Load backend-flask-rs/db/seed.sql: all of it or nothing
    Seed(Guarded),
    /// Drop the database if it exists, create it, load the schema, seed it
    Setup(Guarded),
    /// Open psql on the database
    Connect(Target),
    /// List the sessions of other clients
    Sessions(Target),
    /// End the sessions of other clients in the database
    KillAll(Guarded),
    /// Connect and ask how many rows there are
    Test(Target),
}

/// Which Postgres.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// Production's, which PROD_CONNECTION_URL names; `prod` as the last word means the same
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
    async fn resolve(&self, context: &Context) -> Result<PostgresTarget> {
        context.postgres(self.prod).await
    }
}

impl Writing {
    /// The target; none where the deed has been rehearsed only.
    async fn resolve(&self, context: &Context, deed: &str) -> Result<Option<PostgresTarget>> {
        let target = self.target.resolve(context).await?;
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
            guard.pass(&context.ui, self.confirm.as_deref()).await?;
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
            Self::Create(writing) => {
                let Some(target) = writing.resolve(context, "create the database").await? else {
                    return Ok(());
                };
                let mut maintenance = target.maintenance().connect().await?;
                take_turn(ui, &mut maintenance).await?;
                create(ui, &mut maintenance, target.database()).await
            }
            Self::Drop(guarded) => {
                let Some(target) = guarded.resolve(context, "drop the database").await? else {
                    return Ok(());
                };
                let mut maintenance = target.maintenance().connect().await?;
                take_turn(ui, &mut maintenance).await?;
                drop(ui, &mut maintenance, target.database()).await
            }
            Self::SchemaLoad(guarded) => {
                let deed = "replace the tables and lose their rows";
                let Some(target) = guarded.resolve(context, deed).await? else { return Ok(()) };
                load(ui, &mut target.connect().await?, Script::schema(&context.root)?).await
            }
            Self::Seed(guarded) => {
                let deed = "overwrite the seed's rows";
                let Some(target) = guarded.resolve(context, deed).await? else { return Ok(()) };
                load(ui, &mut target.connect().await?, Script::seed(&context.root)?).await
            }
            Self::Setup(guarded) => {
                let deed = "drop and create the database";
                let Some(target) = guarded.resolve(context, deed).await? else { return Ok(()) };
                setup(context, &mut target.maintenance().connect().await?, &target).await.map(|_| ())
            }
            Self::Connect(target) => connect(context, &target.resolve(context).await?),
            Self::Sessions(target) => sessions(context, &target.resolve(context).await?).await,
            Self::KillAll(guarded) => {
                let Some(target) = guarded.resolve(context, "end all sessions").await? else {
                    return Ok(());
                };
                kill_all(ui, &target).await
            }
            Self::Test(target) => test(context, &target.resolve(context).await?).await,
        }
    }
}

impl Db {
    /// What it changes, and what to call it, for a command that changes something.
    fn changes(&self) -> Option<(&Writing, &'static str)> {
        match self {
            Self::Create(writing) => Some((writing, "db create")),
            Self::Drop(guarded) => Some((&guarded.writing, "db drop")),
            Self::SchemaLoad(guarded) => Some((&guarded.writing, "db schema-load")),
            Self::Seed(guarded) => Some((&guarded.writing, "db seed")),
            Self::Setup(guarded) => Some((&guarded.writing, "db setup")),
            Self::Connect(_) | Self::Sessions(_) | Self::KillAll(_) | Self::Test(_) => None,
        }
    }
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

async fn test(context: &Context, target: &PostgresTarget) -> Result<()> {
    let count = {
        let place = target.to_string();
        move |client: &mut Client| counts(client).with_context(|| format!("in {place}"))
    };
    let [users, activities] = target.ask(count).await?;
    let row = vec![json!(target.to_string()), json!(users), json!(activities)];
    output::print_rows(context.format, &["database", "users", "activities"], vec![row])
}
