use std::io::{IsTerminal as _, stdin};
use std::time::Instant;

use anyhow::Result;
use aws_sdk_dynamodb::operation::scan::ScanInput;
use aws_sdk_dynamodb::types::TableDescription;

use crate::context::Context;
use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::read::{self, LastKey};
use crate::dynamodb::table;
use crate::error::Failure;
use crate::guard::{self, Rehearsal, SAFETY};
use crate::record::{Rows, Sources};
use crate::services::Services;
use crate::targets::PostgresTarget;
use crate::text::counted;

use super::ddb;
use super::setup::{self, set_up};

#[derive(Debug, clap::Args)]
pub(crate) struct Prepare {
    #[command(flatten)]
    seed: ddb::SeedOptions,
    #[command(flatten)]
    answer: Answer,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

/// What is answered where rows or items would be lost.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Answer {
    /// Set up anew without asking, although rows or items are lost; so it is in CI
    #[arg(long, help_heading = SAFETY)]
    yes: bool,
}

impl Prepare {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let seed = self.seed.read(&context.root)?;
        if self.rehearsal.dry_run {
            return rehearse(context, &seed).await;
        }
        context.ui.stop.remedy("run `cargo xtask prepare` again: it begins with whatever it finds");
        let work = async |services: &Services| prepare(context, services, &seed, self.answer).await;
        Services::with(context, "prepare", work).await.map(|_| ())
    }
}

/// Sets both databases up, unless they are as the sources say.
pub(super) async fn prepare(
    context: &Context,
    services: &Services,
    seed: &ddb::Seed,
    answer: Answer,
) -> Result<()> {
    let (started, targets) = (Instant::now(), &services.targets);
    let sources = setup::sources(context, targets, seed)?;
    let (maintenance, dynamodb) =
        tokio::try_join!(services.postgres_ready(context), services.dynamodb_ready(context))?;
    let found = Found::look(&targets.postgres, &dynamodb).await?;
    let changes = found.changes(&sources);
    if changes.is_empty() {
        context.ui.line("both databases are as the sources say: nothing is changed");
        return Ok(());
    }
    context.ui.line(format_args!("not as the sources say: {}", changes.join("; ")));
    found.ask(context, answer).await?;
    let ready = (async { Ok(maintenance) }, async { Ok(dynamodb) });
    let counts = set_up(context, targets, seed, sources, ready).await?;
    setup::summary(context, targets, &counts, started.elapsed());
    Ok(())
}

/// Says what it would do. It starts no database: one that does not run is not looked into.
async fn rehearse(context: &Context, seed: &ddb::Seed) -> Result<()> {
    let would = match context.databases(false).await {
        Err(error) => {
            context.ui.line(format_args!("the databases cannot be asked: {error:#}"));
            "start them, and set them up anew if they are not as the sources say".to_owned()
        }
        Ok(targets) => {
            let dynamodb = DynamoDb::new(&targets.dynamodb, &context.ui).await?;
            let found = Found::look(&targets.postgres, &dynamodb).await?;
            match &found.changes(&setup::sources(context, &targets, seed)?)[..] {
                [] => "change nothing: both databases are as the sources say".to_owned(),
                changes => {
                    let loss = found.loss().map_or(String::new(), |loss| format!(", and lose {loss}"));
                    format!("set both databases up anew{loss}: {}", changes.join("; "))
                }
            }
        }
    };
    context.ui.line(format_args!("dry run: it would {would}"));
    context.ui.line("nothing was changed");
    Ok(())
}

/// What is there before anything is changed.
struct Found {
    /// None if the database is not there.
    postgres: Option<Rows>,
    /// None if the table is not there.
    table: Option<TableDescription>,
    has_items: bool,
}

impl Found {
    async fn look(postgres: &PostgresTarget, dynamodb: &DynamoDb) -> Result<Self> {
        let rows = async {
            match postgres.connect_if_there().await? {
                None => Ok(None),
                Some(mut connection) => connection.with(Rows::read).await.map(Some),
            }
        };
        let table = async {
            let table = table::describe_if_there(dynamodb, &dynamodb.target.table).await?;
            let has_items = table.is_some() && has_items(dynamodb).await?;
            Ok((table, has_items))
        };
        let (postgres, (table, has_items)) = tokio::try_join!(rows, table)?;
        Ok(Self { postgres, table, has_items })
    }

    /// What is not as `sources` say, a sentence each.
    fn changes(&self, sources: &Sources) -> Vec<String> {
        let state = match &self.postgres {
            None => "the Postgres database is not there",
            Some(Rows { counts: [Some(_), Some(_)], record: Some(record) }) => {
                return record.changes(sources, self.table.as_ref());
            }
            Some(Rows { counts: [Some(_), Some(_)], record: None }) => "no set-up of them was finished",
            Some(_) => "a table of the Postgres database is not there",
        };
        vec![state.to_owned()]
    }

    /// What a set-up would remove; none if there is nothing.
    fn loss(&self) -> Option<String> {
        let counts = self.postgres.as_ref().map_or([None; 2], |rows| rows.counts);
        let [users, activities] = counts.map(|count| count.unwrap_or_default().unsigned_abs());
        let loss = [
            (users > 0).then(|| counted(users, "user", "users")),
            (activities > 0).then(|| counted(activities, "activity", "activities")),
            self.has_items.then(|| "the messages".to_owned()),
        ];
        let loss: Vec<_> = loss.into_iter().flatten().collect();
        (!loss.is_empty()).then(|| loss.join(", "))
    }

    /// Asks whether the databases may be set up anew, if anything would be lost.
    async fn ask(&self, context: &Context, answer: Answer) -> Result<()> {
        let Some(loss) = self.loss() else { return Ok(()) };
        if answer.yes || context.environment.is_ci() {
            return Ok(());
        }
        let problem = if stdin().is_terminal() {
            let question = format!("Set both databases up anew, and lose {loss}? [y/N]");
            let typed = guard::ask(&context.ui, &question).await?;
            if ["y", "yes"].contains(&typed.to_lowercase().as_str()) {
                return Ok(());
            }
            "the databases stay as they are".to_owned()
        } else {
            format!("setting both databases up anew would lose {loss}, and nobody can be asked on this input")
        };
        let remedy =
            "add --yes to set them up anew; `cargo xtask run --as-is` runs the app with what is there";
        Err(Failure::new(problem, remedy).into())
    }
}

async fn has_items(dynamodb: &DynamoDb) -> Result<bool> {
    let scan = ScanInput::builder().table_name(&dynamodb.target.table);
    let response = read::pages(dynamodb, scan, Some(1), LastKey::Unknown, async |_| Ok(())).await?;
    Ok(response.count > 0)
}
