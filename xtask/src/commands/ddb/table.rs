use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::TableStatus;
use backend_flask::messages;
use serde_json::json;

use super::{Guarded, Target};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::poll::{self, Look};
use crate::target::DynamoDbTarget;
use crate::ui::Ui;

/// How long a table may take to become active, or to be gone. Both are asynchronous on AWS.
const TABLE_BOUND: Duration = Duration::from_secs(120);

/// Create the messages table and wait until it is active
#[derive(Debug, clap::Args)]
pub(crate) struct SchemaLoad {
    #[command(flatten)]
    target: Target,
}

impl SchemaLoad {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let _lock = context.lock(self.target.prod, "ddb schema-load").await?;
        let target = self.target.resolve(context)?;
        schema_load(&context.ui, &target, &target.client().await).await
    }
}

/// Creates the messages table.
///
/// # Errors
/// It exists already, or did not become active in time.
pub(crate) async fn schema_load(ui: &Ui, target: &DynamoDbTarget, client: &Client) -> Result<()> {
    let table = &target.table;
    let create = async {
        let created = messages::create_table(table).send_with(client).await.map_err(|error| {
            if error.code() == Some("ResourceInUseException") {
                let remedy = format!("drop it first with `cargo xtask ddb drop {table}`");
                return Failure::new(format!("table {table} exists already"), remedy).into();
            }
            target.explain(error)
        })?;
        let status = created.table_description.and_then(|description| description.table_status);
        if status == Some(TableStatus::Active) {
            return Ok(());
        }
        poll::until_ready(TABLE_BOUND, interval(target), async || {
            match client.describe_table().table_name(table).send().await {
                Ok(answer) => match answer.table.and_then(|table| table.table_status) {
                    Some(TableStatus::Active) => Look::Ready(()),
                    status => Look::NotYet(format!(
                        "table {table} is {}",
                        status.map_or("unknown".to_owned(), |s| s.to_string())
                    )),
                },
                // A table that was just created may not be known everywhere yet.
                Err(error) if error.code() == Some("ResourceNotFoundException") => {
                    Look::NotYet("it is not there yet".to_owned())
                }
                Err(error) => Look::Failed(target.explain(error)),
            }
        })
        .await
    };
    ui.run(format!("DynamoDB: create table {table}"), create).await
}

/// Whether the messages table is there.
///
/// # Errors
/// The server refused to say.
pub(crate) async fn has_messages_table(target: &DynamoDbTarget, client: &Client) -> Result<bool> {
    match client.describe_table().table_name(&target.table).send().await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(false),
        Err(error) => Err(target.explain(error)),
    }
}

/// Drop a table and wait until it is gone
#[derive(Debug, clap::Args)]
pub(crate) struct Drop {
    /// The table's name
    table: String,
    #[command(flatten)]
    guarded: Guarded,
}

impl Drop {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let _lock = context.lock(self.guarded.target.prod, "ddb drop").await?;
        let target = self.guarded.resolve(context, "drop the table and lose its items", Some(&self.table))?;
        let client = target.client().await;
        let step = context.ui.step(format!("DynamoDB: drop table {}", self.table));
        match delete(&target, &client, &self.table).await {
            Ok(true) => {
                step.done("");
                Ok(())
            }
            Ok(false) => {
                let problem = format!("there is no table {} in {target}", self.table);
                let error: anyhow::Error =
                    Failure::new(problem, "see which there are with `cargo xtask ddb list-tables`").into();
                Err(error.context(step.failed()))
            }
            Err(error) => Err(error.context(step.failed())),
        }
    }
}

/// Drops a table, if there is one of that name.
///
/// # Errors
/// The server refused, or the table was not gone in time.
pub(crate) async fn drop_if_exists(
    ui: &Ui,
    target: &DynamoDbTarget,
    client: &Client,
    table: &str,
) -> Result<()> {
    ui.run(format!("DynamoDB: drop table {table} if it exists"), delete(target, client, table))
        .await
        .map(|_| ())
}

/// Deletes a table and waits until it is gone. Returns whether there was one.
async fn delete(target: &DynamoDbTarget, client: &Client, table: &str) -> Result<bool> {
    let existed = poll::until_ready(TABLE_BOUND, interval(target), async || {
        match client.delete_table().table_name(table).send().await {
            Ok(_) => Look::Ready(true),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Look::Ready(false),
            // It is being created or deleted by a run that did not wait for the end.
            Err(error) if error.code() == Some("ResourceInUseException") => {
                Look::NotYet(target.explain(error).to_string())
            }
            Err(error) => Look::Failed(target.explain(error)),
        }
    })
    .await?;
    if existed {
        poll::until_ready(TABLE_BOUND, interval(target), async || {
            match client.describe_table().table_name(table).send().await {
                Ok(_) => Look::NotYet(format!("table {table} is still being deleted")),
                Err(error) if error.code() == Some("ResourceNotFoundException") => Look::Ready(()),
                Err(error) => Look::Failed(target.explain(error)),
            }
        })
        .await?;
    }
    Ok(existed)
}

/// A local server changes a table within milliseconds; AWS takes seconds and limits such calls.
fn interval(target: &DynamoDbTarget) -> Duration {
    Duration::from_millis(if target.is_production() { 1_000 } else { 5 })
}

/// List the tables
#[derive(Debug, clap::Args)]
pub(crate) struct ListTables {
    #[command(flatten)]
    target: Target,
}

impl ListTables {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let target = self.target.resolve(context)?;
        let client = target.client().await;
        let mut pages = client.list_tables().into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            names.extend(page.map_err(|error| target.explain(error))?.table_names.unwrap_or_default());
        }
        let mut out = std::io::stdout().lock();
        match context.format {
            Format::Table => names.iter().try_for_each(|name| writeln!(out, "{name}"))?,
            Format::Json => output::print_json(&json!({ "TableNames": names }))?,
            Format::Jsonl => names.iter().try_for_each(|name| writeln!(out, "{}", json!(name)))?,
        }
        if names.is_empty() {
            context.ui.line("no tables; `cargo xtask ddb schema-load` creates one");
        }
        Ok(())
    }
}
