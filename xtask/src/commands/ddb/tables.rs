use std::borrow::Cow;
use std::io::Write as _;
use std::time::Duration;

use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::error::RequestError;
use crate::dynamodb::table;
use crate::error::{Failure, PREPARE};
use crate::facts::Facts;
use crate::poll::{self, Look};
use anyhow::Result;
use aws_sdk_dynamodb::types::TableDescription;
use backend_flask::messages;
use serde_json::json;

use super::backup::{self, BackupOptions};
use super::{Guarded, Reading, Writing};
use crate::commands::snapshot::Databases;
use crate::commands::undo::Undo;
use crate::context::Context;
use crate::guard;
use crate::output::{self, Format, stdout};
use crate::text::printable;

/// How long a table may take to become active or to be deleted. Both are asynchronous on AWS.
const TABLE_BOUND: Duration = Duration::from_secs(120);

fn after_interruption(production: bool) -> &'static str {
    match production {
        false => "see what there is with `cargo xtask ddb list-tables`",
        true => "see what there is with `cargo xtask ddb list-tables --prod`",
    }
}

/// `ddb schema-load`.
pub(super) async fn create(context: &Context, writing: Writing) -> Result<()> {
    let production = writing.target.prod;
    context.ui.stop.remedy(after_interruption(production));
    let _lock = writing.lock(context, "ddb schema-load").await?;
    let dynamodb = writing.target.dynamodb(context).await?;
    if !writing.rehearsal.dry_run {
        return schema_load(&dynamodb).await.map(|_| ());
    }
    let name = dynamodb.target.table.as_str();
    if has_messages_table(&dynamodb).await? {
        return Err(exists_already(&dynamodb).into());
    }
    let facts = [Facts::of_table(&dynamodb, name, None)];
    guard::rehearse(&context.ui, production, "create the table", &facts);
    Ok(())
}

/// Creates the messages table and waits until it accepts items. Returns its description.
pub(crate) async fn schema_load(dynamodb: &DynamoDb) -> Result<TableDescription> {
    let name = &dynamodb.target.table;
    let request = messages::create_table(name);
    let create = async {
        let created = dynamodb.send(async || request.clone().send_with(&dynamodb.client).await).await;
        let created = created.map_err(|error| match RequestError::code_of(&error) {
            Some("ResourceInUseException") => exists_already(dynamodb).into(),
            _ => error,
        })?;
        if let Some(table) = created.table_description.filter(table::is_active) {
            return Ok(table);
        }
        poll::until_ready(TABLE_BOUND, interval(dynamodb), async || {
            match table::describe_if_there(dynamodb, name).await {
                Ok(Some(table)) if table::is_active(&table) => Look::Ready(table),
                Ok(Some(_)) => Look::NotYet(format!("table {name} is not active yet")),
                // AWS may not know a new table everywhere yet.
                Ok(None) => Look::NotYet("it does not exist yet".to_owned()),
                Err(error) => Look::Failed(error),
            }
        })
        .await
    };
    dynamodb.ui.run_whole(format!("DynamoDB: create table {name}"), create).await
}

fn exists_already(dynamodb: &DynamoDb) -> Failure {
    let (name, prod) = (&dynamodb.target.table, dynamodb.target.prod());
    let remedy = format!("use it as it is; `cargo xtask ddb drop {name}{prod}` drops it, with all its items");
    Failure::new(format!("table {name} exists already"), remedy)
}

pub(crate) async fn has_messages_table(dynamodb: &DynamoDb) -> Result<bool> {
    Ok(table::describe_if_there(dynamodb, &dynamodb.target.table).await?.is_some())
}

#[derive(Debug, clap::Args)]
pub(crate) struct DropTable {
    /// The table's name
    table: String,
    #[command(flatten)]
    guarded: Guarded,
    #[command(flatten)]
    backup: BackupOptions,
    #[command(flatten)]
    undo: Undo,
}

impl DropTable {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        if let Some(name) = self.backup.named() {
            backup::check_name(name)?;
        }
        context.ui.stop.remedy(after_interruption(self.guarded.is_production()));
        let _lock = self.guarded.lock(context, "ddb drop").await?;
        let dynamodb = self.guarded.dynamodb(context).await?;
        if self.guarded.shows() && !self.prepare(context, &dynamodb).await? {
            return Ok(());
        }
        // A snapshot holds only the messages table.
        if self.table == dynamodb.target.table {
            let lost = Databases { postgres: None, dynamodb: Some(&dynamodb) };
            self.undo.keep(context, lost, "ddb-drop", None).await?;
        }
        let drop = async {
            if delete(&dynamodb, &self.table).await? {
                return Ok(());
            }
            let problem = format!("there is no table {} in {}", self.table, dynamodb.target);
            Err(Failure::new(problem, after_interruption(dynamodb.target.is_production())).into())
        };
        context.ui.run_whole(format!("DynamoDB: drop table {}", self.table), drop).await
    }

    /// Before the drop: shows the table, asks the user, and makes a backup if one is wanted. Returns whether to drop.
    async fn prepare(&self, context: &Context, dynamodb: &DynamoDb) -> Result<bool> {
        let (table, ui) = (self.table.as_str(), &context.ui);
        let description = table::describe(dynamodb, table).await?;
        let is_protected = description.deletion_protection_enabled.unwrap_or_default();
        let facts = [Facts::of_table(dynamodb, table, Some(&description))];
        let deed = match self.backup.named() {
            Some(name) => format!("make backup {name}, then drop the table and lose its items"),
            None => "drop the table and lose its items".to_owned(),
        };
        if is_protected {
            return Err(protected(table).into());
        }
        let confirmed = self.guarded.confirm.as_deref();
        if !self.guarded.pass(context, &deed, &facts, table, self.backup.hint(confirmed)).await? {
            return Ok(false);
        }
        if let Some(name) = self.backup.name(ui, confirmed).await? {
            backup::check_name(&name)?;
            backup::make(dynamodb, table, &name).await?;
        }
        Ok(true)
    }
}

/// The error for deletion protection. Somebody turned it on, so no command turns it off.
fn protected(table: &str) -> Failure {
    let problem = format!("table {table} is protected from deletion; nothing was changed");
    let remedy = format!(
        "to drop it anyway: `aws dynamodb update-table --table-name {table} \
         --no-deletion-protection-enabled`, then run this again"
    );
    Failure::new(problem, remedy)
}

pub(crate) async fn drop_if_exists(dynamodb: &DynamoDb, table: &str) -> Result<()> {
    let label = format!("DynamoDB: drop table {table} if it exists");
    dynamodb.ui.run_whole(label, delete(dynamodb, table)).await.map(|_| ())
}

/// Deletes a table and waits until it is gone. Returns whether it existed.
async fn delete(dynamodb: &DynamoDb, table: &str) -> Result<bool> {
    let existed = poll::until_ready(TABLE_BOUND, interval(dynamodb), async || {
        let delete = async || dynamodb.client.delete_table().table_name(table).send().await;
        let error = match dynamodb.send(delete).await {
            Ok(_) => return Look::Ready(true),
            Err(error) => error,
        };
        match RequestError::code_of(&error) {
            Some("ResourceNotFoundException") => Look::Ready(false),
            // Another run is creating or deleting it and did not wait for the end.
            Some("ResourceInUseException") => Look::NotYet(format!("{error:#}")),
            Some(_) if format!("{error:#}").contains("protected against deletion") => {
                Look::Failed(protected(table).into())
            }
            _ => Look::Failed(error),
        }
    })
    .await?;
    if existed {
        poll::until_ready(TABLE_BOUND, interval(dynamodb), async || {
            match table::describe_if_there(dynamodb, table).await {
                Ok(Some(_)) => Look::NotYet(format!("table {table} is still being deleted")),
                Ok(None) => Look::Ready(()),
                Err(error) => Look::Failed(error),
            }
        })
        .await?;
    }
    Ok(existed)
}

/// The pause between checks. A local server takes milliseconds; AWS takes seconds and limits these calls.
fn interval(dynamodb: &DynamoDb) -> Duration {
    Duration::from_millis(if dynamodb.target.is_production() { 1_000 } else { 5 })
}

/// `ddb list-tables`.
pub(super) async fn list(context: &Context, Reading { output, target }: Reading) -> Result<()> {
    let dynamodb = target.dynamodb(context).await?;
    let names = table_names(&dynamodb).await?;
    let mut out = stdout();
    match output.format {
        Format::Table => {
            names.iter().try_for_each(|name| writeln!(out, "{}", printable(Cow::Borrowed(name))))?;
        }
        Format::Json => output::print_json(&json!({ "TableNames": names }))?,
        Format::Jsonl => names.iter().try_for_each(|name| writeln!(out, "{}", json!(name)))?,
    }
    if names.is_empty() {
        match dynamodb.target.prod() {
            "" => context.ui.note(format_args!("no tables; {PREPARE}")),
            prod => {
                context.ui.note(format_args!("no tables; `cargo xtask ddb schema-load{prod}` creates one"))
            }
        }
    }
    Ok(())
}

pub(crate) async fn table_names(dynamodb: &DynamoDb) -> Result<Vec<String>> {
    let list = || dynamodb.client.list_tables().into_paginator().items().send();
    dynamodb.send(async || list().try_collect().await).await
}
