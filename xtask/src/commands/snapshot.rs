//! `cargo xtask snapshot`: named copies of what both databases hold.

mod restore;
mod save;

use std::time::Instant;

use anyhow::Result;
use backend_flask::time;
use clap::Subcommand;
use serde_json::{Value, json};

use super::setup;
use super::undo::Undo;
use crate::context::Context;
use crate::dynamodb::client::DynamoDb;
use crate::error::Failure;
use crate::facts::Facts;
use crate::guard::{self, Rehearsal};
use crate::output::{self, Output};
use crate::record;
use crate::services::Services;
use crate::snapshot::{self, Dump, Manifest, Snapshots};
use crate::text::size;

pub(super) use restore::{rehearse, restore};
pub(super) use save::{Databases, save};

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Save what both databases hold under a name
    #[command(after_long_help = "Examples:
  cargo xtask snapshot save before-lunch
  cargo xtask snapshot save demo --force")]
    Save {
        /// Its name: letters, digits, `.`, `_` and `-`
        #[arg(value_parser = snapshot::name)]
        name: String,
        /// Replace the snapshot that has the name
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        rehearsal: Rehearsal,
    },
    /// Replace what both databases hold with a snapshot
    ///
    /// Starts the databases that do not run. A snapshot may have been saved on another engine, or copied from another
    /// checkout.
    #[command(after_long_help = "Examples:
  cargo xtask snapshot restore before-lunch
  cargo xtask snapshot restore demo --dry-run")]
    Restore {
        /// Its name, as `snapshot list` shows it
        #[arg(id = "snapshot", value_name = "NAME", value_parser = snapshot::name)]
        name: String,
        #[command(flatten)]
        undo: Undo,
        #[command(flatten)]
        rehearsal: Rehearsal,
    },
    /// List the snapshots
    ///
    /// On a terminal the list is cut to fit 80 columns; --wide prints the engine and exact times and sizes.
    #[command(after_long_help = "Examples:
  cargo xtask snapshot list
  cargo xtask snapshot list -o json")]
    List(Output),
    /// Delete a snapshot
    #[command(after_long_help = "Examples:
  cargo xtask snapshot delete before-lunch")]
    Delete {
        /// Its name, as `snapshot list` shows it
        #[arg(id = "snapshot", value_name = "NAME", value_parser = snapshot::name)]
        name: String,
        #[command(flatten)]
        rehearsal: Rehearsal,
    },
}

impl SnapshotCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let snapshots = Snapshots::of(&context.state);
        match self {
            Self::Save { name, force, rehearsal } => {
                context.ui.stop.remedy("run the same command again: nothing was saved");
                let _lock = context.lock(rehearsal.dry_run, "snapshot save").await?;
                if snapshots.exists(&name) && !force {
                    let problem = format!("snapshot {name} exists already; nothing was changed");
                    let remedy = "choose another name, or replace it with --force";
                    return Err(Failure::new(problem, remedy).into());
                }
                let found = context.found().await?;
                let targets = found.targets(context)?;
                if rehearsal.dry_run {
                    let replaced =
                        if snapshots.exists(&name) { ", in place of the one that is there" } else { "" };
                    let deed = format!("save snapshot {name}{replaced}");
                    let facts = [Facts::of_postgres(&targets.postgres).await?];
                    guard::rehearse(&context.ui, false, &deed, &facts);
                    return Ok(());
                }
                let dynamodb = DynamoDb::new(&targets.dynamodb, &context.ui).await?;
                let stores = Databases { postgres: Some(&targets.postgres), dynamodb: Some(&dynamodb) };
                save(context, &found.engine, stores, &name, false).await
            }
            Self::Restore { name, undo, rehearsal } => {
                let manifest = snapshots.open(&name)?.manifest()?;
                if rehearsal.dry_run {
                    return rehearse(context, &name, &manifest).await;
                }
                let started = Instant::now();
                context.ui.stop.remedy("run the same command again: it restores all of it again");
                let work = async |services: &Services| {
                    let ready = services.both_ready(context).await?;
                    restore(context, services, &name, (undo, "restore"), ready).await
                };
                let keep = async |engine| undo.keep_at_start(context, engine, Some(&name)).await;
                let (services, counts) = Services::with(context, "snapshot restore", keep, work).await?;
                setup::summary(context, Some(&name), &services.targets, counts, started.elapsed());
                Ok(())
            }
            Self::List(output) => list(context, output, &snapshots),
            Self::Delete { name, rehearsal } => {
                let manifest = snapshots.open(&name)?.manifest();
                if rehearsal.dry_run {
                    let described =
                        manifest.map_or(format!("snapshot {name}"), |manifest| described(&name, &manifest));
                    let deed = format!("delete {described}");
                    guard::rehearse(&context.ui, false, &deed, &[]);
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
