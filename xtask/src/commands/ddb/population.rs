use std::time::Duration;

use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::read::{self, Page};
use crate::dynamodb::table;
use crate::dynamodb::write::{self, Write};
use crate::error::{Failure, Interrupted, Usage};
use crate::facts::Facts;
use crate::postgres::target::{Connection, readable};
use crate::ui::Ui;
use anyhow::{Context as _, Result, ensure};
use aws_sdk_dynamodb::types::Select;
use backend_flask::population::{self, Population};
use chrono::{DateTime, Utc};
use postgres::Client;
use postgres::error::SqlState;

use super::Guarded;
use super::seed::{KEYS, LATE_INTERVAL, LATE_TRIES};
use crate::commands::{db, undo};
use crate::context::Context;
use crate::targets::{PostgresTarget, Targets};
use crate::text::counted;

/// How long writing all users of a population may take. A million users take about a minute.
const USERS_BOUND: Duration = Duration::from_secs(600);

const HEADING: &str = "A synthetic population instead, in both databases";

#[derive(Debug, clap::Args)]
pub(super) struct PopulationOptions {
    /// Conversations [default: one for each 100 messages, or 5 for each user]
    #[arg(long, value_name = "N", help_heading = HEADING, conflicts_with_all = ["file", "person_1", "person_2"])]
    conversations: Option<u32>,
    /// Messages in all of them [default: 100 for each conversation]
    ///
    /// The last one is sent at --now, or else at 2024-01-01T00:00:00Z.
    #[arg(long, value_name = "M", help_heading = HEADING, conflicts_with_all = ["file", "person_1", "person_2"])]
    messages: Option<u32>,
    /// Users [default: one for each 5 conversations, or as many as they take]
    #[arg(long, value_name = "U", help_heading = HEADING, conflicts_with_all = ["file", "person_1", "person_2"])]
    users: Option<u32>,
}

impl PopulationOptions {
    /// The population that the options describe, if any. `now` is the time of its last message.
    pub(super) fn read(&self, now: Option<DateTime<Utc>>) -> Result<Option<Population>> {
        let Self { conversations, messages, users } = *self;
        if (users, conversations, messages) == (None, None, None) {
            return Ok(None);
        }
        let end = now.unwrap_or(population::DEFAULT_END);
        let population = Population::new(users, conversations, messages, end);
        Ok(Some(population.map_err(|error| Usage(error.to_string()))?))
    }
}

/// Like [`Guarded::is_meant`], for the synthetic users and items in both databases.
pub(super) async fn is_meant(
    context: &Context,
    guarded: &Guarded,
    postgres: &PostgresTarget,
    dynamodb: &DynamoDb,
    deed: &str,
) -> Result<bool> {
    if !guarded.shows() {
        return Ok(true);
    }
    let of_postgres = Facts::of_postgres(postgres).await?;
    if guarded.is_rehearsal() {
        let prod = postgres.prod;
        postgres.ask(move |client| db::counts(client, prod)).await?;
    }
    let table = &dynamodb.target.table;
    let description = table::describe(dynamodb, table).await?;
    let facts = [of_postgres, Facts::of_table(dynamodb, table, Some(&description))];
    guarded.pass(context, deed, &facts, table, "").await
}

/// `ddb remove-population`.
pub(super) async fn remove_all(context: &Context, guarded: &Guarded) -> Result<()> {
    context.ui.stop.remedy("run the same command again");
    let _lock = guarded.lock(context, "ddb remove-population").await?;
    let Targets { postgres, dynamodb } = context.databases(guarded.is_production()).await?;
    let dynamodb = DynamoDb::new(&dynamodb, &context.ui).await?;
    let deed = format!("remove the synthetic users from {postgres} and their items");
    if !is_meant(context, guarded, &postgres, &dynamodb, &deed).await? {
        return Ok(());
    }
    let remove = remove(&context.ui, &postgres, &dynamodb);
    undo::seeding(guarded, &postgres, Some(&dynamodb), None, remove).await
}

async fn remove(ui: &Ui, postgres: &PostgresTarget, dynamodb: &DynamoDb) -> Result<()> {
    // If this is interrupted, run it again: items are found even when their users are gone.
    remove_items(dynamodb).await?;
    let step = ui.step(format!("Postgres: remove synthetic users from {}", postgres.database()));
    let (_held, prod) = (ui.stop.hold().await, postgres.prod);
    let remove =
        move |client: &mut Client| Population::remove_users(client).map_err(|error| db::explain(error, prod));
    let removed = postgres.connect().await?.with_within(USERS_BOUND, remove).await;
    step.ended(removed, |count| counted(*count, "user", "users")).map(|_| ())
}

/// Replaces the synthetic users in Postgres by a population's, and counts them.
pub(super) async fn write_users(ui: &Ui, connection: &mut Connection, population: Population) -> Result<()> {
    let users = u64::from(population.users);
    let label = format!("Postgres: write {users} synthetic users into {}", connection.target.database());
    let prod = connection.target.prod;
    let work = async {
        let write =
            move |client: &mut Client| population.write_users(client).map_err(|error| explain(error, prod));
        let there = connection.with_within(USERS_BOUND, write).await?;
        ensure!(there == users, "{users} users were written, but {there} are there");
        Ok(())
    };
    ui.run_whole(label, work).await
}

fn explain(error: postgres::Error, prod: &str) -> anyhow::Error {
    match error.code() {
        Some(&SqlState::UNIQUE_VIOLATION) => {
            let remedy = "give that user another handle, or remove the user";
            Failure::new("a user who is not synthetic has the handle of a synthetic user", remedy)
                .caused_by(readable(error))
                .into()
        }
        _ => db::explain(error, prod),
    }
}

/// Replaces the synthetic items in DynamoDB by a population's, and counts them.
pub(super) async fn write_items(dynamodb: &DynamoDb, population: Population) -> Result<()> {
    remove_items(dynamodb).await?;
    let table = &dynamodb.target.table;
    let count = population.item_count();
    let step = dynamodb.ui.step(format!("DynamoDB: write {count} synthetic items into {table}"));
    let mut so_far = 0;
    let requests = population.items().map(|item| Write::put(item, &KEYS));
    let written = write::write_all(dynamodb, table, requests, |written| {
        so_far = written.count;
        step.progress_of(so_far, count);
    })
    .await;
    let written = written
        .map_err(|error| Interrupted::explained(error, || format!("{so_far} of {count} items are written")));
    step.ended(written, |_| String::new())?;
    let count_again = async {
        let there = count_items(dynamodb).await?;
        ensure!(there == count, "{count} items were written, but {there} are there");
        Ok(())
    };
    dynamodb.ui.run(format!("DynamoDB: count the synthetic items in {table}"), count_again).await
}

/// Removes every synthetic item, page by page. Repeats while late writes of an earlier run add items.
async fn remove_items(dynamodb: &DynamoDb) -> Result<()> {
    let table = &dynamodb.target.table;
    let step = dynamodb.ui.step(format!("DynamoDB: remove synthetic items from {table}"));
    let mut removed = 0;
    let mut remove = async |page: Page| {
        let requests = page.items.into_iter().map(|key| Write::delete(key, &KEYS));
        let before = removed;
        let written = write::write_all(dynamodb, table, requests, |written| {
            removed = before + written.count;
        });
        written.await.with_context(|| format!("{before} items were removed before"))?;
        step.progress(format_args!("{removed} so far"));
        Ok(())
    };
    let work = async {
        for _ in 0..LATE_TRIES {
            let keys =
                population::synthetic_items(table).projection_expression("pk, sk").consistent_read(true);
            if read::scan(dynamodb, keys, None, &mut remove).await?.count == 0 {
                break;
            }
            tokio::time::sleep(LATE_INTERVAL).await;
        }
        Ok(())
    };
    let worked: Result<()> = work.await;
    let worked =
        worked.map_err(|error| Interrupted::explained(error, || format!("{removed} items are removed")));
    step.ended(worked, |()| match removed {
        0 => "there were none".to_owned(),
        _ => format!("{removed} were there"),
    })
}

async fn count_items(dynamodb: &DynamoDb) -> Result<u64> {
    let items =
        population::synthetic_items(&dynamodb.target.table).consistent_read(true).select(Select::Count);
    let response = read::scan(dynamodb, items, None, async |_| Ok(())).await?;
    Ok(response.count)
}
