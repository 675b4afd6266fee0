use crate::dynamodb::json::{AttributeValue, Item};
use crate::dynamodb::read::{self, ReadRequest};
use crate::dynamodb::table::{KeyAttribute, Keys, TableDescription};
use crate::error::{Failure, Usage};
use anyhow::Result;

use super::Target;
use super::expressions::{ReadOptions, STOPPED, key_value};
use crate::context::Context;
use crate::output::{Format, PagePrinter};

#[derive(Debug, clap::Args)]
pub(crate) struct Query {
    /// The table's name [default: the messages table]
    table: Option<String>,
    /// The partition key
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pk: String,
    #[command(flatten)]
    sort: SortCondition,
    /// From the last sort key to the first
    #[arg(long)]
    desc: bool,
    #[command(flatten)]
    options: ReadOptions,
    #[command(flatten)]
    target: Target,
}

/// A condition on the sort key.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct SortCondition {
    /// The sort key
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    sk: Option<String>,
    /// Sort keys that begin so
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

// Placeholders of our own in an expression.
const PARTITION_NAME: &str = "#query_pk";
const PARTITION_VALUE: &str = ":query_pk";
const SORT_NAME: &str = "#query_sk";
const SORT_VALUES: [&str; 2] = [":query_sk", ":query_sk_end"];
const OURS: [&str; 5] = [PARTITION_NAME, PARTITION_VALUE, SORT_NAME, SORT_VALUES[0], SORT_VALUES[1]];

impl SortCondition {
    /// The condition's form in an expression and its operands; none if there is no condition.
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
        let target = self.target.resolve(context).await?;
        let table = self.table.as_ref().unwrap_or(&target.table);
        let mut request = self.options.request(table)?;
        request.wants_last_key = context.format == Format::Json;
        let wire = target.wire(&context.ui).await?;
        let description = TableDescription::read(&wire, table).await?;
        let keys = description.keys(self.options.index.as_deref()).ok_or_else(|| {
            let index = self.options.index.as_deref().unwrap_or_default();
            let names = description.index_names();
            let remedy = match names[..] {
                [] => "it has no index: leave --index out".to_owned(),
                _ => format!("its indexes: {}", names.join(", ")),
            };
            Failure::new(format!("table {table} has no index `{index}`"), remedy)
        })?;
        self.condition(&mut request, &keys)?;
        let form = self.options.form(context, keys.each().map(|key| key.name.clone()).collect())?;
        let mut printer = PagePrinter::new(form);
        let take = async |page| printer.page(page).await;
        let read = read::pages(&wire, request, self.options.limit, take).await;
        let response = printer.finish(read)?;
        context.ui.read(&response, STOPPED);
        Ok(())
    }

    /// Puts the key condition into the request.
    fn condition(&self, request: &mut ReadRequest, keys: &Keys) -> Result<()> {
        request.scan_index_forward = self.desc.then_some(false);
        let names =
            request.expression_attribute_names.keys().chain(request.expression_attribute_values.keys());
        if let Some(taken) = names.into_iter().find(|name| OURS.contains(&name.as_str())) {
            return Err(Usage(format!(
                "placeholder `{taken}` is taken by the key condition: use another name"
            ))
            .into());
        }
        request.expression_attribute_names.insert(PARTITION_NAME.to_owned(), keys.partition.name.clone());
        let values = &mut request.expression_attribute_values;
        values.insert(PARTITION_VALUE.to_owned(), key_value(&keys.partition, &self.pk)?);
        let mut condition = format!("{PARTITION_NAME} = {PARTITION_VALUE}");
        if let Some((form, operands)) = self.sort.given() {
            let Some(sort) = &keys.sort else {
                let only = &keys.partition.name;
                return Err(Usage(format!(
                    "there is no sort key to put a condition on: the key is `{only}` alone"
                ))
                .into());
            };
            request.expression_attribute_names.insert(SORT_NAME.to_owned(), sort.name.clone());
            for (name, operand) in SORT_VALUES.into_iter().zip(operands) {
                values.insert(name.to_owned(), key_value(sort, operand)?);
            }
            condition = format!("{condition} and {form}");
        }
        request.key_condition_expression = Some(condition);
        Ok(())
    }
}

/// The key that these values are.
///
/// # Errors
/// A sort key is missing or not wanted, or a value is of another type.
pub(super) fn key_of(keys: &Keys, partition: &str, sort: Option<&str>) -> Result<Item> {
    let attribute = |key: &KeyAttribute, text: &str| -> Result<(String, AttributeValue)> {
        Ok((key.name.clone(), key_value(key, text)?))
    };
    let mut item = Item::from([attribute(&keys.partition, partition)?]);
    match (&keys.sort, sort) {
        (Some(key), Some(text)) => item.extend([attribute(key, text)?]),
        (None, None) => {}
        (Some(key), None) => {
            return Err(Usage(format!("the sort key `{}` is missing: PK SK", key.name)).into());
        }
        (None, Some(text)) => {
            return Err(Usage(format!("the table has no sort key: leave `{text}` out")).into());
        }
    }
    Ok(item)
}
