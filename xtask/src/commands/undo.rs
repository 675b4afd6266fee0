//! Saves a snapshot before a command destroys data that no seed wrote, and records what the seeds write.

use std::io::{IsTerminal as _, stdin};
use std::time::Duration;

use anyhow::Result;
use chrono::Utc;

use super::ddb::{Seed, table_names};
use super::snapshot::{Databases, save};
use super::target::Guarded;
use crate::context::Context;
use crate::dynamodb::client::DynamoDb;
use crate::engine::EngineName;
use crate::error::Failure;
use crate::guard::{self, SAFETY};
use crate::poll::Look;
use crate::record::{Contents, Counts, described};
use crate::targets::PostgresTarget;
use crate::text::counted;

/// The most rows and items that are saved without a question.
pub(super) const MOST_UNASKED: i64 = 100_000;

/// How long a seed may take to count what exists before it.
const COUNT_BOUND: Duration = Duration::from_secs(10);

/// The option of commands that destroy data.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Undo {
    /// Save no snapshot first, even if rows or items that no seed wrote are lost
    #[arg(long, help_heading = SAFETY)]
    no_snapshot: bool,
}

impl Undo {
    /// Whether a snapshot of databases with these contents is saved.
    pub(super) fn saves(self, contents: &Contents) -> bool {
        !self.no_snapshot && contents.may_hold_user_data()
    }

    /// Saves a snapshot of the local databases in `stores` before what they hold is destroyed. `source` is the snapshot
    /// that replaces it, if any.
    pub(super) async fn keep(
        self,
        context: &Context,
        stores: Databases<'_>,
        command: &str,
        source: Option<&str>,
    ) -> Result<()> {
        let Some(counts) = self.lost(context, stores).await? else { return Ok(()) };
        let mut name = format!("before-{command}");
        // Do not rename the snapshot that is about to be restored.
        let rotate = source.is_none_or(|source| !source.starts_with(&name));
        if !rotate {
            name += &Utc::now().format("-%Y%m%d-%H%M%S%.3f").to_string();
        }
        let Some(described) = described(counts) else { return Ok(()) };
        let count: i64 = counts.iter().sum();
        if count > MOST_UNASKED && !self.wants_large_snapshot(context, &described).await? {
            return Ok(());
        }
        context.ui.warn(format_args!(
            "this deletes {described}, some of which no seed may have written: saving snapshot {name} first"
        ));
        let save = async { save(context, &context.found().await?.engine, stores, &name, rotate).await };
        save.await.map_err(|error| {
            let remedy = "fix that, or continue without a snapshot with --no-snapshot";
            Failure::new(format!("snapshot {name} cannot be saved; nothing was changed"), remedy)
                .like(&error)
                .caused_by(error)
        })?;
        context.ui.note(format_args!("`cargo xtask snapshot restore {name}` brings them back"));
        Ok(())
    }

    /// Saves a snapshot of the items that the chosen engine's DynamoDB keeps in memory, before it is stopped.
    pub(super) async fn keep_memory(
        self,
        context: &Context,
        command: &str,
        source: Option<&str>,
    ) -> Result<()> {
        let Some(dynamodb) = in_memory(context).await? else { return Ok(()) };
        let lost = Databases { postgres: None, dynamodb: Some(&dynamodb) };
        self.keep(context, lost, command, source).await
    }

    /// Saves a snapshot of what a start of `engine` would lose.
    pub(super) async fn keep_at_start(
        self,
        context: &Context,
        engine: EngineName,
        source: Option<&str>,
    ) -> Result<()> {
        self.keep_memory(&context.on(engine), "start", source).await
    }

    /// What [`Undo::keep_memory`] would save, in words.
    pub(super) async fn lost_from_memory(self, context: &Context) -> Result<Option<String>> {
        let Some(dynamodb) = in_memory(context).await? else { return Ok(None) };
        let lost = Databases { postgres: None, dynamodb: Some(&dynamodb) };
        Ok(self.lost(context, lost).await?.and_then(described))
    }

    /// The counts of what is lost with `stores`, if a snapshot of it is to be saved.
    async fn lost(self, context: &Context, stores: Databases<'_>) -> Result<Option<Counts>> {
        let is_production = stores.dynamodb.is_some_and(|dynamodb| dynamodb.target.is_production())
            || stores.postgres.is_some_and(|postgres| !postgres.prod.is_empty());
        if is_production || self.no_snapshot {
            return Ok(None);
        }
        let contents = match stores.postgres {
            Some(postgres) => Contents::read(Some(postgres), stores.dynamodb).await,
            // Postgres, if it can be asked, says what the seeds wrote.
            None => {
                let postgres = context.postgres(false).await.ok();
                match Contents::read(postgres.as_ref(), stores.dynamodb).await {
                    Err(_) => Contents::read(None, stores.dynamodb).await,
                    contents => contents,
                }
            }
        };
        let contents = contents.map_err(unknown)?;
        let mut counts = contents.counts();
        if stores.postgres.is_none() {
            counts[..3].fill(0);
        }
        if stores.dynamodb.is_none() {
            counts[3] = 0;
        }
        let may_be_users = match stores.postgres {
            Some(_) => contents.may_hold_user_data(),
            None => contents.may_hold_user_items(),
        };
        Ok(may_be_users.then_some(counts))
    }

    /// Whether to save a snapshot of that many rows and items. Asks on a terminal; elsewhere it is an error.
    async fn wants_large_snapshot(self, context: &Context, described: &str) -> Result<bool> {
        if stdin().is_terminal() && !context.environment.is_ci() {
            let question = format!("{described} will be lost. Save a snapshot of them first? [Y/n]");
            let typed = guard::ask(&context.ui, &question).await?;
            return Ok(!["n", "no"].contains(&typed.to_lowercase().as_str()));
        }
        let count = counted(MOST_UNASKED.unsigned_abs(), "row or item", "rows and items");
        let problem = format!(
            "{described} would be lost, more than the {count} that are saved unasked; nothing was changed"
        );
        let remedy = "add --no-snapshot; `cargo xtask snapshot save NAME` saves them first";
        Err(Failure::refused(problem, remedy).into())
    }
}

/// The chosen engine's DynamoDB, if it keeps its tables in memory. Warns of what no snapshot can have.
async fn in_memory(context: &Context) -> Result<Option<DynamoDb>> {
    let engine = context.found().await?.engine;
    if !engine.keeps_tables_in_memory() {
        return Ok(None);
    }
    let dynamodb = DynamoDb::new(&engine.dynamodb(context)?, &context.ui).await?;
    if !matches!(dynamodb.look().await, Look::Ready(())) {
        context.ui.warn("DynamoDB does not answer, so items that it keeps in memory cannot be saved");
        return Ok(None);
    }
    let mut others = table_names(&dynamodb).await?;
    others.retain(|name| *name != dynamodb.target.table);
    if !others.is_empty() {
        let others = others.join(", ");
        context
            .ui
            .warn(format_args!("a snapshot holds only the messages table; these tables are lost: {others}"));
    }
    Ok(Some(dynamodb))
}

fn unknown(error: anyhow::Error) -> anyhow::Error {
    let mend = error.downcast_ref::<Failure>().map_or("fix that", Failure::remedy);
    let remedy = format!("{mend}; --no-snapshot continues without a snapshot");
    let problem = "cannot tell what would be lost; nothing was changed";
    Failure::new(problem, remedy).like(&error).caused_by(error).into()
}

/// Runs `seed` and records the conversation that it wrote. If only seeds had written before, records that this is
/// still so.
pub(super) async fn seeding(
    guarded: &Guarded,
    postgres: &PostgresTarget,
    dynamodb: Option<&DynamoDb>,
    conversation: Option<&Seed>,
    seed: impl Future<Output = Result<()>>,
) -> Result<()> {
    if guarded.is_production() {
        return seed.await;
    }
    // If the count fails, nothing is recorded, and the next set-up saves a snapshot.
    let before = tokio::time::timeout(COUNT_BOUND, Contents::read(Some(postgres), dynamodb)).await;
    let before = before.ok().and_then(Result::ok);
    seed.await?;
    let Some(before) = before else { return Ok(()) };
    let Some(mut record) = before.record().cloned() else { return Ok(()) };
    if let Some(conversation) = conversation
        && !record.is_unfinished()
    {
        conversation.add_to(&mut record.sources);
    }
    if before.untouched().is_some() {
        let after = Contents::read(Some(postgres), dynamodb).await?;
        let mut counts = after.counts();
        if dynamodb.is_none() {
            counts[3] = record.seeded[3];
        }
        // After a finished set-up, record a new table only together with its conversation.
        if let Some(table) = &after.table
            && (conversation.is_some() || record.is_unfinished())
        {
            record = record.with_table(table);
        }
        record.seeded = counts;
    }
    let database = postgres.database().to_owned();
    postgres.ask(move |client| record.write(client, &database)).await
}
