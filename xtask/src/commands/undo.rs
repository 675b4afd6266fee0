//! Saves a snapshot before a command destroys data that no seed wrote, and records what the seeds write.

use std::io::{IsTerminal as _, stdin};
use std::time::Duration;

use anyhow::Result;
use chrono::Utc;

use super::ddb::Seed;
use super::snapshot::{Stores, save};
use super::target::Guarded;
use crate::context::Context;
use crate::dynamodb::client::DynamoDb;
use crate::engine::Engine;
use crate::error::Failure;
use crate::guard::{self, SAFETY};
use crate::record::{Contents, described};
use crate::services::Services;
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
    /// Saves a snapshot before both databases are replaced. `source` is the snapshot that replaces them, if any.
    pub(super) async fn keep_both(
        self,
        context: &Context,
        services: &Services,
        dynamodb: &DynamoDb,
        command: &str,
        source: Option<&str>,
    ) -> Result<()> {
        if self.no_snapshot {
            return Ok(());
        }
        let stores = Stores { postgres: Some(&services.targets.postgres), dynamodb: Some(dynamodb) };
        let contents = Contents::read(stores.postgres, stores.dynamodb).await.map_err(unknown)?;
        self.keep(context, Some(&services.engine), stores, &contents, command, source).await
    }

    /// Saves a snapshot before the rows of a local Postgres are destroyed.
    pub(super) async fn keep_rows(
        self,
        context: &Context,
        guarded: &Guarded,
        postgres: &PostgresTarget,
        command: &str,
    ) -> Result<()> {
        if guarded.is_production() || self.no_snapshot {
            return Ok(());
        }
        let stores = Stores { postgres: Some(postgres), dynamodb: None };
        let contents = Contents::read(stores.postgres, None).await.map_err(unknown)?;
        self.keep(context, None, stores, &contents, command, None).await
    }

    /// Saves a snapshot before the items of a local messages table are destroyed. Postgres says what the seeds wrote.
    pub(super) async fn keep_items(
        self,
        context: &Context,
        guarded: &Guarded,
        dynamodb: &DynamoDb,
        command: &str,
    ) -> Result<()> {
        if guarded.is_production() || self.no_snapshot {
            return Ok(());
        }
        let postgres = context.postgres(false).await.ok();
        let contents = match Contents::read(postgres.as_ref(), Some(dynamodb)).await {
            Ok(contents) => contents,
            Err(_) => Contents::read(None, Some(dynamodb)).await.map_err(unknown)?,
        };
        let stores = Stores { postgres: None, dynamodb: Some(dynamodb) };
        self.keep(context, None, stores, &contents, command, None).await
    }

    async fn keep(
        self,
        context: &Context,
        engine: Option<&Engine>,
        stores: Stores<'_>,
        contents: &Contents,
        command: &str,
        source: Option<&str>,
    ) -> Result<()> {
        if !contents.may_hold_user_data() {
            return Ok(());
        }
        let mut name = format!("before-{command}");
        // Do not rename the snapshot that is about to be restored.
        let rotate = source.is_none_or(|source| !source.starts_with(&name));
        if !rotate {
            name += &Utc::now().format("-%Y%m%d-%H%M%S").to_string();
        }
        let mut counts = contents.counts();
        if stores.postgres.is_none() {
            counts[..3].fill(0);
        }
        if stores.dynamodb.is_none() {
            counts[3] = 0;
        }
        let Some(described) = described(counts) else { return Ok(()) };
        let count: i64 = counts.iter().sum();
        if count > MOST_UNASKED && !self.wants_large_snapshot(context, &described).await? {
            return Ok(());
        }
        context.ui.warn(format_args!(
            "{described} will be lost, and perhaps not only seeds wrote them: saving snapshot {name} first"
        ));
        let save = async {
            match engine {
                Some(engine) => save(context, engine, stores, &name, rotate).await,
                None => save(context, &context.engine_that_runs().await?, stores, &name, rotate).await,
            }
        };
        save.await.map_err(|error| {
            let remedy = "fix that, or continue without a snapshot with --no-snapshot";
            Failure::new(format!("snapshot {name} cannot be saved; nothing was changed"), remedy)
                .like(&error)
                .caused_by(error)
        })?;
        context.ui.note(format_args!("`cargo xtask snapshot restore {name}` brings them back"));
        Ok(())
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
    if let Some(conversation) = conversation {
        record = record.with_sources(|sources| conversation.add_to(sources));
    }
    if before.untouched().is_some() {
        let after = Contents::read(Some(postgres), dynamodb).await?;
        let mut counts = after.counts();
        if dynamodb.is_none() {
            counts[3] = record.seeded_items();
        }
        // After a finished set-up, record a new table only together with its conversation.
        if let Some(table) = after.table().filter(|_| conversation.is_some() || record.is_unfinished()) {
            record = record.with_table(table);
        }
        record = record.with_seeded(counts);
    }
    let database = postgres.database().to_owned();
    postgres.ask(move |client| record.write(client, &database)).await
}
