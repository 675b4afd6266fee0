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
use serde_json::json;

use super::ddb::KEYS;
use super::setup::{self, Counts};
use super::{db, ddb};
use crate::context::Context;
use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::files::{Compression, ItemFile, ItemFileWriter, Layout, Notation};
use crate::dynamodb::read::{self, Page};
use crate::dynamodb::table;
use crate::dynamodb::write::{self, Write};
use crate::engine::Engine;
use crate::error::Failure;
use crate::guard::{Guard, Rehearsal};
use crate::output::{self, Output};
use crate::postgres::client::PostgresClient;
use crate::postgres::target::readable;
use crate::record::{Record, Rows};
use crate::services::Services;
use crate::snapshot::{self, Manifest, Snapshots};
use crate::targets::{PostgresTarget, Targets};
use crate::text::counted;
use crate::ui::Rate;

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Save what both databases hold under a name
    #[command(after_long_help = "Examples:
  cargo xtask snapshot save before-lunch
  cargo xtask snapshot save demo --force")]
    Save(Save),
    /// Replace what both databases hold by a snapshot
    ///
    /// Starts the databases that do not run. A snapshot may have been saved on another engine, or copied from another
    /// checkout.
    #[command(after_long_help = "Examples:
  cargo xtask snapshot restore before-lunch
  cargo xtask snapshot restore demo --dry-run")]
    Restore(Restore),
    /// List the snapshots
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
}

#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// Its name, as `snapshot list` shows it
    #[arg(value_parser = snapshot::name)]
    name: String,
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
    #[arg(value_parser = snapshot::name)]
    name: String,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

impl SnapshotCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let snapshots = Snapshots::of(&context.state);
        match self {
            Self::Save(Save { name, force }) => {
                if snapshots.exists(&name) && !force {
                    let problem = format!("snapshot {name} is there already; nothing was changed");
                    return Err(
                        Failure::new(problem, "choose another name, or replace it with --force").into()
                    );
                }
                context.ui.stop.remedy("run the same command again: nothing was saved");
                let _lock = context.state.lock(&context.ui, "snapshot save").await?;
                let (engine, targets) = context.engine_and_databases().await?;
                save(context, &engine, &targets, &name).await
            }
            Self::Restore(Restore { name, rehearsal }) => {
                let manifest = snapshots.open(&name)?.manifest()?;
                if rehearsal.dry_run {
                    let deed = format!("replace what both databases hold by {}", described(&name, &manifest));
                    Guard { deed: &deed, facts: &[], name: "", production: false, hint: "" }
                        .rehearse(&context.ui);
                    return Ok(());
                }
                let started = Instant::now();
                context.ui.stop.remedy("run the same command again: it begins with whatever it finds");
                let work = async |services: &Services| restore(context, services, &name).await;
                let (services, counts) = Services::with(context, "snapshot restore", work).await?;
                setup::summary(context, &services.targets, &counts, started.elapsed());
                Ok(())
            }
            Self::List(List { output }) => list(output, &snapshots),
            Self::Delete(Delete { name, rehearsal }) => {
                let manifest = snapshots.open(&name)?.manifest();
                if rehearsal.dry_run {
                    let described = manifest.map_or(name.clone(), |manifest| described(&name, &manifest));
                    let deed = format!("delete snapshot {described}");
                    Guard { deed: &deed, facts: &[], name: "", production: false, hint: "" }
                        .rehearse(&context.ui);
                    return Ok(());
                }
                let _lock = context.state.lock(&context.ui, "snapshot delete").await?;
                snapshots.delete(&name)?;
                context.ui.line(format_args!("deleted snapshot {name}"));
                Ok(())
            }
        }
    }
}

fn described(name: &str, manifest: &Manifest) -> String {
    let [users, activities] = manifest.rows.map(|rows| rows.unwrap_or_default());
    let Manifest { saved, items, .. } = manifest;
    format!("snapshot {name} of {saved}: {users} users, {activities} activities, {items} items")
}

fn list(output: Output, snapshots: &Snapshots) -> Result<()> {
    let mut rows = Vec::new();
    for name in snapshots.names()? {
        let snapshot = snapshots.open(&name)?;
        let row = match snapshot.manifest() {
            Ok(Manifest { saved, engine, rows: [users, activities], items, .. }) => {
                let engine = engine.to_string();
                vec![json!(name), json!(saved), json!(engine), json!(users), json!(activities), json!(items)]
            }
            Err(error) => vec![
                json!(name),
                json!(format!("{error:#}")),
                json!(""),
                json!(null),
                json!(null),
                json!(null),
            ],
        };
        rows.push(row.into_iter().chain([json!(snapshot.bytes())]).collect());
    }
    let columns = ["name", "saved", "engine", "users", "activities", "items", "bytes"];
    output::print_rows(output, &columns, rows)
}

/// Saves what both databases hold, all of it or nothing. Only behind the checkout's lock.
pub(super) async fn save(context: &Context, engine: &Engine, targets: &Targets, name: &str) -> Result<()> {
    let snapshots = Snapshots::of(&context.state);
    let (folder, snapshot) = snapshots.begin()?;
    let dynamodb = DynamoDb::new(&targets.dynamodb, &context.ui).await?;
    let table = &targets.dynamodb.table;
    let (dumped, exported) = (snapshot.dump(), snapshot.items(table));
    let dump = dump(context, engine, &targets.postgres, &dumped);
    let ((rows, postgres), items) = tokio::try_join!(dump, export(&dynamodb, &exported))?;
    let manifest = Manifest {
        saved: time::format(Utc::now()),
        engine: engine.name(),
        postgres,
        table: table.clone(),
        rows: rows.counts,
        items,
        sources: rows.record.map(Record::into_sources),
    };
    snapshot.write_manifest(&manifest)?;
    let bytes = snapshot.bytes();
    snapshots.finish(folder, name)?;
    context.ui.line(format_args!("saved {}, {bytes} bytes", described(name, &manifest)));
    Ok(())
}

/// Dumps Postgres's database. Returns what is in the dump, and the server's version.
async fn dump(
    context: &Context,
    engine: &Engine,
    target: &PostgresTarget,
    path: &Path,
) -> Result<(Rows, String)> {
    let dump = async {
        let mut connection = target.connect().await?;
        let begin = |client: &mut Client| {
            client.batch_execute("begin isolation level repeatable read read only").map_err(readable)?;
            let row =
                client.query_typed_one("select pg_export_snapshot(), current_setting('server_version')", &[]);
            let row = row.map_err(readable)?;
            Ok((row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?, Rows::read(client)?))
        };
        // The dump sees what the transaction sees, as long as that lasts.
        let (exported, version, rows) = connection.with(begin).await?;
        let arguments = ["--format=custom", "--no-owner", "--no-privileges"];
        let mut arguments: Vec<_> = arguments.map(str::to_owned).into();
        arguments.push(format!("--snapshot={exported}"));
        let output = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let client = PostgresClient { program: "pg_dump", arguments, input: None, output: Some(output) };
        engine.run_client(context, target, client).await?;
        drop(connection);
        Ok((rows, version))
    };
    context.ui.run(format!("Postgres: dump {target}"), dump).await
}

/// Writes the items of the messages table into a file. Returns how many there are.
async fn export(dynamodb: &DynamoDb, path: &Path) -> Result<u64> {
    let table = &dynamodb.target.table;
    let step = dynamodb.ui.step(format!("DynamoDB: export {table}"));
    let count = Cell::new(0);
    let export = async {
        let total = table::describe(dynamodb, table).await?.item_count;
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
            Ok(count.get())
        }
        Err(error) => Err(step.ended_by(error)),
    }
}

/// Replaces what both databases hold by a snapshot, and reads the counts back.
pub(super) async fn restore(context: &Context, services: &Services, name: &str) -> Result<Counts> {
    let snapshot = Snapshots::of(&context.state).open(name)?;
    let manifest = snapshot.manifest()?;
    let _group = context.ui.group("Restore the databases");
    let Targets { postgres, .. } = &services.targets;
    let (mut maintenance, dynamodb) =
        tokio::try_join!(services.postgres_ready(context), services.dynamodb_ready(context))?;
    check_version(&manifest, &mut maintenance).await?;
    let dump = snapshot.dump();
    let dump = File::open(&dump).with_context(|| format!("cannot read {}", dump.display()))?;
    let items = snapshot.items(&manifest.table);
    let items = ItemFile::open(&items, Some(Notation::Typed), 1)
        .with_context(|| format!("cannot read {}", items.display()))?;

    let restore_rows = async {
        db::make_anew(context, &mut maintenance, postgres).await?;
        let arguments = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"];
        let mut arguments: Vec<_> = arguments.map(str::to_owned).into();
        arguments.push(format!("--dbname={}", postgres.database()));
        let client = PostgresClient { program: "pg_restore", arguments, input: Some(dump), output: None };
        let restored = services.run_client(context, client);
        context.ui.run_whole(format!("Postgres: restore {postgres}"), restored).await
    };
    let restore_items = async {
        ddb::drop_if_exists(&dynamodb, &dynamodb.target.table).await?;
        ddb::schema_load(&dynamodb).await?;
        import(&dynamodb, items, manifest.items).await
    };
    let ((), ()) = tokio::try_join!(restore_rows, restore_items)?;

    let there = table::describe(&dynamodb, &dynamodb.target.table).await?;
    let (database, sources) = (postgres.database().to_owned(), manifest.sources);
    let finish = move |client: &mut Client| {
        let rows = Rows::read(client)?.counts;
        ensure!(
            rows == manifest.rows,
            "{:?} users and activities were saved, {rows:?} are there",
            manifest.rows
        );
        if let Some(sources) = sources {
            Record::new(sources, &there).write(client, &database)?;
        }
        Ok(rows)
    };
    let [users, activities] = postgres.ask(finish).await?.map(|count| count.unwrap_or_default());
    Ok(Counts { users, activities, items: usize::try_from(manifest.items)? })
}

/// A dump can be restored by the same major version or a later one only.
async fn check_version(
    manifest: &Manifest,
    maintenance: &mut crate::postgres::target::Connection,
) -> Result<()> {
    let version = |client: &mut Client| {
        let row =
            client.query_typed_one("select current_setting('server_version')", &[]).map_err(readable)?;
        Ok(row.try_get::<_, String>(0)?)
    };
    let there = maintenance.with(version).await?;
    let major = |version: &str| version.split(['.', ' ']).next().and_then(|major| major.parse::<u32>().ok());
    if major(&manifest.postgres) > major(&there) {
        let problem = format!(
            "the snapshot is of PostgreSQL {}, and here is {there}; nothing was changed",
            manifest.postgres
        );
        return Err(Failure::new(
            problem,
            "restore it on an engine with that version of PostgreSQL, or a later one",
        )
        .into());
    }
    Ok(())
}

/// Puts all items of a file into the messages table, which is empty, and counts them.
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
