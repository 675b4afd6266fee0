//! The options that scan, query, get, put and delete share: expressions, projections and output.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::dynamodb::json::{self, AttributeValue, Item};
use crate::dynamodb::number::Number;
use crate::dynamodb::print::{Form, ItemOutput};
use crate::error::{Failure, Usage};
use anyhow::Result;
use aws_sdk_dynamodb::operation::query::QueryInput;
use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use aws_sdk_dynamodb::operation::scan::ScanInput;
use aws_sdk_dynamodb::operation::scan::builders::ScanInputBuilder;
use aws_sdk_dynamodb::types::{AttributeDefinition, ScalarAttributeType, Select};
use aws_smithy_types::base64;
use serde::de::IgnoredAny;

use super::cost::Cost;
use crate::output::Format;

/// Printed when a read ended at `--limit`. DynamoDB does not say then whether there are more items.
pub(crate) const STOPPED: &str = "stopped at --limit: there may be more";

/// Placeholders for names and values in expressions.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Placeholders {
    /// What `#name` stands for in an expression
    ///
    /// Written `#name=ATTRIBUTE`, or a JSON object of several.
    #[arg(long, value_name = "#NAME=ATTRIBUTE")]
    pub(crate) names: Vec<String>,
    /// What `:value` stands for in an expression
    ///
    /// Written `:value=VALUE`, or as a JSON object of several, plain or in DynamoDB JSON. A VALUE that is not JSON is
    /// a text.
    #[arg(long, value_name = ":VALUE=VALUE")]
    pub(crate) values: Vec<String>,
}

impl Placeholders {
    /// The names by placeholder.
    pub(crate) fn names(&self) -> Result<Option<HashMap<String, String>>> {
        names(&self.names)
    }

    /// The values by placeholder.
    pub(crate) fn values(&self) -> Result<Option<Item>> {
        gathered(&self.values, "--values", ":VALUE=VALUE", crate::dynamodb::files::item_of, value_of)
    }
}

/// The meanings of `--names`, by placeholder.
pub(super) fn names(texts: &[String]) -> Result<Option<HashMap<String, String>>> {
    let of_object = |text: &str| {
        serde_json::from_str(text)
            .map_err(|_| "expected #NAME=ATTRIBUTE, or a JSON object of texts".to_owned())
    };
    gathered(texts, "--names", "#NAME=ATTRIBUTE", of_object, |text| Ok(text.to_owned()))
}

/// The meanings of placeholders, each given as `form` says or in a JSON object of several. `None` if there are none,
/// because DynamoDB refuses an empty map.
fn gathered<T>(
    texts: &[String],
    option: &str,
    form: &str,
    of_object: impl Fn(&str) -> Result<HashMap<String, T>, String>,
    of_text: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<HashMap<String, T>>> {
    let mut all = HashMap::new();
    for text in texts {
        let wrong = |why| Usage(format!("{option} `{text}`: {why}"));
        let given = if text.trim_start().starts_with('{') {
            of_object(text).map_err(wrong)?
        } else {
            let pair = text.split_once('=');
            let pair = pair.filter(|(name, _)| name.starts_with(&form[..1]) && name.len() > 1);
            let (name, meaning) = pair.ok_or_else(|| unsigned(option, text, form))?;
            HashMap::from([(name.to_owned(), of_text(meaning).map_err(wrong)?)])
        };
        for (name, meaning) in given {
            match all.entry(name) {
                Entry::Vacant(entry) => drop(entry.insert(meaning)),
                Entry::Occupied(entry) => {
                    return Err(Usage(format!("`{}` is given twice", entry.key())).into());
                }
            }
        }
    }
    Ok((!all.is_empty()).then_some(all))
}

/// The error for a placeholder without its sign, or without a meaning.
fn unsigned(option: &str, text: &str, form: &str) -> Failure {
    let sign = &form[..1];
    let name = text.split('=').next().unwrap_or_default().trim_start_matches(sign);
    let remedy = format!("write `{option} '{sign}{name}=...'`, and `{sign}{name}` in the expression");
    Failure::usage(format!("{option} `{text}`: expected {form}"), remedy)
}

/// A value from the command line: DynamoDB JSON, plain JSON, or text if it is not JSON.
fn value_of(text: &str) -> Result<AttributeValue, String> {
    match json::value_of(text) {
        Err(_) if serde_json::from_str::<IgnoredAny>(text).is_err() => Ok(AttributeValue::S(text.to_owned())),
        value => value,
    }
}

/// Parses a key attribute's value by its type.
pub(crate) fn key_value(key: &AttributeDefinition, text: &str) -> Result<AttributeValue> {
    let wrong = |form: &str| Usage(format!("key `{}` must be {form}; `{text}` is not", key.attribute_name));
    match key.attribute_type {
        ScalarAttributeType::N => match Number::read(text) {
            Some(_) => Ok(AttributeValue::N(text.to_owned())),
            None => Err(wrong("a number").into()),
        },
        ScalarAttributeType::B => match json::bytes(text) {
            Ok(bytes) => Ok(AttributeValue::B(bytes)),
            Err(_) => Err(wrong("binary, written in base64").into()),
        },
        _ => Ok(AttributeValue::S(text.to_owned())),
    }
}

/// A key's value as text, as [`key_value`] parses it.
pub(super) fn key_text(value: &AttributeValue) -> Option<String> {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => Some(text.clone()),
        AttributeValue::B(bytes) => Some(base64::encode(bytes)),
        _ => None,
    }
}

/// Which items to read, and which of their attributes.
#[derive(Debug, clap::Args)]
pub(crate) struct ReadOptions {
    /// Print only items that meet this condition
    ///
    /// DynamoDB still reads the other items, and they consume capacity.
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    /// Print only these attributes
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "count")]
    projection: Option<String>,
    #[command(flatten)]
    placeholders: Placeholders,
    /// Read this index
    #[arg(long, value_name = "NAME")]
    pub(crate) index: Option<String>,
    /// Print at most this many items
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Print only how many items there are
    #[arg(long)]
    pub(crate) count: bool,
    /// Read consistently, which costs twice as much
    #[arg(long)]
    consistent: bool,
    #[command(flatten)]
    pub(crate) items: ItemOutput,
    #[command(flatten)]
    pub(super) cost: Cost,
}

/// Sets the options on a builder of a Query or a Scan: the SDK has no trait for both.
macro_rules! with_options {
    ($builder:expr, $table:expr, $options:expr) => {
        $builder
            .table_name($table)
            .set_index_name($options.index.clone())
            .set_filter_expression($options.filter.clone())
            .set_projection_expression($options.projection.clone())
            .set_expression_attribute_names($options.placeholders.names()?)
            .set_expression_attribute_values($options.placeholders.values()?)
            .set_consistent_read($options.consistent.then_some(true))
            .set_select($options.count.then_some(Select::Count))
    };
}

impl ReadOptions {
    pub(crate) fn scan(&self, table: &str) -> Result<ScanInputBuilder> {
        Ok(with_options!(ScanInput::builder(), table, self))
    }

    /// A Query without its key condition.
    pub(crate) fn query(&self, table: &str) -> Result<QueryInputBuilder> {
        Ok(with_options!(QueryInput::builder(), table, self))
    }

    /// The output format. `keys` are the first columns.
    pub(crate) fn form(&self, keys: Vec<String>) -> Result<Form> {
        Ok(match self.items.form(keys)? {
            Form::Json(_) if self.count => Form::Json(None),
            _ if self.count => Form::Count,
            form => form,
        })
    }

    /// Only JSON output contains the key to continue from.
    pub(crate) fn wants_key(&self) -> bool {
        self.items.output.format == Format::Json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders(names: &[&str], values: &[&str]) -> Placeholders {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Placeholders { names: owned(names), values: owned(values) }
    }

    #[test]
    fn placeholders_take_both_forms() {
        let given = placeholders(
            &["#a=message", r##"{"#b": "size"}"##],
            &[":t=two words=", ":n=007", ":m=7.50", r#"{":l": [1], ":s": "x"}"#, r#"{":ss": {"SS": ["a"]}}"#],
        );
        let names = given.names().unwrap().unwrap();
        let expected = [("#a", "message"), ("#b", "size")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(names, HashMap::from(expected));
        assert_eq!(
            serde_json::to_string(&json::Json(&given.values().unwrap().unwrap(), json::Notation::Typed))
                .unwrap(),
            r#"{":l":{"L":[{"N":"1"}]},":m":{"N":"7.50"},":n":{"S":"007"},":s":{"S":"x"},":ss":{"SS":["a"]},":t":{"S":"two words="}}"#
        );
        for bad in ["a=b", "#=b", "#a", "{"] {
            assert!(placeholders(&[bad], &[]).names().is_err(), "{bad}");
        }
        for bad in ["v=b", ":=b", ":v", "{", r#"{":n": {"N": 1}}"#, r#":v={"a":1,"a":2}"#] {
            assert!(placeholders(&[], &[bad]).values().is_err(), "{bad}");
        }
        assert!(placeholders(&["#a=x", "#a=y"], &[]).names().is_err());
        assert!(placeholders(&[], &[":v=1", r#"{":v":2}"#]).values().is_err());
    }

    #[test]
    fn a_key_has_the_table_s_type() {
        let key =
            |kind| AttributeDefinition::builder().attribute_name("id").attribute_type(kind).build().unwrap();
        assert_eq!(key_value(&key(ScalarAttributeType::S), "7").unwrap(), AttributeValue::S("7".to_owned()));
        assert_eq!(key_value(&key(ScalarAttributeType::N), "7").unwrap(), AttributeValue::N("7".to_owned()));
        assert_eq!(
            key_value(&key(ScalarAttributeType::B), "AQ==").unwrap(),
            AttributeValue::B(json::bytes("AQ==").unwrap())
        );
        assert_eq!(
            key_value(&key(ScalarAttributeType::N), "+007.50").unwrap(),
            AttributeValue::N("+007.50".to_owned())
        );
        assert!(
            key_value(&key(ScalarAttributeType::N), "seven").is_err()
                && key_value(&key(ScalarAttributeType::N), " 1").is_err()
        );
        assert!(key_value(&key(ScalarAttributeType::B), "?").is_err());
    }
}
