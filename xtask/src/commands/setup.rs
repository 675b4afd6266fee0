use std::time::{Duration, Instant};

use crate::dynamodb::client::DynamoDb;
use crate::facts::Facts;
use crate::postgres::script::{SCHEMA, SEED, Script};
use crate::postgres::target::Connection;
use crate::record::{Counts, Record, Sources};
use crate::snapshot::Snapshots;
use crate::targets::{PostgresTarget, Targets};
use crate::text::counted;
use crate::ui::seconds;
use anyhow::Result;

use super::undo::Undo;
use super::{db, ddb, snapshot};
use crate::context::Context;
use crate::engine;
use crate::guard::{self, Rehearsal};
use crate::services::Services;

#[derive(Debug, clap::Args)]
pub(crate) struct Setup {
    #[command(flatten)]
    seed: ddb::SeedOptions,
    /// Take the data from a snapshot instead of the seeds
    #[arg(id = "snapshot", long = "from", value_name = "NAME", value_parser = crate::snapshot::name)]
    #[arg(conflicts_with_all = ["file", "now", "person_1", "person_2"])]
    from: Option<String>,
    #[command(flatten)]
    undo: Undo,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

impl Setup {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let started = Instant::now();
        // A mistake in the conversation is reported before anything is started or dropped.
        let seed = self.seed.read(&context.root)?;
        if let Some(name) = &self.from {
            let manifest = Snapshots::of(&context.state).open(name)?.manifest()?;
            if self.rehearsal.dry_run {
                return snapshot::rehearse(context, name, &manifest).await;
            }
        }
        if self.rehearsal.dry_run {
            return rehearse(context);
        }
        context.ui.stop.remedy("run `cargo xtask ddb-setup` again: it starts afresh");
        let work = async |services: &Services| {
            let sources = sources(context, &services.targets, &seed)?;
            let ready = services.both_ready(context).await?;
            if let Some(name) = &self.from {
                let undo = (self.undo, "ddb-setup");
                return snapshot::restore(context, services, name, undo, ready).await;
            }
            let postgres = &services.targets.postgres;
            let lost = snapshot::Databases { postgres: Some(postgres), dynamodb: Some(&ready.1) };
            self.undo.keep(context, lost, "ddb-setup", None).await?;
            set_up(context, postgres, &seed, sources, ready).await
        };
        let keep = async |engine| self.undo.keep_at_start(context, engine, self.from.as_deref()).await;
        let (services, counts) = Services::with(context, "ddb-setup", keep, work).await?;
        summary(context, self.from.as_deref(), &services.targets, counts, started.elapsed());
        Ok(())
    }
}

/// Prints what a set-up would do, without asking any server. The engine may only be decided at the start.
fn rehearse(context: &Context) -> Result<()> {
    let engine = engine::by_settings(context)?;
    let Targets { postgres, dynamodb } = engine.targets(context)?;
    let mut facts = Facts::default();
    let unless = if context.engine.is_none() { ", unless another is chosen at the start" } else { "" };
    facts.add("engine", format_args!("{}{unless}", engine.name()));
    facts.add("Postgres", format_args!("{postgres}: drop and create the database, load schema and seed"));
    let endpoint = dynamodb.endpoint().unwrap_or_default();
    let table = &dynamodb.table;
    facts.add("DynamoDB", format_args!("{endpoint}: drop and create table {table}, seed it"));
    let deed = "start the databases that do not run, and set them up again";
    guard::rehearse(&context.ui, false, deed, &[facts]);
    Ok(())
}

pub(super) fn sources(context: &Context, targets: &Targets, seed: &ddb::Seed) -> Result<Sources> {
    let mut sources = Sources::default();
    for path in [SCHEMA, SEED] {
        Script::read(&context.root, path)?.add_to(&mut sources);
    }
    seed.add_to(&mut sources);
    sources.add_table(&targets.dynamodb.table);
    Ok(sources)
}

/// Runs all steps, Postgres's first, and returns the counts, as read back. `maintenance` is a connection to Postgres's
/// maintenance database.
pub(super) async fn set_up(
    context: &Context,
    postgres: &PostgresTarget,
    seed: &ddb::Seed,
    sources: Sources,
    (mut maintenance, client): (Connection, DynamoDb),
) -> Result<Counts> {
    let _group = context.ui.group("Set the databases up");
    // Until DynamoDB's steps begin, the old items are still there, and the record counts them.
    let record = Record::begun_before_items(&client, [0; 3]).await?;
    let (mut connection, [users, activities, others]) =
        db::setup(context, &mut maintenance, postgres, Some(record)).await?;
    let people =
        seed.people(&mut connection).await.map_err(|error| db::leaving("Postgres is set up", error))?;
    ddb::drop_if_exists(&client, &client.target.table).await?;
    let table = ddb::schema_load(&client).await?;
    let record = Record::begun(Some(&table), [users, activities, others, i64::try_from(seed.count())?]);
    record.write_by(&mut connection, postgres).await?;
    let items = seed.write(&client, people, true).await?;
    let counts = [users, activities, others, i64::try_from(items)?];
    Record::new(sources, &table, counts).write_by(&mut connection, postgres).await?;
    Ok(counts)
}

/// Prints what both databases hold after a set-up, or after `snapshot` was restored.
pub(super) fn summary(
    context: &Context,
    snapshot: Option<&str>,
    Targets { postgres, dynamodb }: &Targets,
    [users, activities, _, items]: Counts,
    elapsed: Duration,
) {
    let users = counted(users.unsigned_abs(), "user", "users");
    let activities = counted(activities.unsigned_abs(), "activity", "activities");
    let items = counted(items.unsigned_abs(), "item", "items");
    let endpoint = dynamodb.endpoint().unwrap_or_default();
    let ui = &context.ui;
    let done = snapshot.map_or("set up".to_owned(), |name| format!("restored from snapshot {name}"));
    ui.note(format_args!("\nBoth databases are {done}, in {}:", seconds(elapsed)));
    ui.note(format_args!("  Postgres   {postgres}: {users}, {activities}"));
    ui.note(format_args!("  DynamoDB   {endpoint}, table {}: {items}", dynamodb.table));
    ui.note("  settings   eval \"$(cargo xtask env)\"");
}
