//! `cargo xtask ddb`: the DynamoDB commands.

mod backup;
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
use crate::facts::Facts;
use anyhow::Result;
use clap::Subcommand;

use super::target::{Guarded, Target, Writing};
use crate::context::Context;

pub(crate) use seed::{People, Seed, SeedOptions, Table};
pub(crate) use tables::{drop_if_exists, has_messages_table, schema_load};

#[derive(Debug, Subcommand)]
pub(crate) enum Ddb {
    /// Create the messages table and wait until it is active
    SchemaLoad(tables::SchemaLoad),
    /// List the tables
    ListTables(tables::ListTables),
    /// Drop a table and wait until it is gone
    Drop(tables::DropTable),
    /// Write the seed conversation into the messages table, in place of an earlier one; or a synthetic
    /// population, as large as you like
    Seed(seed::SeedCommand),
    /// Print every item of a table
    ///
    /// A large table is read in segments at once, and its items come in no order. With --limit it is read in
    /// one piece.
    Scan(scan::Scan),
    /// Print the items of one partition, in the order of their sort key
    ///
    /// Keys are written as they are: a number for a number key, base64 for a binary one.
    Query(query::Query),
    /// Print one item, by its key
    Get(item::Get),
    /// Put one item, in place of the one that has its key
    Put(item::Put),
    /// Delete one item, by its key
    Delete(item::Delete),
    /// Write a table's items into a file
    ///
    /// The file's name says its form: .jsonl or .csv, compressed with .gz or .zst behind that.
    Export(export::Export),
    /// Put a file's items into a table
    ///
    /// The file's name says its form: .jsonl or .csv, compressed with .gz or .zst behind that. An item replaces the
    /// one that has its key, so an import that was interrupted can be run again. It prints the --from-line to go on
    /// from.
    Import(import::Import),
    /// Ask for messages and conversations as the app does
    #[command(subcommand)]
    Patterns(patterns::Patterns),
}

impl Ddb {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        match self {
            Self::SchemaLoad(command) => command.run(context).await,
            Self::ListTables(command) => command.run(context).await,
            Self::Drop(command) => command.run(context).await,
            Self::Seed(command) => command.run(context).await,
            Self::Scan(command) => command.run(context).await,
            Self::Query(command) => command.run(context).await,
            Self::Get(command) => command.run(context).await,
            Self::Put(command) => command.run(context).await,
            Self::Delete(command) => command.run(context).await,
            Self::Export(command) => command.run(context).await,
            Self::Import(command) => command.run(context).await,
            Self::Patterns(command) => command.run(context).await,
        }
    }
}

impl Target {
    async fn dynamodb(self, context: &Context) -> Result<DynamoDb> {
        DynamoDb::new(&context.dynamodb(self.prod).await?, &context.ui).await
    }
}

impl Writing {
    async fn dynamodb(self, context: &Context) -> Result<DynamoDb> {
        DynamoDb::new(&context.dynamodb(self.target.prod).await?, &context.ui).await
    }
}

impl Guarded {
    /// The target, before it is certain that the user means it.
    async fn dynamodb(&self, context: &Context) -> Result<DynamoDb> {
        self.writing.dynamodb(context).await
    }

    /// The target, once it is certain that the user means it; none where the deed has been rehearsed only.
    /// `table` is none for the messages table.
    async fn resolve(&self, context: &Context, deed: &str, table: Option<&str>) -> Result<Option<DynamoDb>> {
        let dynamodb = self.dynamodb(context).await?;
        let is_meant = self.is_meant(context, &dynamodb, deed, table, Vec::new()).await?;
        Ok(is_meant.then_some(dynamodb))
    }

    /// Whether the user means it, after the target was shown where it is to be, behind the `facts` of others.
    async fn is_meant(
        &self,
        context: &Context,
        dynamodb: &DynamoDb,
        deed: &str,
        table: Option<&str>,
        mut facts: Vec<Facts>,
    ) -> Result<bool> {
        if !self.shows() {
            return Ok(true);
        }
        let name = table.unwrap_or(&dynamodb.target.table);
        let description = table::describe(dynamodb, name).await?;
        facts.push(Facts::of_table(dynamodb, name, Some(&description)));
        self.pass(context, deed, &facts, name, "").await
    }
}
