use std::io::Write as _;
use std::time::Duration;

use crate::dynamodb::items::stdout;
use crate::dynamodb::table::TableDescription;
use crate::dynamodb::wire::Wire;
use crate::error::Failure;
use crate::facts::Facts;
use crate::poll::{self, Look};
use crate::targets::DynamoDbTarget;
use anyhow::Result;
use backend_flask::messages;
use serde::Deserialize;
use serde_json::json;

use super::backup::{self, BackupOptions};
use super::{Guarded, Target, Writing};
use crate::context::Context;
use crate::guard::Guard;
use crate::output::{self, Format};

/// How long a table may take to become active, or to be gone. Both are asynchronous on AWS.
const TABLE_BOUND: Duration = Duration::from_secs(120);

/// What helps after an interruption.
const LOOK: &str = "see what there is with `cargo xtask ddb list-tables`";

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
        schema_load(&target.wire(&context.ui).await?).await
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
pub(crate) async fn schema_load(wire: &Wire) -> Result<()> {
    let table = &wire.target.table;
    let create = async {
        let created = TableDescription::create(wire, &messages::create_table(table)).await?;
        let created = created.map_err(|trouble| match trouble.code() {
            Some("ResourceInUseException") => {
                let remedy = format!("drop it first with `cargo xtask ddb drop {table}`");
                Failure::new(format!("table {table} exists already"), remedy).into()
            }
            _ => wire.target.failure(trouble),
        })?;
        if created.is_active() {
            return Ok(());
        }
        poll::until_ready(TABLE_BOUND, interval(wire), async || {
            match TableDescription::read_if_there(wire, table).await {
                Ok(Some(now)) if now.is_active() => Look::Ready(()),
                Ok(Some(now)) => Look::NotYet(format!("table {table} is {}", now.table_status)),
                // A table that was just created may not be known everywhere yet.
                Ok(None) => Look::NotYet("it is not there yet".to_owned()),
                Err(error) => Look::Failed(error),
            }
        })
        .await
    };
    wire.ui.run_whole(format!("DynamoDB: create table {table}"), create).await
}

/// Whether the messages table is there.
///
/// # Errors
/// The server refused to say.
pub(crate) async fn has_messages_table(wire: &Wire) -> Result<bool> {
    Ok(TableDescription::read_if_there(wire, &wire.target.table).await?.is_some())
}

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
        let wire = target.wire(&context.ui).await?;
        let _held = context.ui.stop.hold().await;
        let step = context.ui.step(format!("DynamoDB: drop table {}", self.table));
        match delete(&wire, &self.table).await {
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
        if !self.guarded.pass(context, &deed, &facts, table, self.backup.hint(confirmed)).await? {
            return Ok(false);
        }
        if let Some(name) = self.backup.name(ui, confirmed).await? {
            backup::check_name(&name)?;
            backup::make(&wire, table, &name).await?;
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
pub(crate) async fn drop_if_exists(wire: &Wire, table: &str) -> Result<()> {
    let label = format!("DynamoDB: drop table {table} if it exists");
    wire.ui.run_whole(label, delete(wire, table)).await.map(|_| ())
}

/// Deletes a table and waits until it is gone. Returns whether there was one.
async fn delete(wire: &Wire, table: &str) -> Result<bool> {
    let body = json!({ "TableName": table }).to_string();
    let existed = poll::until_ready(TABLE_BOUND, interval(wire), async || {
        let trouble = match wire.try_call("DeleteTable", body.clone()).await {
            Ok(Ok(_)) => return Look::Ready(true),
            Ok(Err(trouble)) => trouble,
            Err(error) => return Look::Failed(error),
        };
        match trouble.code() {
            Some("ResourceNotFoundException") => Look::Ready(false),
            // It is being created or deleted by a run that did not wait for the end.
            Some("ResourceInUseException") => Look::NotYet(trouble.to_string()),
            Some(_) if trouble.to_string().contains("protected against deletion") => {
                Look::Failed(protected(table).into())
            }
            _ => Look::Failed(wire.target.failure(trouble)),
        }
    })
    .await?;
    if existed {
        poll::until_ready(TABLE_BOUND, interval(wire), async || {
            match TableDescription::read_if_there(wire, table).await {
                Ok(Some(_)) => Look::NotYet(format!("table {table} is still being deleted")),
                Ok(None) => Look::Ready(()),
                Err(error) => Look::Failed(error),
            }
        })
        .await?;
    }
    Ok(existed)
}

/// A local server changes a table within milliseconds; AWS takes seconds and limits such calls.
fn interval(wire: &Wire) -> Duration {
    Duration::from_millis(if wire.target.is_production() { 1_000 } else { 5 })
}

/// A page of ListTables' answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Names {
    table_names: Vec<String>,
    #[serde(rename = "LastEvaluatedTableName")]
    last: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListTables {
    #[command(flatten)]
    target: Target,
}

impl ListTables {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let wire = self.target.resolve(context).await?.wire(&context.ui).await?;
        let mut names = Vec::new();
        let mut body = json!({});
        loop {
            let answer = wire.call("ListTables", body.to_string()).await?;
            let mut page: Names = wire.parsed(&answer)?;
            names.append(&mut page.table_names);
            match page.last {
                Some(last) => body = json!({ "ExclusiveStartTableName": last }),
                None => break,
            }
        }
        let mut out = stdout();
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
