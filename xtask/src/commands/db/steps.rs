//! Postgres's steps.

use std::time::{Duration, Instant};

use crate::context::Context;
use crate::error::{Failure, Incomplete, Interrupted, PREPARE};
use crate::postgres::script::{SCHEMA, SEED, Script};
use crate::postgres::target::{Connection, STATEMENT_BOUND, readable};
use crate::record::{Record, Rows};
use crate::targets::PostgresTarget;
use crate::ui::Ui;
use anyhow::{Context as _, Result};
use backend_flask::sql;
use postgres::Client;
use postgres::error::SqlState;

/// How long to wait for another session that is creating or dropping a database.
const TURN_BOUND: Duration = STATEMENT_BOUND.saturating_mul(3);

/// How long the process of a session may take to end after the session was closed.
const CLOSING: Duration = Duration::from_millis(100);

/// After this time the user is told what the command waits for.
const TURN_TOLD_AFTER: Duration = Duration::from_secs(1);

/// Runs all of Postgres's steps. `maintenance` is a connection to the server's maintenance database. `record` is
/// written into the new database, with the number of rows that the scripts wrote, which is also returned.
pub(crate) async fn setup(
    context: &Context,
    maintenance: &mut Connection,
    target: &PostgresTarget,
    record: Option<Record>,
) -> Result<(Connection, [i64; 3])> {
    let schema = Script::read(&context.root, SCHEMA)?;
    let seed = Script::read(&context.root, SEED)?;
    let (ui, database) = (&context.ui, target.database().to_owned());
    make_anew(context, maintenance, target, record.clone()).await?;
    let mut connection = target.connect().await?;
    {
        let _held = ui.stop.hold().await;
        load(ui, &mut connection, schema)
            .await
            .map_err(|error| leaving("the database is new and empty", error))?;
    }
    let _held = ui.stop.hold().await;
    load(ui, &mut connection, seed).await.map_err(|error| leaving("the tables are new and empty", error))?;
    let note = move |client: &mut Client| {
        let rows = Rows::read(client)?.counts();
        record.map_or(Ok(()), |record| record.with_rows(rows).write(client, &database))?;
        Ok(rows)
    };
    let rows = connection.with(note).await?;
    Ok((connection, rows))
}

/// Adds to the error of a set-up's step what the steps before it have done.
pub(crate) fn leaving(done: &str, error: anyhow::Error) -> anyhow::Error {
    if error.is::<Interrupted>() {
        return error;
    }
    Incomplete::new(format!("{done}; DynamoDB is as it was"), error).into()
}

/// Drops the database if it exists, creates it, and writes `record` into it.
pub(crate) async fn make_anew(
    context: &Context,
    maintenance: &mut Connection,
    target: &PostgresTarget,
    record: Option<Record>,
) -> Result<()> {
    take_turn(&context.ui, maintenance).await?;
    may_create(maintenance).await?;
    // The record says that the items are not the user's. Dropping the database loses it, so do not stop in between.
    let _held = context.ui.stop.hold().await;
    drop_database(&context.ui, maintenance, target.database()).await?;
    create(&context.ui, maintenance, target.database()).await?;
    match record {
        Some(record) => record.write_by(maintenance, target).await,
        None => Ok(()),
    }
}

/// Fails if the role may not create databases. It could still drop its own database, and not create it again.
pub(crate) async fn may_create(maintenance: &mut Connection) -> Result<()> {
    let ask = |client: &mut Client| {
        let row = client.query_typed_one(sql::MAY_CREATE, &[]).map_err(readable)?;
        Ok((row.try_get::<_, String>("role")?, row.try_get::<_, bool>("may_create")?))
    };
    let (role, may) = maintenance.with(ask).await?;
    if may {
        return Ok(());
    }
    let (target, prod) = (&maintenance.target, maintenance.target.prod);
    let remedy = format!(
        "let the server's owner run `alter role {role} createdb`; if the database is there, `cargo xtask db \
         schema-load{prod}` and `db seed{prod}` recreate its tables without creating it"
    );
    Err(Failure::unreachable(format!("role {role} may not create databases at {target}"), remedy).into())
}

/// Waits until no other session creates or drops a database. A killed command's session may last a moment longer.
pub(super) async fn take_turn(ui: &Ui, maintenance: &mut Connection) -> Result<()> {
    let shown = maintenance.target.to_string();
    let lock =
        maintenance.with_within(TURN_BOUND, |client| client.batch_execute(sql::LOCK).map_err(readable));
    let mut lock = std::pin::pin!(lock);
    let locked = match tokio::time::timeout(TURN_TOLD_AFTER, &mut lock).await {
        Ok(locked) => locked,
        Err(_) => {
            ui.note(format_args!("waiting for another session to create or drop a database at {shown}"));
            lock.await
        }
    };
    locked.context("another session is creating or dropping a database, or the server is stuck")
}

/// The caller must hold off the end of the run.
pub(super) async fn create(ui: &Ui, maintenance: &mut Connection, database: &str) -> Result<()> {
    let label = format!("Postgres: create database {database}");
    let statement = sql::create_database(database);
    let (database, prod) = (database.to_owned(), maintenance.target.prod);
    let work = maintenance.with(move |client| {
        client.batch_execute(&statement).map_err(|error| match error.code() {
            Some(&SqlState::DUPLICATE_DATABASE) => exists_already(&database, prod).into(),
            _ => readable(error),
        })
    });
    ui.run(label, work).await
}

pub(super) fn exists_already(database: &str, prod: &str) -> Failure {
    let remedy = format!(
        "load its tables with `cargo xtask db schema-load{prod}`; `cargo xtask db setup{prod}` drops it, with all its \
         rows, and creates it"
    );
    Failure::new(format!("database {database} exists already"), remedy)
}

/// Drops a database and ends the sessions in it. The caller must hold off the end of the run.
pub(super) async fn drop_database(ui: &Ui, maintenance: &mut Connection, database: &str) -> Result<()> {
    let mut sessions = sessions_in(maintenance, database).await?;
    let begun = Instant::now();
    // A session that was just closed, such as our own, is listed until its process has ended.
    while !sessions.is_empty() && begun.elapsed() < CLOSING {
        tokio::time::sleep(CLOSING / 10).await;
        sessions = sessions_in(maintenance, database).await?;
    }
    if !sessions.is_empty() {
        ui.warn(format_args!("dropping {database} ends the sessions of {}", sessions.join(", ")));
    }
    let statement = sql::drop_database(database);
    let work = maintenance.with(move |client| client.batch_execute(&statement).map_err(readable));
    ui.run(format!("Postgres: drop database {database} if it exists"), work).await
}

/// The sessions in a database, without `connection`'s own.
async fn sessions_in(connection: &mut Connection, database: &str) -> Result<Vec<String>> {
    let database = database.to_owned();
    let rows = connection.with(move |client| {
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

/// The caller must hold off the end of the run.
pub(super) async fn load(ui: &Ui, connection: &mut Connection, script: Script) -> Result<()> {
    let (path, prod) = (script.path, connection.target.prod);
    let label = format!("Postgres: load {path} into {}", connection.target.database());
    let work = async {
        let done = connection.with_patience(ui, path, move |client| script.run(client, prod)).await;
        // Skip the notice of `drop ... if exists` that nothing existed.
        let notices = connection.take_notices().into_iter();
        for notice in notices.filter(|notice| notice.routine() != Some("DropErrorMsgNonExistent")) {
            let text = format!("{path}: {}: {}", notice.severity(), notice.message());
            if notice.severity() == "WARNING" { ui.warn(text) } else { ui.note(text) }
        }
        done
    };
    ui.run(label, work).await
}

/// The number of users and activities. `prod` is the suffix of commands that an error suggests.
pub(crate) fn counts(client: &mut Client, prod: &str) -> Result<[i64; 2]> {
    let row = client.query_typed_one(sql::COUNTS, &[]).map_err(|error| explain(error, prod))?;
    Ok([row.try_get("users")?, row.try_get("activities")?])
}

/// Explains the error of a query that needs the tables.
pub(crate) fn explain(error: postgres::Error, prod: &str) -> anyhow::Error {
    match error.code() {
        Some(&SqlState::UNDEFINED_TABLE) => {
            let remedy = match prod {
                "" => PREPARE.to_owned(),
                prod => format!("load the schema with `cargo xtask db schema-load{prod}`"),
            };
            Failure::new("the tables do not exist", remedy).caused_by(readable(error)).into()
        }
        _ => readable(error),
    }
}
