//! `cargo xtask db`: the Postgres commands. Their steps are in `steps`.

mod steps;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::Failure;
use crate::facts::Facts;
use crate::postgres::client;
use crate::postgres::script::{SCHEMA, SEED, Script};
use crate::postgres::target::readable;
use crate::process;
use crate::record::Record;
use crate::targets::PostgresTarget;
use crate::ui::Ui;
use anyhow::{Context as _, Result};
use backend_flask::sql;
use clap::Subcommand;
use postgres::Client;
use postgres::types::Type;
use serde_json::{Value, json};
use xshell::{Shell, cmd};

pub(crate) use steps::{counts, explain, leaving, make_anew, may_create, setup};
use steps::{create, drop_database, exists_already, load, take_turn};

use super::snapshot::Databases;
use super::target::{Guarded, Reading, Target, Writing};
use super::undo::{self, Undo};
use crate::context::Context;
use crate::engine::embedded;
use crate::guard;
use crate::output::{self, Output};
use crate::state::Lock;

#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// Create the database
    #[command(after_long_help = "Examples:
  cargo xtask db create")]
    Create(Writing),
    /// Drop the database, and end the sessions in it
    #[command(after_long_help = "Examples:
  cargo xtask db drop
  cargo xtask db drop --prod --dry-run")]
    Drop(Losing),
    /// Replace the tables with empty ones
    ///
    /// Runs backend-flask-rs/db/schema.sql in one transaction: all of it takes effect, or nothing.
    #[command(after_long_help = "Examples:
  cargo xtask db schema-load")]
    SchemaLoad(Losing),
    /// Write the seed's users and activities
    ///
    /// Runs backend-flask-rs/db/seed.sql in one transaction: all of it takes effect, or nothing. Other rows stay.
    #[command(after_long_help = "Examples:
  cargo xtask db seed")]
    Seed(Guarded),
    /// Drop the database, create it, load the schema, seed it
    #[command(after_long_help = "Examples:
  cargo xtask db setup")]
    Setup(Losing),
    /// Open psql on the database
    #[command(after_long_help = "Examples:
  cargo xtask db connect
  cargo xtask db connect -c \"select handle from users\"
  cargo xtask db connect -- --csv --file report.sql")]
    Connect(Connect),
    /// List the sessions of other clients
    #[command(after_long_help = "Examples:
  cargo xtask db sessions
  cargo xtask db sessions --vertical")]
    Sessions(Reading),
    /// End the sessions of other clients in the database
    #[command(after_long_help = "Examples:
  cargo xtask db kill-all")]
    KillAll(Guarded),
    /// Connect, and count the rows
    #[command(after_long_help = "Examples:
  cargo xtask db test
  cargo xtask db test -o json")]
    Test(Reading),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Connect {
    /// Run this SQL, and end
    #[arg(short, long, value_name = "SQL")]
    command: Option<String>,
    /// Arguments for psql
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
    #[command(flatten)]
    target: Target,
}

/// A command that deletes or overwrites rows.
#[derive(Debug, clap::Args)]
pub(crate) struct Losing {
    #[command(flatten)]
    guarded: Guarded,
    #[command(flatten)]
    undo: Undo,
}

/// Printed before Postgres's data is changed.
const NO_BACKUP: &str = "no backup is made first: `pg_dump` makes one";

impl Target {
    async fn postgres(self, context: &Context) -> Result<PostgresTarget> {
        context.postgres(self.prod).await
    }
}

/// The state that a command needs. Its dry run checks it.
#[derive(Clone, Copy)]
enum Needs {
    Server,
    /// The right to create databases.
    ToCreate,
    NoDatabase,
    Database,
    Tables,
}

impl Needs {
    async fn check(self, target: &PostgresTarget) -> Result<()> {
        match self {
            Self::Server => {}
            Self::ToCreate => may_create(&mut target.maintenance().connect().await?).await?,
            Self::NoDatabase => {
                if target.connect_if_there().await?.is_some() {
                    return Err(exists_already(target.database(), target.prod).into());
                }
                may_create(&mut target.maintenance().connect().await?).await?;
            }
            Self::Database => drop(target.connect().await?),
            Self::Tables => {
                let prod = target.prod;
                target.ask(move |client| counts(client, prod)).await?;
            }
        }
        Ok(())
    }
}

impl Writing {
    /// The target, or `None` if this is a dry run.
    async fn postgres(self, context: &Context, deed: &str, needs: Needs) -> Result<Option<PostgresTarget>> {
        context.ui.stop.remedy("run the same command again: each step was completed or had no effect");
        let target = self.target.postgres(context).await?;
        if self.rehearsal.dry_run {
            needs.check(&target).await?;
            let facts = [Facts::of_postgres(&target).await?];
            guard::rehearse(&context.ui, self.target.prod, deed, &facts);
            return Ok(None);
        }
        Ok(Some(target))
    }
}

impl Guarded {
    /// The target, once the user has confirmed; `None` if this is a dry run.
    async fn postgres(&self, context: &Context, deed: &str, needs: Needs) -> Result<Option<PostgresTarget>> {
        let target = self.writing.postgres(context, deed, needs).await?;
        if let (Some(target), true) = (&target, self.is_production()) {
            let facts = [Facts::of_postgres(target).await?];
            self.pass(context, deed, &facts, target.database(), NO_BACKUP).await?;
        }
        Ok(target)
    }
}

impl Losing {
    /// The target of the command with this name, locked, once the user has confirmed and what would be lost is saved;
    /// `None` if this is a dry run.
    async fn begin(
        &self,
        context: &Context,
        command: &str,
        deed: &str,
        needs: Needs,
    ) -> Result<Option<(PostgresTarget, Option<Lock>)>> {
        let lock = self.guarded.lock(context, command).await?;
        let Some(target) = self.guarded.postgres(context, deed, needs).await? else { return Ok(None) };
        let lost = Databases { postgres: Some(&target), dynamodb: None };
        self.undo.keep(context, lost, &command.replace(' ', "-"), None).await?;
        Ok(Some((target, lock)))
    }
}

impl Db {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let ui = &context.ui;
        match self {
            Self::Create(writing) => {
                let deed = "create the database";
                let _lock = writing.lock(context, "db create").await?;
                let Some(target) = writing.postgres(context, deed, Needs::NoDatabase).await? else {
                    return Ok(());
                };
                let mut maintenance = target.maintenance().connect().await?;
                take_turn(ui, &mut maintenance).await?;
                let _held = ui.stop.hold().await;
                create(ui, &mut maintenance, target.database()).await
            }
            Self::Drop(losing) => {
                let deed = "drop the database";
                let begun = losing.begin(context, "db drop", deed, Needs::Server).await?;
                let Some((target, _lock)) = begun else { return Ok(()) };
                let mut maintenance = target.maintenance().connect().await?;
                take_turn(ui, &mut maintenance).await?;
                let _held = ui.stop.hold().await;
                drop_database(ui, &mut maintenance, target.database()).await
            }
            Self::SchemaLoad(losing) => {
                let deed = "replace the tables and lose their rows";
                let schema = Script::read(&context.root, SCHEMA)?;
                let begun = losing.begin(context, "db schema-load", deed, Needs::Database).await?;
                let Some((target, _lock)) = begun else { return Ok(()) };
                let mut connection = target.connect().await?;
                let _held = ui.stop.hold().await;
                load(ui, &mut connection, schema).await?;
                if losing.guarded.is_production() {
                    return Ok(());
                }
                let note = move |client: &mut Client| {
                    Record::of_new_tables(Record::read(client)?).write(client, target.database())
                };
                connection.with(note).await
            }
            Self::Seed(guarded) => {
                let deed = "overwrite the seed's rows";
                let seed = Script::read(&context.root, SEED)?;
                let _lock = guarded.lock(context, "db seed").await?;
                let Some(target) = guarded.postgres(context, deed, Needs::Tables).await? else {
                    return Ok(());
                };
                let _held = ui.stop.hold().await;
                let load = async { load(ui, &mut target.connect().await?, seed).await };
                undo::seeding(&guarded, &target, None, None, load).await
            }
            Self::Setup(losing) => {
                let deed = "drop and create the database";
                let begun = losing.begin(context, "db setup", deed, Needs::ToCreate).await?;
                let Some((target, _lock)) = begun else { return Ok(()) };
                let record = (!losing.guarded.is_production())
                    .then_some(Record::of_new_tables(target.ask(Record::read).await.ok().flatten()));
                let mut maintenance = target.maintenance().connect().await?;
                setup(context, &mut maintenance, &target, record).await.map(|_| ())
            }
            Self::Connect(connect) => connect.run(context).await,
            Self::Sessions(Reading { output, target }) => {
                sessions(output, &target.postgres(context).await?).await
            }
            Self::KillAll(guarded) => {
                // Takes no lock, because this command may have to free the one that holds it.
                let deed = "end all sessions";
                let Some(target) = guarded.postgres(context, deed, Needs::Server).await? else {
                    return Ok(());
                };
                kill_all(ui, &target).await
            }
            Self::Test(Reading { output, target }) => test(output, &target.postgres(context).await?).await,
        }
    }
}

impl Connect {
    async fn run(self, context: &Context) -> Result<()> {
        let target = self.target.postgres(context).await?;
        // psql's own error does not say what to do.
        let is_encrypted = target.connect().await?.is_encrypted;
        let target = target.connected_likewise(is_encrypted);
        let (command, arguments) = (self.command.map(|sql| ["--command".to_owned(), sql]), self.arguments);
        let command = command.into_iter().flatten();
        let shell = Shell::new()?;
        let program = psql(context).unwrap_or_else(|| "psql".into());
        let mut psql = std::process::Command::from(cmd!(shell, "{program} {command...} {arguments...}"));
        client::lead_to(&mut psql, &target);
        context.ui.note(format_args!("$ psql ({target})"));
        context.ui.starts(|| process::shown(&psql));
        process::become_program(&mut psql)
            .map_err(|error| Failure::new("cannot run psql", client::INSTALL).caused_by(error).into())
    }
}

/// The psql on PATH, or else the one that was installed with the embedded engine's server.
pub(super) fn psql(context: &Context) -> Option<PathBuf> {
    let path = context.environment.process_only("PATH").unwrap_or_default();
    let program = format!("psql{}", std::env::consts::EXE_SUFFIX);
    let on_path = std::env::split_paths(path).map(|folder| folder.join(&program)).find(|path| path.is_file());
    let beside = || {
        let server = embedded::postgres_binaries(context).ok()?;
        Some(server.neighbour("psql")).filter(|path| path.is_file())
    };
    on_path.or_else(beside)
}

async fn sessions(output: Output, target: &PostgresTarget) -> Result<()> {
    let ask = |client: &mut Client| {
        let rows = client.query_typed(sql::SESSIONS, &[]).map_err(readable)?;
        rows.iter().map(session).collect::<Result<Vec<_>, _>>().context("cannot read pg_stat_activity")
    };
    let rows = target.ask(ask).await?;
    output::print_rows(
        output,
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
    let ended = step.ended(ended.await, |pids| match pids.as_slice() {
        [] => "there were none".to_owned(),
        pids => {
            let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
            format!("ended {} (pid {})", pids.len(), pids.join(", "))
        }
    });
    ended.map(|_| ())
}

async fn test(output: Output, target: &PostgresTarget) -> Result<()> {
    let count = {
        let place = target.to_string();
        let prod = target.prod;
        move |client: &mut Client| counts(client, prod).with_context(|| format!("in {place}"))
    };
    let [users, activities] = target.ask(count).await?;
    let row = vec![json!(target.to_string()), json!(users), json!(activities)];
    output::print_rows(output, &["database", "users", "activities"], vec![row])
}
