//! `cargo xtask ddb`: the DynamoDB commands.

mod backup;
mod cost;
mod export;
pub(crate) mod expressions;
mod import;
mod item;
mod patterns;
mod population;
mod query;
mod scan;
mod seed;
mod tables;

use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::table;
use crate::dynamodb::target::DynamoDbTarget;
use crate::facts::Facts;
use anyhow::Result;
use clap::Subcommand;

use super::target::{Guarded, Reading, Target, WHERE, Writing};
use crate::context::Context;

pub(crate) use export::write_file;
pub(crate) use seed::{KEYS, Seed, SeedOptions};
pub(crate) use tables::{drop_if_exists, has_messages_table, schema_load, table_names};

#[derive(Debug, Subcommand)]
pub(crate) enum Ddb {
    /// Create the messages table
    #[command(after_long_help = "Examples:
  cargo xtask ddb schema-load")]
    SchemaLoad(Writing),
    /// List the tables
    #[command(after_long_help = "Examples:
  cargo xtask ddb list-tables
  cargo xtask ddb list-tables -o json")]
    ListTables(Reading),
    /// Drop a table
    #[command(after_long_help = "Examples:
  cargo xtask ddb drop cruddur-messages
  cargo xtask ddb drop cruddur-messages --prod --backup before-drop")]
    Drop(tables::DropTable),
    /// Write the seed conversation, or a synthetic population
    ///
    /// The conversation replaces an earlier one. Other items stay.
    ///
    /// A population is synthetic data of any size, in both databases. It replaces an earlier population. The same
    /// options give the same data.
    #[command(after_long_help = "Examples:
  cargo xtask ddb seed
  cargo xtask ddb seed --file my-conversation.txt
  cargo xtask ddb seed --messages 10000 --users 200")]
    Seed(seed::SeedCommand),
    /// Remove the synthetic population from both databases
    ///
    /// Removes what `ddb seed --messages` wrote: its users with their activities, and its items. Other rows and items
    /// stay.
    #[command(after_long_help = "Examples:
  cargo xtask ddb remove-population
  cargo xtask ddb remove-population --dry-run")]
    RemovePopulation(Guarded),
    /// Print every item of a table
    ///
    /// A large table is read in parallel segments, so its items are in no particular order. With --limit it is read
    /// as one segment.
    #[command(after_long_help = "Examples:
  cargo xtask ddb scan --limit 10
  cargo xtask ddb scan --filter \"user_handle = :h\" --values :h=bayko
  cargo xtask ddb scan -o jsonl | jq .message")]
    Scan(scan::Scan),
    /// Print the items of one partition, ordered by sort key
    ///
    /// Write keys as they are: a number for a number key, base64 for a binary one.
    #[command(after_long_help = "Examples:
  cargo xtask ddb query --pk \"MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399\"
  cargo xtask ddb query --pk \"GRP#1\" --begins-with 2026- --desc --limit 5")]
    Query(query::Query),
    /// Print one item
    #[command(after_long_help = "Examples:
  cargo xtask ddb get PK SK
  cargo xtask ddb get --table users 42 -o json")]
    Get(item::Get),
    /// Put one item, and replace an item with the same key
    ///
    /// Prints the item that it replaced.
    #[command(after_long_help = "Examples:
  cargo xtask ddb put '{\"pk\": \"a\", \"sk\": \"b\", \"n\": 1}'
  cargo xtask ddb put --condition \"attribute_not_exists(pk)\" <item.json")]
    Put(item::Put),
    /// Update one item, or create it
    ///
    /// The expression is DynamoDB's: set, remove, add and delete. Prints the item as it is now.
    #[command(after_long_help = "Examples:
  cargo xtask ddb update PK SK --expression \"set message = :m\" --values :m=Hello
  cargo xtask ddb update PK SK --expression \"add n :one\" --values :one=1")]
    Update(item::Update),
    /// Delete one item
    ///
    /// Prints the item that was there.
    #[command(after_long_help = "Examples:
  cargo xtask ddb delete PK SK")]
    Delete(item::Delete),
    /// Write a table's items into a file
    ///
    /// The file's name gives its format: .jsonl or .csv, followed by .gz or .zst to compress it. An import restores
    /// every type exactly.
    #[command(after_long_help = "Examples:
  cargo xtask ddb export items.jsonl
  cargo xtask ddb export items.csv.gz --table users
  cargo xtask ddb export - | gzip >items.jsonl.gz")]
    Export(export::Export),
    /// Write a file's items into a table
    ///
    /// The file's name gives its format: .jsonl or .csv, followed by .gz or .zst if it is compressed. An item
    /// replaces one with the same key, so an interrupted import can be run again. It prints the --from-line to
    /// continue from.
    #[command(after_long_help = "Examples:
  cargo xtask ddb import items.jsonl
  cargo xtask ddb import items.csv --table users --reject")]
    Import(import::Import),
    /// Ask for messages and conversations as the app does
    #[command(subcommand)]
    Patterns(patterns::Patterns),
}

impl Ddb {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        match self {
            Self::SchemaLoad(writing) => tables::create(context, writing).await,
            Self::ListTables(reading) => tables::list(context, reading).await,
            Self::Drop(command) => command.run(context).await,
            Self::Seed(command) => command.run(context).await,
            Self::RemovePopulation(guarded) => population::remove_all(context, &guarded).await,
            Self::Scan(command) => command.run(context).await,
            Self::Query(command) => command.run(context).await,
            Self::Get(command) => command.run(context).await,
            Self::Put(command) => command.run(context).await,
            Self::Update(command) => command.run(context).await,
            Self::Delete(command) => command.run(context).await,
            Self::Export(command) => command.run(context).await,
            Self::Import(command) => command.run(context).await,
            Self::Patterns(command) => command.run(context).await,
        }
    }
}

#[derive(Debug, clap::Args)]
struct TableArgument {
    /// The table [default: the messages table]
    #[arg(long, value_name = "NAME", help_heading = WHERE)]
    table: Option<String>,
}

impl TableArgument {
    fn of<'a>(&'a self, target: &'a DynamoDbTarget) -> &'a str {
        self.table.as_ref().unwrap_or(&target.table)
    }
}

impl Target {
    async fn dynamodb(self, context: &Context) -> Result<DynamoDb> {
        DynamoDb::new(&context.dynamodb(self.prod).await?, &context.ui).await
    }
}

impl Guarded {
    /// The target, before the user has confirmed.
    async fn dynamodb(&self, context: &Context) -> Result<DynamoDb> {
        self.writing.target.dynamodb(context).await
    }

    /// Shows the table, if it has to be shown, and asks the user. Returns whether to go on.
    async fn is_meant(
        &self,
        context: &Context,
        dynamodb: &DynamoDb,
        deed: &str,
        table: &str,
    ) -> Result<bool> {
        if !self.shows() {
            return Ok(true);
        }
        let description = table::describe(dynamodb, table).await?;
        let facts = [Facts::of_table(dynamodb, table, Some(&description))];
        self.pass(context, deed, &facts, table, "").await
    }
}
