use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::TableStatus;
use backend_flask::messages;
use serde_json::json;

use super::backup::{self, BackupOptions};
use super::{Guarded, Target, Writing};
use crate::context::Context;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::guard::Guard;
use crate::output::{self, Format};
use crate::poll::{self, Look};
use crate::table::TableDescription;
use crate::target::DynamoDbTarget;
use crate::ui::Ui;

/// How long a table may take to become active, or to be gone. Both are asynchronous on AWS.
const TABLE_BOUND: Duration = Duration::from_secs(120);

/// What helps after an interruption.
const LOOK: &str = "see what there is with `cargo xtask ddb list-tables`";

/// Create the messages table and wait until it is active
#[derive(Debug, clap::Args)]
pub(crate) struct SchemaLoad {
    #[command(flatten)]
    writing: Writing,
}

impl SchemaLoad {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        context.ui.stop.remedy(LOOK);
        let _lock = self.writing.lock(context, "ddb schema-load").await?;
        let target = self.writing.resolve(context).await?;
        if self.writing.rehearsal.dry_run {
            return self.rehearse(context, &target).await;
        }
        schema_load(&context.ui, &target, &target.client().await?).await
    }

    async fn rehearse(&self, context: &Context, target: &DynamoDbTarget) -> Result<()> {
        let (wire, name) = (target.wire(&context.ui).await?, target.table.as_str());
        let description = TableDescription::read_if_there(&wire, name).await?;
        let facts = [Facts::of_table(&wire, name, description.as_ref())];
        let deed = match description {
            None => "create the table",
            Some(_) => "refuse to create the table, which exists already",
        };
        let production = self.writing.target.prod;
        Guard { deed, facts: &facts, name, production, hint: "" }.rehearse(&context.ui);
        Ok(())
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
    ui.run_whole(format!("DynamoDB: create table {table}"), create).await
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
    backup: BackupOptions,
    #[command(flatten)]
    guarded: Guarded,
}

impl Drop {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        if let Some(name) = self.backup.named() {
            backup::check_name(name)?;
        }
        context.ui.stop.remedy(LOOK);
        let _lock = self.guarded.lock(context, "ddb drop").await?;
        let target = self.guarded.target(context).await?;
        if self.guarded.shows() && !self.prepare(context, &target).await? {
            return Ok(());
        }
        let client = target.client().await?;
        let _held = context.ui.stop.hold().await;
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

impl Drop {
    /// What comes before the drop: the table is shown, the user is asked, and a backup is made where one is
    /// wanted. Whether the table is to be dropped.
    async fn prepare(&self, context: &Context, target: &DynamoDbTarget) -> Result<bool> {
        let (wire, table, ui) = (target.wire(&context.ui).await?, self.table.as_str(), &context.ui);
        let description = TableDescription::read(&wire, table).await?;
        let is_protected = description.deletion_protection_enabled;
        let facts = [Facts::of_table(&wire, table, Some(&description))];
        let deed = match self.backup.named() {
            _ if is_protected => "refuse to drop the table, which is protected from deletion".to_owned(),
            Some(name) => format!("make backup {name}, then drop the table and lose its items"),
            None => "drop the table and lose its items".to_owned(),
        };
        if is_protected && !self.guarded.is_rehearsal() {
            return Err(protected(table).into());
        }
        let confirmed = self.guarded.confirm.as_deref();
        if !self.guarded.pass(context, &deed, &facts, table, self.backup.hint(confirmed))? {
            return Ok(false);
        }
        if let Some(name) = self.backup.name(ui, confirmed)? {
            backup::check_name(&name)?;
            backup::make(ui, &wire, table, &name).await?;
        }
        Ok(true)
    }
}

/// Deletion protection is somebody's word that the table stays: nothing here takes it back.
fn protected(table: &str) -> Failure {
    let problem = format!("table {table} is protected from deletion; nothing was changed");
    let remedy = format!(
        "if it is really to go: `aws dynamodb update-table --table-name {table} \
         --no-deletion-protection-enabled`, then run this again"
    );
    Failure::new(problem, remedy)
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
    let label = format!("DynamoDB: drop table {table} if it exists");
    ui.run_whole(label, delete(target, client, table)).await.map(|_| ())
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
            Err(error) if error.message().is_some_and(|text| text.contains("protected against deletion")) => {
                Look::Failed(protected(table).into())
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
        let target = self.target.resolve(context).await?;
        let client = target.client().await?;
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
