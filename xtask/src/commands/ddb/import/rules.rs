//! The rules for a table's items. Items are checked before they are sent: one bad item fails its whole batch, and the
//! server does not say which.

use crate::dynamodb::json::{AttributeValue, Item};
use crate::dynamodb::size::{size_of, size_of_value};
use crate::dynamodb::table::Keys;
use anyhow::Context as _;
use aws_sdk_dynamodb::types::{AttributeDefinition, ScalarAttributeType as KeyType, TableDescription};

/// The maximum size of an item in bytes.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const ITEM_BYTES: usize = 400 * 1024;

/// The maximum length of an attribute's name in bytes.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const NAME_BYTES: usize = 65_535;

/// The maximum length of a partition key and of a sort key in bytes.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const KEY_BYTES: [usize; 2] = [2_048, 1_024];

pub(in crate::commands::ddb) struct Rules {
    keys: Keys,
    /// The key attributes of the table's indexes that are not the table's own.
    others: Vec<AttributeDefinition>,
}

impl Rules {
    pub(in crate::commands::ddb) fn of(table: &TableDescription) -> anyhow::Result<Self> {
        let keys = Keys::of(table, None).context("the table has no key")?;
        let is_own = |other: &&AttributeDefinition| keys.each().any(|key| key == *other);
        let others = table.attribute_definitions().iter().filter(|other| !is_own(other)).cloned().collect();
        Ok(Self { keys, others })
    }

    /// The names of the table's key attributes, partition key first.
    pub(in crate::commands::ddb) fn key_names(&self) -> impl Iterator<Item = &str> {
        self.keys.names()
    }

    /// The item, or why the table does not accept it.
    pub(in crate::commands::ddb) fn importable(&self, item: Item) -> Result<Item, String> {
        if let Some(name) = item.keys().find(|name| name.is_empty() || name.len() > NAME_BYTES) {
            return Err(match name.len() {
                0 => "an attribute's name is empty".to_owned(),
                bytes => format!(
                    "an attribute's name has {bytes} bytes, more than the {NAME_BYTES} that DynamoDB takes"
                ),
            });
        }
        for (key, most) in self.keys.each().zip(KEY_BYTES) {
            let name = &key.attribute_name;
            let Some(value) = item.get(name) else { return Err(format!("key `{name}` is missing")) };
            check_key("key", key, value)?;
            let bytes = size_of_value(value);
            if bytes > most {
                return Err(format!(
                    "key `{name}` has {bytes} bytes, more than the {most} that DynamoDB takes"
                ));
            }
        }
        for key in &self.others {
            if let Some(value) = item.get(&key.attribute_name) {
                check_key("an index's key", key, value)?;
            }
        }
        match size_of(&item) {
            size if size > ITEM_BYTES => {
                Err(format!("the item has {size} bytes, more than the {ITEM_BYTES} that DynamoDB takes"))
            }
            _ => Ok(item),
        }
    }
}

fn check_key(what: &str, key: &AttributeDefinition, value: &AttributeValue) -> Result<(), String> {
    let (name, kind) = (&key.attribute_name, &key.attribute_type);
    match (kind, value) {
        (KeyType::S, AttributeValue::S(_))
        | (KeyType::N, AttributeValue::N(_))
        | (KeyType::B, AttributeValue::B(_)) => match size_of_value(value) {
            0 => Err(format!("{what} `{name}` is empty")),
            _ => Ok(()),
        },
        _ => Err(format!("{what} `{name}` is not of the table's type {kind}")),
    }
}
