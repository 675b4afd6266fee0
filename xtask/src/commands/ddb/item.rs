//! The commands for one item: get, put, update, delete.

use std::io::{IsTerminal as _, Read as _, stdin};

use crate::dynamodb::client::{DynamoDb, once};
use crate::dynamodb::error::RequestError;
use crate::dynamodb::json::Item;
use crate::dynamodb::print::ItemOutput;
use crate::dynamodb::table::{self, Keys};
use crate::error::Failure;
use crate::targets::DynamoDbTarget;
use crate::ui::Ui;
use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::ReturnValue;

use super::expressions::{self, Placeholders, key_text};
use super::import::rules::Rules;
use super::query::key_of;
use super::{Guarded, TableArgument, Target};
use crate::context::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    #[command(flatten)]
    items: ItemOutput,
    #[command(flatten)]
    key: KeyArguments,
    /// Print only these attributes
    #[arg(long, value_name = "EXPRESSION")]
    projection: Option<String>,
    /// What `#name` stands for in the expression
    ///
    /// Written `#name=ATTRIBUTE`, or a JSON object of several.
    #[arg(long, value_name = "#NAME=ATTRIBUTE", requires = "projection")]
    names: Vec<String>,
    /// Read consistently, which costs twice as much
    #[arg(long)]
    consistent: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Put {
    #[command(flatten)]
    change: Change,
    /// The item: a JSON object, plain or in DynamoDB JSON [default: read from stdin]
    item: Option<String>,
    #[command(flatten)]
    table: TableArgument,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    /// What to change: set n = :n, remove a, add n :n, delete tags :t
    #[arg(long, value_name = "EXPRESSION")]
    expression: String,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    key: KeyArguments,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    key: KeyArguments,
}

#[derive(Debug, clap::Args)]
struct KeyArguments {
    /// The partition key
    #[arg(allow_hyphen_values = true)]
    pk: String,
    /// The sort key, where the table has one
    #[arg(allow_hyphen_values = true)]
    sk: Option<String>,
    #[command(flatten)]
    table: TableArgument,
}

/// The options of the commands that change an item.
#[derive(Debug, clap::Args)]
struct Change {
    #[command(flatten)]
    items: ItemOutput,
    /// Only if the item that is there meets this condition
    #[arg(long, value_name = "EXPRESSION")]
    condition: Option<String>,
    #[command(flatten)]
    placeholders: Placeholders,
    #[command(flatten)]
    guarded: Guarded,
}

impl KeyArguments {
    async fn key(&self, dynamodb: &DynamoDb, table: &str) -> Result<Item> {
        let description = table::describe(dynamodb, table).await?;
        let keys = Keys::of(&description, None).context("the table has no key")?;
        key_of(&keys, &self.pk, self.sk.as_deref())
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        [Some(&self.pk), self.sk.as_ref()].into_iter().flatten().map(String::as_str)
    }

    /// The key as messages show it.
    fn shown(&self) -> String {
        self.words().collect::<Vec<_>>().join(" ")
    }

    /// The key as arguments of a suggested command.
    fn typed(&self) -> String {
        shell_words::join(self.words())
    }
}

impl Get {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let form = self.items.form(Vec::new())?;
        let dynamodb = self.target.dynamodb(context).await?;
        let table = self.key.table.of(&dynamodb.target);
        let key = self.key.key(&dynamodb, table).await?;
        let request = dynamodb
            .client
            .get_item()
            .table_name(table)
            .set_key(Some(key))
            .set_projection_expression(self.projection)
            .set_expression_attribute_names(expressions::names(&self.names)?)
            .set_consistent_read(self.consistent.then_some(true));
        let answer = dynamodb.send(async || request.clone().send().await).await;
        match answer.with_context(|| format!("cannot get an item of table {table}"))?.item {
            Some(item) => form.print_one("Item", &item),
            None => Err(not_there(&self.key, table, &dynamodb.target).into()),
        }
    }
}

/// A request that changes an item: it has the condition, and is not repeated.
macro_rules! request {
    ($builder:expr, $table:expr, $change:expr) => {
        $builder
            .table_name($table)
            .set_condition_expression($change.condition.clone())
            .set_expression_attribute_names($change.placeholders.names()?)
            .set_expression_attribute_values($change.placeholders.values()?)
    };
}

impl Put {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let Self { change, item, table } = self;
        let form = change.items.form(Vec::new())?;
        let text = match item.filter(|text| text != "-") {
            Some(text) => text,
            None => read_stdin(&context.ui)?,
        };
        let item = crate::dynamodb::files::item_of(&text)
            .map_err(|why| Failure::usage(format!("the item cannot be read: {why}"), ITEM_FORM))?;
        let _lock = change.guarded.lock(context, "ddb put").await?;
        let dynamodb = change.guarded.dynamodb(context).await?;
        let table = table.of(&dynamodb.target);
        let description = table::describe(&dynamodb, table).await;
        let rules = Rules::of(&description.with_context(|| format!("no item was put into table {table}"))?)?;
        let item = rules.importable(item).map_err(|why| refused(table, &rules, &why))?;
        let key = shell_words::join(rules.key_names().filter_map(|name| key_text(item.get(name)?)));
        let request = request!(dynamodb.client.put_item(), table, change).set_item(Some(item));
        let request = request.return_values(ReturnValue::AllOld);
        let send = async || request.clone().customize().config_override(once()).send().await;
        let Some(answer) = change.send(context, &dynamodb, table, "put an item", send).await? else {
            return Ok(());
        };
        let answer =
            answer.map_err(|error| change.explain(error, "put into", &key, table, &dynamodb.target))?;
        context.ui.note(match answer.attributes {
            Some(_) => "put; this is what it replaced",
            None => "put: a new item",
        });
        answer.attributes.map_or(Ok(()), |item| form.print_one("Attributes", &item))
    }
}

const ITEM_FORM: &str =
    r#"write it as '{"pk": "a", "sk": "b"}', or as '{"pk": {"S": "a"}, "sk": {"S": "b"}}'"#;

/// The error for an item that breaks a rule of DynamoDB's.
fn refused(table: &str, rules: &Rules, why: &str) -> Failure {
    let keys: Vec<_> = rules.key_names().collect();
    let remedy = format!("correct the item; the key of table {table} is {}", keys.join(" and "));
    Failure::usage(format!("the item cannot be put into table {table}: {why}"), remedy)
}

fn read_stdin(ui: &Ui) -> Result<String> {
    if stdin().is_terminal() {
        ui.line("write the item here, and end it with Ctrl-D");
    }
    let mut text = String::new();
    stdin().read_to_string(&mut text).context("cannot read the item from stdin")?;
    if text.trim().is_empty() {
        return Err(Failure::usage("there is no item: stdin is empty", ITEM_FORM).into());
    }
    Ok(text)
}

impl Update {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let Self { expression, change, key } = self;
        let form = change.items.form(Vec::new())?;
        let _lock = change.guarded.lock(context, "ddb update").await?;
        let dynamodb = change.guarded.dynamodb(context).await?;
        let table = key.table.of(&dynamodb.target);
        let request = request!(dynamodb.client.update_item(), table, change)
            .set_key(Some(key.key(&dynamodb, table).await?))
            .update_expression(expression)
            .return_values(ReturnValue::AllNew);
        let unchecked = if change.guarded.is_rehearsal() { EXPRESSION_UNCHECKED } else { "" };
        let deed = format!("update the item {}{unchecked}", key.shown());
        let send = async || request.clone().customize().config_override(once()).send().await;
        let Some(answer) = change.send(context, &dynamodb, table, &deed, send).await? else {
            return Ok(());
        };
        let explain = |error| change.explain(error, "updated in", &key.typed(), table, &dynamodb.target);
        let updated = answer.map_err(explain)?.attributes;
        context.ui.note("updated; this is what it is now");
        updated.map_or(Ok(()), |item| form.print_one("Attributes", &item))
    }
}

impl Delete {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let Self { change, key } = self;
        let form = change.items.form(Vec::new())?;
        let _lock = change.guarded.lock(context, "ddb delete").await?;
        let dynamodb = change.guarded.dynamodb(context).await?;
        let table = key.table.of(&dynamodb.target);
        let item_key = key.key(&dynamodb, table).await?;
        if change.guarded.is_rehearsal() {
            let get = dynamodb.client.get_item().table_name(table).set_key(Some(item_key.clone()));
            let there = dynamodb.send(async || get.clone().send().await).await?;
            there.item.ok_or_else(|| not_there(&key, table, &dynamodb.target))?;
        }
        let request = request!(dynamodb.client.delete_item(), table, change).set_key(Some(item_key));
        let request = request.return_values(ReturnValue::AllOld);
        let deed = format!("delete the item {}", key.shown());
        let send = async || request.clone().customize().config_override(once()).send().await;
        let Some(answer) = change.send(context, &dynamodb, table, &deed, send).await? else {
            return Ok(());
        };
        let explain = |error| change.explain(error, "deleted from", &key.typed(), table, &dynamodb.target);
        let deleted = answer.map_err(explain)?.attributes;
        let deleted = deleted.ok_or_else(|| not_there(&key, table, &dynamodb.target))?;
        context.ui.note("deleted; this is what it was");
        form.print_one("Attributes", &deleted)
    }
}

/// The remark of a dry run about the update's expression, which only a server can check.
const EXPRESSION_UNCHECKED: &str = ", if the expression is valid, which a dry run does not check";

/// The remark of a dry run about the condition.
const CONDITION_UNCHECKED: &str = ", if the condition is valid and met, which a dry run does not check";

impl Change {
    /// Sends the request if the user means it; returns `None` otherwise.
    async fn send<T, E>(
        &self,
        context: &Context,
        dynamodb: &DynamoDb,
        table: &str,
        deed: &str,
        request: impl AsyncFn() -> std::result::Result<T, SdkError<E>>,
    ) -> Result<Option<Result<T>>>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let is_unchecked = self.condition.is_some() && self.guarded.is_rehearsal();
        let deed = format!("{deed}{}", if is_unchecked { CONDITION_UNCHECKED } else { "" });
        if !self.guarded.is_meant(context, dynamodb, &deed, table).await? {
            return Ok(None);
        }
        let _held = context.ui.stop.hold().await;
        Ok(Some(dynamodb.send(request).await))
    }

    /// Explains why an item could not be `done` (put into, deleted from) to a table.
    fn explain(
        &self,
        error: anyhow::Error,
        done: &str,
        key: &str,
        table: &str,
        target: &DynamoDbTarget,
    ) -> anyhow::Error {
        let place = format!("--table {table}{}", target.prod());
        let request = RequestError::of(&error);
        if request.and_then(RequestError::code) == Some("ConditionalCheckFailedException") {
            let condition = self.condition.as_deref().unwrap_or_default();
            let problem = format!("the condition `{condition}` is not met: nothing was changed");
            let remedy = format!("see what is there with `cargo xtask ddb get {key} {place}`");
            return Failure::new(problem, remedy).into();
        }
        let problem = if request.is_some_and(RequestError::may_be_done) {
            format!(
                "it is not known whether the item was {done} table {table}: see with `cargo xtask ddb get {key} {place}`"
            )
        } else {
            format!("no item was {done} table {table}")
        };
        error.context(problem)
    }
}

fn not_there(key: &KeyArguments, table: &str, target: &DynamoDbTarget) -> Failure {
    let problem = format!("there is no item {} in table {table} of {target}", key.shown());
    let prod = target.prod();
    Failure::new(problem, format!("see what there is with `cargo xtask ddb scan --table {table}{prod}`"))
}
