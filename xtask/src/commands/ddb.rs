//! `cargo xtask ddb`: the DynamoDB commands.

mod export;
mod expressions;
mod import;
mod item;
mod patterns;
mod population;
mod query;
mod scan;
mod seed;
mod table;

use anyhow::Result;
use clap::Subcommand;

use super::Run;
use crate::context::Context;
use crate::guard::Guard;
use crate::target::DynamoDbTarget;

pub(crate) use seed::{People, Seed, SeedOptions, Table};
pub(crate) use table::{drop_if_exists, has_messages_table, schema_load};

/// DynamoDB: create, seed and look at the messages table
#[derive(Debug, Subcommand)]
pub(crate) enum Ddb {
    SchemaLoad(table::SchemaLoad),
    ListTables(table::ListTables),
    Drop(table::Drop),
    Seed(seed::SeedCommand),
    Scan(scan::Scan),
    Query(query::Query),
    Get(item::Get),
    Put(item::Put),
    Delete(item::Delete),
    Export(export::Export),
    Import(import::Import),
    #[command(subcommand)]
    Patterns(patterns::Patterns),
}

impl Ddb {
    pub(crate) fn run(self, context: &Context) -> Run<'_> {
        match self {
            Self::SchemaLoad(command) => Box::pin(command.run(context)),
            Self::ListTables(command) => Box::pin(command.run(context)),
            Self::Drop(command) => Box::pin(command.run(context)),
            Self::Seed(command) => Box::pin(command.run(context)),
            Self::Scan(command) => Box::pin(command.run(context)),
            Self::Query(command) => Box::pin(command.run(context)),
            Self::Get(command) => Box::pin(command.run(context)),
            Self::Put(command) => Box::pin(command.run(context)),
            Self::Delete(command) => Box::pin(command.run(context)),
            Self::Export(command) => Box::pin(command.run(context)),
            Self::Import(command) => Box::pin(command.run(context)),
            Self::Patterns(command) => command.run(context),
        }
    }
}

/// Which DynamoDB.
#[derive(Debug, Clone, Copy, clap::Args)]
struct Target {
    /// Production's: AWS's credential chain and region say where
    #[arg(long)]
    prod: bool,
}

/// Which DynamoDB, for a command that destroys or overwrites.
#[derive(Debug, clap::Args)]
struct Guarded {
    #[command(flatten)]
    target: Target,
    /// With --prod: the table's name, instead of typing it
    #[arg(long, value_name = "NAME", requires = "prod")]
    confirm: Option<String>,
}

impl Target {
    fn resolve(self, context: &Context) -> Result<DynamoDbTarget> {
        context.dynamodb(self.prod)
    }
}

impl Guarded {
    /// The target, once it is certain that the user means it. `table` is none for the messages table.
    fn resolve(&self, context: &Context, what: &str, table: Option<&str>) -> Result<DynamoDbTarget> {
        let target = self.target.resolve(context)?;
        let name = table.unwrap_or(&target.table);
        if self.target.prod {
            let shown = format!("table {name} in {target}");
            Guard { what, target: &shown, name }.pass(&context.ui, self.confirm.as_deref())?;
        }
        Ok(target)
    }
}
