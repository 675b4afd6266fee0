//! Replaces what both databases hold with a snapshot.

use std::fs::File;

use anyhow::{Context as _, Result, ensure};

use super::described;
use super::save::{Databases, version};
use crate::commands::db;
use crate::commands::ddb::{self, KEYS};
use crate::commands::undo::Undo;
use crate::context::Context;
use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::files::{ItemFile, Notation};
use crate::dynamodb::write::{self, Write};
use crate::error::{Failure, PREPARE};
use crate::guard;
use crate::postgres::client::PostgresClient;
use crate::postgres::target::Connection;
use crate::record::{Contents, Counts, Record};
use crate::services::Services;
use crate::snapshot::{Dump, Items, Manifest, Snapshot, Snapshots};
use crate::text::counted;

pub(in crate::commands) async fn rehearse(context: &Context, name: &str, manifest: &Manifest) -> Result<()> {
    check_files(&Snapshots::of(&context.state).open(name)?, manifest)?;
    // If the server does not run, the restore starts it, and its version is not known yet.
    if let (Some(dump), Ok(postgres)) = (&manifest.postgres, context.postgres(false).await)
        && let Ok(mut maintenance) = postgres.maintenance().connect().await
    {
        check_server(&dump.version, &mut maintenance).await?;
    }
    let deed = format!("replace what both databases hold with {}", described(name, manifest));
    guard::rehearse(&context.ui, false, &deed, &[]);
    Ok(())
}

/// Replaces what both databases hold with a snapshot, and compares the counts. A database that is not in the snapshot
/// stays unchanged. What it replaces is saved first, for `command`. `ready` is a connection to Postgres's maintenance
/// database, and the DynamoDB client.
pub(in crate::commands) async fn restore(
    context: &Context,
    services: &Services,
    name: &str,
    (undo, command): (Undo, &str),
    (mut maintenance, dynamodb): (Connection, DynamoDb),
) -> Result<Counts> {
    let snapshot = Snapshots::of(&context.state).open(name)?;
    let manifest = snapshot.manifest()?;
    let _group = context.ui.group("Restore the databases");
    let postgres = &services.targets.postgres;
    // Check that everything can be restored before anything is saved or dropped.
    check_files(&snapshot, &manifest)?;
    let dump = open_dump(context, services, &snapshot, manifest.postgres, &mut maintenance).await?;
    let items = open_items(&snapshot, manifest.dynamodb, &dynamodb).await?;
    let lost = Databases { postgres: Some(postgres), dynamodb: Some(&dynamodb) };
    undo.keep(context, lost, command, Some(name)).await?;

    let rows = dump.as_ref().map(|(dump, _)| dump.rows);
    let record = dump.as_ref().map(|(dump, _)| dump.record.clone());
    let has_items = items.is_some();
    // Record that the data left by an interrupted restore is not the user's: the next restore must not save it over
    // the user's snapshot.
    if let Some(rows) = rows {
        let record = Record::begun_before_items(&dynamodb, rows).await?;
        db::make_anew(context, &mut maintenance, postgres, Some(record)).await?;
    }
    let restore_items = async {
        let Some((items, file)) = items else {
            context.ui.note("the snapshot has no items: the messages table here is left as it is");
            return Ok(());
        };
        ddb::drop_if_exists(&dynamodb, &dynamodb.target.table).await?;
        let table = ddb::schema_load(&dynamodb).await?;
        if let Some([users, activities, others]) = rows {
            let count = i64::try_from(items.count)?;
            let record = Record::begun(Some(&table), [users, activities, others, count]);
            record.write_by(&mut maintenance, postgres).await?;
        }
        import(&dynamodb, file, items.count).await
    };
    tokio::try_join!(restore_rows(context, services, dump), restore_items)?;

    let contents = Contents::read(Some(postgres), Some(&dynamodb)).await?;
    let [users, activities, others, items] = contents.counts();
    if let Some(rows) = rows {
        ensure!(rows == [users, activities, others], "{rows:?} rows were saved, and not all are there");
    }
    let mut record = record.unwrap_or_else(|| contents.record().cloned());
    if let (true, Some(table)) = (has_items, &contents.table) {
        record = record.map(|record| record.with_table(table));
    }
    if let Some(record) = record {
        record.write_by(&mut maintenance, postgres).await?;
    }
    Ok([users, activities, others, items])
}

/// Opens the dump, and checks that it can be restored here. Without a dump, the database must exist.
async fn open_dump(
    context: &Context,
    services: &Services,
    snapshot: &Snapshot,
    dump: Option<Dump>,
    maintenance: &mut Connection,
) -> Result<Option<(Dump, File)>> {
    let postgres = &services.targets.postgres;
    let Some(dump) = dump else {
        if postgres.connect_if_there().await?.is_none() {
            let problem = format!("the snapshot has no rows, and {postgres} does not exist");
            let remedy = format!("{PREPARE}; then restore again");
            return Err(Failure::new(problem, remedy).into());
        }
        return Ok(None);
    };
    check_server(&dump.version, maintenance).await?;
    let arguments = vec!["--version".to_owned()];
    let client = PostgresClient { program: "pg_restore", arguments, input: None, output: None };
    services.engine.run_client(context, postgres, client).await?;
    let path = snapshot.dump();
    let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Some((dump, file)))
}

/// Opens the file with the items. Without it, the messages table must exist.
async fn open_items(
    snapshot: &Snapshot,
    items: Option<Items>,
    dynamodb: &DynamoDb,
) -> Result<Option<(Items, ItemFile)>> {
    let Some(items) = items else {
        if !ddb::has_messages_table(dynamodb).await? {
            let problem =
                format!("the snapshot has no items, and table {} does not exist", dynamodb.target.table);
            let remedy = format!("{PREPARE}; then restore again");
            return Err(Failure::new(problem, remedy).into());
        }
        return Ok(None);
    };
    let path = snapshot.items(&items.table);
    let file = ItemFile::open(&path, Some(Notation::Typed), 1);
    let file = file.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Some((items, file)))
}

/// Restores a dump into the empty database.
async fn restore_rows(context: &Context, services: &Services, dump: Option<(Dump, File)>) -> Result<()> {
    let postgres = &services.targets.postgres;
    let Some((_, file)) = dump else {
        context.ui.note("the snapshot has no rows: the Postgres database here is left as it is");
        return Ok(());
    };
    let arguments = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"];
    let mut arguments: Vec<_> = arguments.map(str::to_owned).into();
    arguments.push(format!("--dbname={}", postgres.database()));
    let client = PostgresClient { program: "pg_restore", arguments, input: Some(file), output: None };
    let restored = services.engine.run_client(context, postgres, client);
    context.ui.run_whole(format!("Postgres: restore {postgres}"), restored).await
}

/// Fails if a file of the snapshot is missing or has changed since it was saved.
fn check_files(snapshot: &Snapshot, Manifest { postgres, dynamodb, .. }: &Manifest) -> Result<()> {
    let dump = postgres.as_ref().map(|dump| (snapshot.dump(), &dump.sha256));
    let items = dynamodb.as_ref().map(|items| (snapshot.items(&items.table), &items.sha256));
    for (path, saved) in dump.into_iter().chain(items) {
        let sum = Snapshot::sum(&path)
            .map_err(|error| snapshot.broken("nothing was changed".to_owned()).caused_by(error))?;
        if sum != *saved {
            let path = path.display();
            let problem =
                format!("{path} is damaged: it has changed since it was saved; nothing was changed");
            return Err(snapshot.broken(problem).into());
        }
    }
    Ok(())
}

/// Fails if a dump cannot be restored on a server. pg_restore needs the dump's major version or a later one, and the
/// database is created anew.
async fn check_server(saved: &str, maintenance: &mut Connection) -> Result<()> {
    let there = maintenance.with(version).await?;
    let major = |version: &str| version.split(['.', ' ']).next().and_then(|major| major.parse::<u32>().ok());
    if major(saved) > major(&there) {
        let problem =
            format!("the snapshot is of PostgreSQL {saved}, and here is {there}; nothing was changed");
        let remedy = "restore it on an engine with that version of PostgreSQL, or a later one";
        return Err(Failure::new(problem, remedy).into());
    }
    db::may_create(maintenance).await
}

/// Imports a file into the empty messages table, and checks that it holds `count` items.
async fn import(dynamodb: &DynamoDb, mut file: ItemFile, count: u64) -> Result<()> {
    let table = &dynamodb.target.table;
    let step = dynamodb.ui.step(format!("DynamoDB: import {} into {table}", counted(count, "item", "items")));
    let import = async {
        let puts = std::iter::from_fn(|| {
            let record = file.next().transpose()?;
            Some(record.map_err(anyhow::Error::from).and_then(|record| {
                let item = record.item.map_err(anyhow::Error::msg);
                Write::put(item.with_context(|| format!("line {} of the snapshot", record.line))?, &KEYS)
            }))
        });
        let progress = |written: write::Written| step.progress_of(written.count, count);
        let written = write::write_all(dynamodb, table, puts, progress).await?;
        ensure!(written == count, "{count} items were saved, and the file holds {written}");
        Ok(())
    };
    let imported = import.await;
    step.ended(imported, |()| String::new())
}
