use std::cell::Cell;
use std::fs::File;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use aws_sdk_dynamodb::operation::scan::ScanInput;
use backend_flask::time;
use chrono::Utc;
use clap::Subcommand;
use postgres::Client;
use serde_json::{Value, json};

use super::ddb::KEYS;
use super::setup::{self, Counts};
use super::undo::Undo;
use super::{db, ddb};
use crate::context::Context;
use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::files::{Compression, ItemFile, ItemFileWriter, Layout, Notation};
use crate::dynamodb::read::{self, Page};
use crate::dynamodb::table;
use crate::dynamodb::write::{self, Write};
use crate::engine::Engine;
use crate::error::Failure;
use crate::facts::Facts;
use crate::guard::{Guard, Rehearsal};
use crate::output::{self, Output};
use crate::postgres::client::PostgresClient;
use crate::postgres::target::{Connection, readable};
use crate::record::{self, Contents, Record, Rows};
use crate::services::Services;
use crate::snapshot::{self, Dump, Items, Manifest, Snapshot, Snapshots};
use crate::targets::PostgresTarget;
use crate::text::{counted, size};
use crate::ui::Rate;

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Save what both databases hold under a name
    #[command(after_long_help = "Examples:
  cargo xtask snapshot save before-lunch
  cargo xtask snapshot save demo --force")]
    Save(Save),
    /// Replace what both databases hold with a snapshot
    ///
    /// Starts the databases that do not run. A snapshot may have been saved on another engine, or copied from another
    /// checkout.
    #[command(after_long_help = "Examples:
  cargo xtask snapshot restore before-lunch
  cargo xtask snapshot restore demo --dry-run")]
    Restore(Restore),
    /// List the snapshots
    ///
    /// On a terminal the list is cut to fit 80 columns; --wide prints the engine and exact times and sizes.
    #[command(after_long_help = "Examples:
  cargo xtask snapshot list
  cargo xtask snapshot list -o json")]
    List(List),
    /// Delete a snapshot
    #[command(after_long_help = "Examples:
  cargo xtask snapshot delete before-lunch")]
    Delete(Delete),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Save {
    /// Its name: letters, digits, `.`, `_` and `-`
    #[arg(value_parser = snapshot::name)]
    name: String,
    /// Replace the snapshot that has the name
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// Its name, as `snapshot list` shows it
    #[arg(id = "snapshot", value_name = "NAME", value_parser = snapshot::name)]
    name: String,
    #[command(flatten)]
    undo: Undo,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// Its name, as `snapshot list` shows it
    #[arg(id = "snapshot", value_name = "NAME", value_parser = snapshot::name)]
    name: String,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

impl SnapshotCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let snapshots = Snapshots::of(&context.state);
        match self {
            Self::Save(Save { name, force, rehearsal }) => {
                context.ui.stop.remedy("run the same command again: nothing was saved");
                let _lock = rehearsal.lock(context, false, "snapshot save").await?;
                if snapshots.exists(&name) && !force {
                    let problem = format!("snapshot {name} is there already; nothing was changed");
                    let remedy = "choose another name, or replace it with --force";
                    return Err(Failure::new(problem, remedy).into());
                }
                let (engine, targets) = context.engine_and_databases().await?;
                if rehearsal.dry_run {
                    let replaced =
                        if snapshots.exists(&name) { ", in place of the one that is there" } else { "" };
                    let deed = format!("save snapshot {name}{replaced}");
                    let facts = [Facts::of_postgres(&targets.postgres).await?];
                    Guard { deed: &deed, facts: &facts, name: "", production: false, hint: "" }
                        .rehearse(&context.ui);
                    return Ok(());
                }
                let dynamodb = DynamoDb::new(&targets.dynamodb, &context.ui).await?;
                let stores = Stores { postgres: Some(&targets.postgres), dynamodb: Some(&dynamodb) };
                save(context, &engine, stores, &name, false).await
            }
            Self::Restore(Restore { name, undo, rehearsal }) => {
                let manifest = snapshots.open(&name)?.manifest()?;
                if rehearsal.dry_run {
                    return rehearse(context, &name, &manifest).await;
                }
                let started = Instant::now();
                context.ui.stop.remedy("run the same command again: it begins with whatever it finds");
                let work = async |services: &Services| {
                    let ready = services.both_ready(context).await?;
                    restore(context, services, &name, (undo, "restore"), ready).await
                };
                let (services, counts) = Services::with(context, "snapshot restore", work).await?;
                setup::summary(context, &services.targets, &counts, started.elapsed());
                Ok(())
            }
            Self::List(List { output }) => list(context, output, &snapshots),
            Self::Delete(Delete { name, rehearsal }) => {
                let manifest = snapshots.open(&name)?.manifest();
                if rehearsal.dry_run {
                    let described =
                        manifest.map_or(format!("snapshot {name}"), |manifest| described(&name, &manifest));
                    let deed = format!("delete {described}");
                    Guard { deed: &deed, facts: &[], name: "", production: false, hint: "" }
                        .rehearse(&context.ui);
                    return Ok(());
                }
                let _lock = context.state.lock(&context.ui, "snapshot delete").await?;
                snapshots.delete(&name)?;
                context.ui.note(format_args!("deleted snapshot {name}"));
                Ok(())
            }
        }
    }
}

pub(super) async fn rehearse(context: &Context, name: &str, manifest: &Manifest) -> Result<()> {
    check_files(&Snapshots::of(&context.state).open(name)?, manifest)?;
    // A restore starts a server that does not run. Its version is not known before.
    if let (Some(dump), Ok(postgres)) = (&manifest.postgres, context.postgres(false).await)
        && let Ok(mut maintenance) = postgres.maintenance().connect().await
    {
        check_version(&dump.version, &mut maintenance).await?;
    }
    let deed = format!("replace what both databases hold with {}", described(name, manifest));
    Guard { deed: &deed, facts: &[], name: "", production: false, hint: "" }.rehearse(&context.ui);
    Ok(())
}

fn described(name: &str, Manifest { saved, postgres, dynamodb, .. }: &Manifest) -> String {
    let rows = postgres.as_ref().map(|Dump { rows: [users, activities, others], .. }| {
        record::described([*users, *activities, *others, 0]).unwrap_or_else(|| "no rows".to_owned())
    });
    let rows = rows.unwrap_or_else(|| "Postgres not saved".to_owned());
    let items = dynamodb.as_ref().map(|items| format!("{} items", items.count));
    let items = items.unwrap_or_else(|| "messages not saved".to_owned());
    format!("snapshot {name} of {saved}: {rows}, {items}")
}

fn list(context: &Context, output: Output, snapshots: &Snapshots) -> Result<()> {
    let mut rows = Vec::new();
    for name in snapshots.names()? {
        let snapshot = snapshots.open(&name)?;
        let row = match snapshot.manifest() {
            Ok(Manifest { saved, engine, postgres, dynamodb }) => {
                let engine = engine.to_string();
                let rows = postgres.map(|dump| dump.rows);
                let [users, activities] = [0, 1].map(|index| rows.map(|rows| rows[index]));
                let items = dynamodb.map(|items| items.count);
                vec![json!(name), json!(saved), json!(engine), json!(users), json!(activities), json!(items)]
            }
            Err(error) => {
                context.ui.warn(format_args!("snapshot {name} cannot be restored: {error:#}"));
                let unknown = [const { Value::Null }; 5];
                [json!(name)].into_iter().chain(unknown).collect()
            }
        };
        rows.push(row.into_iter().chain([json!(snapshot.bytes())]).collect());
    }
    let columns = ["name", "saved", "engine", "users", "activities", "items", "bytes"];
    if output.line_width().is_none() {
        return output::print_rows(output, &columns, rows);
    }
    let columns = ["name", "saved (UTC)", "users", "activities", "items", "size"];
    output::print_rows(output, &columns, rows.into_iter().map(for_80_columns).collect())
}

/// A row of the list without the engine, the time to the second and the size rounded.
fn for_80_columns(mut row: Vec<Value>) -> Vec<Value> {
    row.remove(2);
    if let Some(saved) = row[1].as_str().and_then(|saved| time::parse(saved).ok()) {
        row[1] = json!(saved.format("%Y-%m-%d %H:%M:%S").to_string());
    }
    if let Some(bytes) = row[5].as_u64() {
        row[5] = json!(size(bytes));
    }
    row
}

/// The databases that a snapshot covers: both, or only the one that is about to lose data.
#[derive(Clone, Copy)]
pub(super) struct Stores<'a> {
    pub(super) postgres: Option<&'a PostgresTarget>,
    pub(super) dynamodb: Option<&'a DynamoDb>,
}

/// Saves the databases as snapshot `name`, completely or not at all. The caller must hold the checkout's lock. With
/// `rotate`, the two newest snapshots of that name are kept under other names.
pub(super) async fn save(
    context: &Context,
    engine: &Engine,
    stores: Stores<'_>,
    name: &str,
    rotate: bool,
) -> Result<()> {
    let snapshots = Snapshots::of(&context.state);
    let (folder, snapshot) = snapshots.begin()?;
    let dumped = async {
        match stores.postgres {
            Some(postgres) => dump(context, engine, postgres, &snapshot.dump()).await,
            None => Ok(None),
        }
    };
    let exported = async {
        match stores.dynamodb {
            Some(dynamodb) => export(dynamodb, &snapshot.items(&dynamodb.target.table)).await,
            None => Ok(None),
        }
    };
    let (postgres, items) = tokio::try_join!(dumped, exported)?;
    if postgres.is_none() && items.is_none() {
        let problem = "neither the Postgres database nor the messages table is there; nothing was saved";
        return Err(Failure::new(problem, "`cargo xtask ddb-setup` makes both").into());
    }
    let manifest =
        Manifest { saved: time::format(Utc::now()), engine: engine.name(), postgres, dynamodb: items };
    snapshot.write_manifest(&manifest)?;
    let bytes = snapshot.bytes();
    if rotate {
        snapshots.rotate(name)?;
    }
    snapshots.finish(folder, name)?;
    context.ui.note(format_args!("saved {}, {bytes} bytes", described(name, &manifest)));
    Ok(())
}

/// Dumps the Postgres database, if it exists.
async fn dump(
    context: &Context,
    engine: &Engine,
    target: &PostgresTarget,
    path: &Path,
) -> Result<Option<Dump>> {
    let Some(mut connection) = target.connect_if_there().await? else { return Ok(None) };
    let dump = async {
        let begin = |client: &mut Client| {
            client.batch_execute("begin isolation level repeatable read read only").map_err(readable)?;
            let row = client.query_typed_one("select pg_export_snapshot()", &[]).map_err(readable)?;
            Ok((row.try_get::<_, String>(0)?, version(client)?, Rows::read(client)?))
        };
        // pg_dump shares this transaction's view only while the transaction is open.
        let (exported, version, rows) = connection.with(begin).await?;
        let arguments =
            ["--format=custom", "--encoding=UTF8", "--no-owner", "--no-privileges", "--lock-wait-timeout=5s"];
        let mut arguments: Vec<_> = arguments.map(str::to_owned).into();
        arguments.push(format!("--snapshot={exported}"));
        let output = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let client = PostgresClient { program: "pg_dump", arguments, input: None, output: Some(output) };
        engine.run_client(context, target, client).await?;
        drop(connection);
        let sha256 = Snapshot::sum(path)?;
        Ok(Some(Dump { version, sha256, rows: rows.counts(), record: rows.record }))
    };
    context.ui.run(format!("Postgres: dump {target}"), dump).await
}

fn version(client: &mut Client) -> Result<String> {
    let row = client.query_typed_one("select current_setting('server_version')", &[]).map_err(readable)?;
    Ok(row.try_get(0)?)
}

/// Exports the items of the messages table to a file, if the table exists.
async fn export(dynamodb: &DynamoDb, path: &Path) -> Result<Option<Items>> {
    let table = &dynamodb.target.table;
    let Some(description) = table::describe_if_there(dynamodb, table).await? else { return Ok(None) };
    let step = dynamodb.ui.step(format!("DynamoDB: export {table}"));
    let count = Cell::new(0);
    let export = async {
        let total = description.item_count;
        let rate = Rate::begin();
        let cannot_write = || format!("cannot write {}", path.display());
        let mut out = ItemFileWriter::create(path, Compression::Zstd, Layout::Jsonl(Notation::Typed))
            .with_context(cannot_write)?;
        let take = async |page: Page| {
            count.set(count.get() + page.count);
            step.progress(rate.of(count.get(), total.unwrap_or_default().unsigned_abs()));
            page.items.iter().try_for_each(|item| out.write(item)).with_context(cannot_write)
        };
        read::in_order(dynamodb, ScanInput::builder().table_name(table), total, take).await?;
        out.finish().with_context(cannot_write)
    };
    match dynamodb.ui.stop.or(export).await {
        Ok(()) => {
            step.done(&counted(count.get(), "item", "items"));
            let sha256 = Snapshot::sum(path)?;
            Ok(Some(Items { table: table.clone(), sha256, count: count.get() }))
        }
        Err(error) => Err(step.ended_by(error)),
    }
}

/// Replaces what both databases hold with a snapshot, and compares the counts. A database that is not in the snapshot
/// stays unchanged. What it replaces is saved first, for `command`. `ready` is a connection to Postgres's maintenance
/// database, and the DynamoDB client.
pub(super) async fn restore(
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
    let Manifest { postgres: dump, dynamodb: items, .. } = manifest;
    let dump = match dump {
        Some(dump) => {
            check_version(&dump.version, &mut maintenance).await?;
            let arguments = vec!["--version".to_owned()];
            let client = PostgresClient { program: "pg_restore", arguments, input: None, output: None };
            services.engine.run_client(context, postgres, client).await?;
            let path = snapshot.dump();
            let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
            Some((dump, file))
        }
        None if postgres.connect_if_there().await?.is_none() => {
            let problem = format!("the snapshot has no rows, and {postgres} is not there");
            return Err(
                Failure::new(problem, "make it with `cargo xtask db setup`, and restore again").into()
            );
        }
        None => None,
    };
    let items = match items {
        Some(items) => {
            let path = snapshot.items(&items.table);
            let file = ItemFile::open(&path, Some(Notation::Typed), 1);
            Some((items, file.with_context(|| format!("cannot read {}", path.display()))?))
        }
        None if !ddb::has_messages_table(&dynamodb).await? => {
            let problem =
                format!("the snapshot has no items, and table {} is not there", dynamodb.target.table);
            let remedy = "make it with `cargo xtask ddb schema-load`, and restore again";
            return Err(Failure::new(problem, remedy).into());
        }
        None => None,
    };
    undo.keep_both(context, services, &dynamodb, command, Some(name)).await?;
    let saved = dump.as_ref().map(|(dump, _)| dump.record.clone());
    let has_items = items.is_some();
    // Record that the data left by an interrupted restore is not the user's: the next restore must not save it over
    // the user's snapshot.
    let rows = dump.as_ref().map(|(dump, _)| dump.rows);
    if let Some([users, activities, others]) = rows {
        let left = table::describe_if_there(&dynamodb, &dynamodb.target.table).await?;
        let there = left.as_ref().and_then(|table| table.item_count).unwrap_or_default();
        let record = Record::begun(left.as_ref(), [users, activities, others, there]);
        db::make_anew(context, &mut maintenance, postgres, Some(record)).await?;
    }
    let restore_rows = async {
        let Some((dump, file)) = dump else {
            context.ui.note("the snapshot has no rows: the Postgres database here is left as it is");
            return Ok(None);
        };
        let arguments = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"];
        let mut arguments: Vec<_> = arguments.map(str::to_owned).into();
        arguments.push(format!("--dbname={}", postgres.database()));
        let client = PostgresClient { program: "pg_restore", arguments, input: Some(file), output: None };
        let restored = services.engine.run_client(context, postgres, client);
        context.ui.run_whole(format!("Postgres: restore {postgres}"), restored).await?;
        Ok(Some(dump.rows))
    };
    let restore_items = async {
        let Some((items, file)) = items else {
            context.ui.note("the snapshot has no items: the messages table here is left as it is");
            return Ok(());
        };
        ddb::drop_if_exists(&dynamodb, &dynamodb.target.table).await?;
        ddb::schema_load(&dynamodb).await?;
        if let Some([users, activities, others]) = rows {
            let table = table::describe(&dynamodb, &dynamodb.target.table).await?;
            let count = i64::try_from(items.count)?;
            let record = Record::begun(Some(&table), [users, activities, others, count]);
            let database = postgres.database().to_owned();
            maintenance.with(move |client| record.write(client, &database)).await?;
        }
        import(&dynamodb, file, items.count).await
    };
    let (rows, ()) = tokio::try_join!(restore_rows, restore_items)?;

    let contents = Contents::read(Some(postgres), Some(&dynamodb)).await?;
    let [users, activities, others, items] = contents.counts();
    if let Some(rows) = rows {
        ensure!(rows == [users, activities, others], "{rows:?} rows were saved, and not all are there");
    }
    let mut record = saved.unwrap_or_else(|| contents.record().cloned());
    if let (true, Some(table)) = (has_items, contents.table()) {
        record = record.map(|record| record.with_table(table));
    }
    if let Some(record) = record {
        let database = postgres.database().to_owned();
        postgres.ask(move |client| record.write(client, &database)).await?;
    }
    Ok(Counts { users, activities, items: usize::try_from(items)? })
}

/// Fails if a file of the snapshot is missing or has changed since it was saved.
fn check_files(snapshot: &Snapshot, Manifest { postgres, dynamodb, .. }: &Manifest) -> Result<()> {
    if let Some(dump) = postgres {
        check_sum(snapshot, &snapshot.dump(), &dump.sha256)?;
    }
    if let Some(items) = dynamodb {
        check_sum(snapshot, &snapshot.items(&items.table), &items.sha256)?;
    }
    Ok(())
}

/// Fails if a file has changed since it was saved.
fn check_sum(snapshot: &Snapshot, path: &Path, saved: &str) -> Result<()> {
    let sum = Snapshot::sum(path)
        .map_err(|error| snapshot.broken("nothing was changed".to_owned()).caused_by(error))?;
    if sum == saved {
        return Ok(());
    }
    let problem = format!("{} is damaged: it is not what was saved; nothing was changed", path.display());
    Err(snapshot.broken(problem).into())
}

/// pg_restore needs the dump's major version or a later one.
async fn check_version(saved: &str, maintenance: &mut Connection) -> Result<()> {
    let there = maintenance.with(version).await?;
    let major = |version: &str| version.split(['.', ' ']).next().and_then(|major| major.parse::<u32>().ok());
    if major(saved) > major(&there) {
        let problem =
            format!("the snapshot is of PostgreSQL {saved}, and here is {there}; nothing was changed");
        let remedy = "restore it on an engine with that version of PostgreSQL, or a later one";
        return Err(Failure::new(problem, remedy).into());
    }
    Ok(())
}

/// Imports a file into the empty messages table, and checks that it holds `count` items.
async fn import(dynamodb: &DynamoDb, mut file: ItemFile, count: u64) -> Result<()> {
    let table = &dynamodb.target.table;
    let step = dynamodb.ui.step(format!("DynamoDB: import {} into {table}", counted(count, "item", "items")));
    let import = async {
        let rate = Rate::begin();
        let puts = std::iter::from_fn(|| {
            let record = file.next().transpose()?;
            Some(record.map_err(anyhow::Error::from).and_then(|record| {
                let item = record.item.map_err(anyhow::Error::msg);
                Write::put(item.with_context(|| format!("line {} of the snapshot", record.line))?, &KEYS)
            }))
        });
        let mut written_count = 0;
        let progress = |written: write::Written| {
            written_count = written.count;
            step.progress(rate.of(written.count, count));
            Ok(())
        };
        write::write_all(dynamodb, table, puts, progress).await?;
        ensure!(written_count == count, "{count} items were saved, and the file holds {written_count}");
        Ok(())
    };
    match import.await {
        Ok(()) => {
            step.done("");
            Ok(())
        }
        Err(error) => Err(step.ended_by(error)),
    }
}
