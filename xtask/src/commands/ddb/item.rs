//! One item: get, put, delete.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read as _, Write as _, stdin};

use crate::dynamodb::items::{Columns, printable, stdout};
use crate::dynamodb::json::{AttributeValue, Item, PlainJson, Typed, TypedJson, Unique, sorted};
use crate::dynamodb::table::TableDescription;
use crate::dynamodb::target::Trouble;
use crate::dynamodb::wire::Wire;
use crate::error::{Failure, Usage};
use crate::targets::DynamoDbTarget;
use crate::ui::Ui;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize, Serializer};

use super::expressions::Placeholders;
use super::query::key_of;
use super::{Guarded, Target};
use crate::context::Context;
use crate::output::{Format, print_json};

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    #[command(flatten)]
    key: KeyArguments,
    /// Only these attributes
    #[arg(long, value_name = "EXPRESSION")]
    projection: Option<String>,
    /// What a `#name` in the expression stands for: `#name=ATTRIBUTE`, or a JSON object of such
    #[arg(long, value_name = "#NAME=ATTRIBUTE", requires = "projection")]
    names: Vec<String>,
    /// As it is after every write that has been answered; costs twice as much
    #[arg(long)]
    consistent: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Put {
    /// The item: a JSON object, plain or in DynamoDB JSON [default: read from stdin]
    item: Option<String>,
    #[command(flatten)]
    table: TableArgument,
    #[command(flatten)]
    condition: Condition,
    #[command(flatten)]
    guarded: Guarded,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    key: KeyArguments,
    #[command(flatten)]
    condition: Condition,
    #[command(flatten)]
    guarded: Guarded,
}

#[derive(Debug, clap::Args)]
struct TableArgument {
    /// The table's name [default: the messages table]
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
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

/// When to write.
#[derive(Debug, clap::Args)]
struct Condition {
    /// Only if the item that is there meets this condition
    #[arg(long, value_name = "EXPRESSION")]
    condition: Option<String>,
    #[command(flatten)]
    placeholders: Placeholders,
}

/// The body of GetItem, PutItem and DeleteItem.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html>
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ItemRequest {
    table_name: String,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "typed_if_any")]
    key: Option<Item>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "typed_if_any")]
    item: Option<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    projection_expression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition_expression: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    expression_attribute_names: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Item::is_empty", serialize_with = "typed")]
    expression_attribute_values: Item,
    #[serde(skip_serializing_if = "Option::is_none")]
    consistent_read: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_values: Option<&'static str>,
}

/// The item that was asked for, or the one that was there before.
#[derive(Deserialize)]
struct ItemAnswer {
    #[serde(rename = "Item", alias = "Attributes")]
    item: Option<Unique<Typed>>,
}

fn typed<S: Serializer>(item: &Item, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    TypedJson(item).serialize(serializer)
}

fn typed_if_any<S: Serializer>(item: &Option<Item>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    item.as_ref().map(TypedJson).serialize(serializer)
}

impl KeyArguments {
    fn table<'a>(&'a self, target: &'a DynamoDbTarget) -> &'a str {
        self.table.of(target)
    }

    async fn key(&self, wire: &Wire, table: &str) -> Result<Item> {
        let description = TableDescription::read(wire, table).await?;
        let keys = description.keys(None).context("the table has no key")?;
        key_of(&keys, &self.pk, self.sk.as_deref())
    }

    /// The key, for people.
    fn shown(&self) -> String {
        [Some(&self.pk), self.sk.as_ref()].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ")
    }
}

impl TableArgument {
    fn of<'a>(&'a self, target: &'a DynamoDbTarget) -> &'a str {
        self.table.as_ref().unwrap_or(&target.table)
    }
}

impl Get {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let target = self.target.resolve(context).await?;
        let wire = target.wire(&context.ui).await?;
        let table = self.key.table(&target);
        let placeholders = Placeholders::of_names(self.names);
        let request = ItemRequest {
            table_name: table.to_owned(),
            key: Some(self.key.key(&wire, table).await?),
            projection_expression: self.projection,
            expression_attribute_names: placeholders.names()?,
            consistent_read: self.consistent.then_some(true),
            ..ItemRequest::default()
        };
        let answer = wire.call("GetItem", serde_json::to_string(&request)?).await;
        let answer = answer.with_context(|| format!("cannot get an item of table {table}"))?;
        match answer_of(&wire, &answer)? {
            Some(item) => print(context, "Item", &item),
            None => Err(not_there(&self.key, table, &target).into()),
        }
    }
}

impl Put {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let text = match self.item.filter(|text| text != "-") {
            Some(text) => text,
            None => read_stdin(&context.ui)?,
        };
        let put = crate::dynamodb::files::item_of(&text)
            .map_err(|why| Usage(format!("the item cannot be read: {why}")))?;
        let table = self.table.table.as_deref();
        let Some(target) = self.guarded.resolve(context, "put an item", table).await? else { return Ok(()) };
        let wire = target.wire(&context.ui).await?;
        let request = ItemRequest {
            table_name: self.table.of(&target).to_owned(),
            item: Some(put),
            ..self.condition.request()?
        };
        let replaced = write(&wire, "PutItem", &request).await?;
        context.ui.line(match replaced {
            Some(_) => "put; this is what it replaced",
            None => "put; there was none before",
        });
        replaced.map_or(Ok(()), |item| print(context, "Attributes", &item))
    }
}

fn read_stdin(ui: &Ui) -> Result<String> {
    if stdin().is_terminal() {
        ui.line("write the item here, and end it with Ctrl-D");
    }
    let mut text = String::new();
    stdin().read_to_string(&mut text).context("cannot read the item from stdin")?;
    if text.trim().is_empty() {
        return Err(Usage("there is no item: stdin is empty".to_owned()).into());
    }
    Ok(text)
}

impl Delete {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let table = self.key.table.table.as_deref();
        let deed = format!("delete the item {}", self.key.shown());
        let Some(target) = self.guarded.resolve(context, &deed, table).await? else { return Ok(()) };
        let wire = target.wire(&context.ui).await?;
        let table = self.key.table(&target);
        let request = ItemRequest {
            table_name: table.to_owned(),
            key: Some(self.key.key(&wire, table).await?),
            ..self.condition.request()?
        };
        match write(&wire, "DeleteItem", &request).await? {
            Some(item) => {
                context.ui.line("deleted; this is what it was");
                print(context, "Attributes", &item)
            }
            None => Err(not_there(&self.key, table, &target).into()),
        }
    }
}

impl Condition {
    fn request(&self) -> Result<ItemRequest> {
        Ok(ItemRequest {
            condition_expression: self.condition.clone(),
            expression_attribute_names: self.placeholders.names()?,
            expression_attribute_values: self.placeholders.values()?,
            return_values: Some("ALL_OLD"),
            ..ItemRequest::default()
        })
    }
}

/// Sends a write, once: a second time it would find what it did itself. Returns what was there before.
async fn write(wire: &Wire, operation: &str, request: &ItemRequest) -> Result<Option<Item>> {
    let _held = wire.ui.stop.hold().await;
    match wire.try_once(operation, serde_json::to_string(request)?).await? {
        Ok(answer) => answer_of(wire, &answer),
        Err(Trouble::Service { code, .. }) if code == "ConditionalCheckFailedException" => {
            let condition = request.condition_expression.as_deref().unwrap_or_default();
            let problem = format!("the condition `{condition}` is not met: nothing was changed");
            Err(Failure::new(problem, "see what is there with `cargo xtask ddb get`").into())
        }
        Err(trouble) => {
            let table = &request.table_name;
            let done = if operation == "PutItem" { "put into" } else { "deleted from" };
            let problem = if may_be_done(&trouble) {
                format!(
                    "it is not known whether the item was {done} table {table}: see with `cargo xtask ddb get`"
                )
            } else {
                format!("no item was {done} table {table}")
            };
            Err(wire.target.failure(trouble).context(problem))
        }
    }
}

/// Whether the server may have done what it did not answer.
fn may_be_done(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Unreachable(error) => {
            let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
            !causes.any(|cause| cause.kind() == std::io::ErrorKind::ConnectionRefused)
        }
        Trouble::Service { code, .. } => code == "InternalServerError",
    }
}

fn answer_of(wire: &Wire, answer: &[u8]) -> Result<Option<Item>> {
    let answer: ItemAnswer = wire.parsed(answer)?;
    Ok(answer.item.map(|item| item.0))
}

fn not_there(key: &KeyArguments, table: &str, target: &DynamoDbTarget) -> Failure {
    let problem = format!("there is no item {} in table {table} of {target}", key.shown());
    Failure::new(problem, format!("see what there is with `cargo xtask ddb query {table} --pk ...`"))
}

/// Prints an item whole: for people an attribute a line. `member` is its name in the AWS CLI's output.
fn print(context: &Context, member: &str, item: &Item) -> Result<()> {
    match context.format {
        Format::Table => {
            let text = |value: &AttributeValue| match value {
                // What would break the line is shown as JSON has it.
                AttributeValue::S(text) if !text.contains(char::is_control) => Ok(text.clone()),
                other => serde_json::to_string(&PlainJson(other)),
            };
            let mut rows = Vec::new();
            for (name, value) in sorted(item) {
                rows.push([printable(Cow::Borrowed(name)), printable(Cow::Owned(text(value)?))]);
            }
            let mut columns = Columns::default();
            rows.iter().for_each(|[name, _]| columns.widen(&[name]));
            let mut out = stdout();
            rows.iter().try_for_each(|row| columns.print(&mut out, row))?;
        }
        Format::Json => print_json(&BTreeMap::from([(member, TypedJson(item))]))?,
        Format::Jsonl => writeln!(stdout(), "{}", serde_json::to_string(&PlainJson(item))?)?,
    }
    Ok(())
}
