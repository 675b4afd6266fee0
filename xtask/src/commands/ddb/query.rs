use std::collections::HashMap;

use crate::dynamodb::json::{AttributeValue, Item};
use crate::dynamodb::print::ItemWriter;
use crate::dynamodb::read;
use crate::dynamodb::table::{self, Keys};
use crate::error::{Failure, Usage};
use anyhow::Result;
use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use aws_sdk_dynamodb::types::AttributeDefinition;

use super::expressions::{ReadOptions, STOPPED, key_value};
use super::{TableArgument, Target};
use crate::context::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct Query {
    /// Read the partition with this key
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pk: String,
    #[command(flatten)]
    sort: SortCondition,
    /// Print from the last sort key to the first
    #[arg(long)]
    desc: bool,
    #[command(flatten)]
    options: ReadOptions,
    #[command(flatten)]
    table: TableArgument,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct SortCondition {
    /// The sort key
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    sk: Option<String>,
    /// Sort keys that begin with this
    #[arg(long, value_name = "PREFIX", allow_hyphen_values = true)]
    begins_with: Option<String>,
    /// Sort keys from A to B, both included
    #[arg(long, num_args = 2, value_names = ["A", "B"], allow_hyphen_values = true)]
    between: Option<Vec<String>>,
    /// Sort keys before this one
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    lt: Option<String>,
    /// Sort keys up to this one
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    le: Option<String>,
    /// Sort keys after this one
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    gt: Option<String>,
    /// Sort keys from this one on
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    ge: Option<String>,
}

/// The placeholders that this command adds to expressions.
const OURS: [&str; 5] = ["#query_pk", ":query_pk", "#query_sk", ":query_sk", ":query_sk_end"];

impl SortCondition {
    /// The condition as an expression, and its operands; `None` if there is no condition.
    fn given(&self) -> Option<(&'static str, Vec<&str>)> {
        let Self { sk, begins_with, between, lt, le, gt, ge } = self;
        let one = [
            ("#query_sk = :query_sk", sk),
            ("begins_with(#query_sk, :query_sk)", begins_with),
            ("#query_sk < :query_sk", lt),
            ("#query_sk <= :query_sk", le),
            ("#query_sk > :query_sk", gt),
            ("#query_sk >= :query_sk", ge),
        ];
        let one = one.into_iter().find_map(|(form, operand)| Some((form, vec![operand.as_deref()?])));
        let both = between.iter().map(|both| both.iter().map(String::as_str).collect());
        one.or_else(|| both.map(|both| ("#query_sk between :query_sk and :query_sk_end", both)).next())
    }
}

impl Query {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let dynamodb = self.target.dynamodb(context).await?;
        let table = self.table.of(&dynamodb.target);
        let request = self.options.query(table)?;
        let description = table::describe(&dynamodb, table).await?;
        let keys = Keys::of(&description, self.options.index.as_deref()).ok_or_else(|| {
            let index = self.options.index.as_deref().unwrap_or_default();
            let names = table::index_names(&description);
            let remedy = match names[..] {
                [] => "it has no index: leave --index out".to_owned(),
                _ => format!("its indexes: {}", names.join(", ")),
            };
            Failure::usage(format!("table {table} has no index `{index}`"), remedy)
        })?;
        let request = self.with_condition(request, &keys)?;
        let form = self.options.form(keys.names().map(str::to_owned).collect())?;
        let mut writer = ItemWriter::new(form);
        let take = async |page: read::Page| writer.page(&page.items);
        let (limit, wants_key) = (self.options.limit, self.options.wants_key());
        let response = read::pages_and_key(&dynamodb, request.into(), limit, wants_key, take).await?;
        writer.finish(&response, &context.ui)?;
        response.report(&context.ui, STOPPED);
        self.options.cost.report(&dynamodb, table, self.options.index.as_deref(), Some(&response)).await
    }

    fn with_condition(&self, request: QueryInputBuilder, keys: &Keys) -> Result<QueryInputBuilder> {
        let names = request.get_expression_attribute_names().iter().flat_map(HashMap::keys);
        let mut taken = names.chain(request.get_expression_attribute_values().iter().flat_map(HashMap::keys));
        if let Some(taken) = taken.find(|name| OURS.contains(&name.as_str())) {
            return Err(Usage(format!(
                "placeholder `{taken}` is taken by the key condition: use another name"
            ))
            .into());
        }
        let mut condition = "#query_pk = :query_pk".to_owned();
        let mut request = request
            .set_scan_index_forward(self.desc.then_some(false))
            .expression_attribute_names("#query_pk", &keys.partition.attribute_name)
            .expression_attribute_values(":query_pk", key_value(&keys.partition, &self.pk)?);
        if let Some((form, operands)) = self.sort.given() {
            let Some(sort) = &keys.sort else {
                let only = &keys.partition.attribute_name;
                return Err(Usage(format!(
                    "there is no sort key to put a condition on: the key is `{only}` alone"
                ))
                .into());
            };
            request = request.expression_attribute_names("#query_sk", &sort.attribute_name);
            for (name, operand) in [":query_sk", ":query_sk_end"].into_iter().zip(operands) {
                request = request.expression_attribute_values(name, key_value(sort, operand)?);
            }
            condition += &format!(" and {form}");
        }
        Ok(request.key_condition_expression(condition))
    }
}

/// Builds an item's key from these values.
pub(super) fn key_of(keys: &Keys, partition: &str, sort: Option<&str>) -> Result<Item> {
    let attribute = |key: &AttributeDefinition, text: &str| -> Result<(String, AttributeValue)> {
        Ok((key.attribute_name.clone(), key_value(key, text)?))
    };
    let mut item = Item::from([attribute(&keys.partition, partition)?]);
    match (&keys.sort, sort) {
        (Some(key), Some(text)) => item.extend([attribute(key, text)?]),
        (None, None) => {}
        (Some(key), None) => {
            let problem = format!("the table's items have a sort key as well: `{}`", key.attribute_name);
            return Err(
                Failure::usage(problem, format!("add it after the partition key: `{partition} SK`")).into()
            );
        }
        (None, Some(text)) => {
            return Err(Failure::usage("the table has no sort key", format!("leave `{text}` out")).into());
        }
    }
    Ok(item)
}
