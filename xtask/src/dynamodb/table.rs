//! A table's description, as its server gives it.

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, KeySchemaElement, KeyType, TableDescription, TableStatus,
};

use super::client::DynamoDb;
use super::error::RequestError;

/// The key attributes of a table or an index.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Keys {
    pub(crate) partition: AttributeDefinition,
    pub(crate) sort: Option<AttributeDefinition>,
}

pub(crate) async fn describe(dynamodb: &DynamoDb, table: &str) -> Result<TableDescription> {
    let described = async || dynamodb.client.describe_table().table_name(table).send().await;
    let described = dynamodb.send(described).await.and_then(|answer| answer.table.context("no table"));
    described.map_err(|error| match RequestError::code_of(&error) {
        Some("ResourceNotFoundException") => error.context(format!("there is no table {table}")),
        _ => error.context(format!("cannot describe table {table}")),
    })
}

/// Like [`describe`], but `None` if the table does not exist.
pub(crate) async fn describe_if_there(dynamodb: &DynamoDb, table: &str) -> Result<Option<TableDescription>> {
    match describe(dynamodb, table).await {
        Ok(table) => Ok(Some(table)),
        Err(error) if RequestError::code_of(&error) == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a table accepts items.
pub(crate) fn is_active(table: &TableDescription) -> bool {
    table.table_status == Some(TableStatus::Active)
}

/// The id of the table's account, from `arn:aws:dynamodb:REGION:ACCOUNT:table/NAME`.
pub(crate) fn account(table: &TableDescription) -> Option<&str> {
    table.table_arn()?.split(':').nth(4).filter(|account| !account.is_empty())
}

/// The provisioned capacity of a table or of one of its indexes in read and write units per second; `None` if it is
/// billed by request.
pub(crate) fn provisioned(table: &TableDescription, index: Option<&str>) -> Option<(f64, f64)> {
    let own =
        table.global_secondary_indexes().iter().find(|own| own.index_name() == index && index.is_some());
    // A local index shares the table's.
    let throughput = own.map_or(table.provisioned_throughput(), |own| own.provisioned_throughput())?;
    let units =
        |units: Option<i64>| units.and_then(|units| u32::try_from(units).ok()).filter(|units| *units > 0);
    Some((units(throughput.read_capacity_units)?.into(), units(throughput.write_capacity_units)?.into()))
}

pub(crate) fn index_names(table: &TableDescription) -> Vec<&str> {
    indexes(table).map(|(name, _)| name).collect()
}

/// The table's indexes: their names and keys.
fn indexes(table: &TableDescription) -> impl Iterator<Item = (&str, &[KeySchemaElement])> {
    let global =
        table.global_secondary_indexes().iter().map(|index| (index.index_name(), index.key_schema()));
    let local = table.local_secondary_indexes().iter().map(|index| (index.index_name(), index.key_schema()));
    global.chain(local).filter_map(|(name, keys)| Some((name?, keys)))
}

impl Keys {
    /// The keys of the table or of one of its indexes; `None` if there is no such index.
    pub(crate) fn of(table: &TableDescription, index: Option<&str>) -> Option<Self> {
        let schema = match index {
            None => table.key_schema(),
            Some(name) => indexes(table).find(|(index, _)| *index == name)?.1,
        };
        let attribute = |role: KeyType| {
            let key = schema.iter().find(|element| *element.key_type() == role)?;
            let named = |attribute: &&AttributeDefinition| attribute.attribute_name == key.attribute_name;
            table.attribute_definitions().iter().find(named).cloned()
        };
        Some(Self { partition: attribute(KeyType::Hash)?, sort: attribute(KeyType::Range) })
    }

    /// The partition key and, if there is one, the sort key.
    pub(crate) fn each(&self) -> impl Iterator<Item = &AttributeDefinition> {
        std::iter::once(&self.partition).chain(&self.sort)
    }

    /// Their names, partition key first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.each().map(AttributeDefinition::attribute_name)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::{
        GlobalSecondaryIndexDescription, ProvisionedThroughputDescription, ScalarAttributeType,
    };

    use super::*;

    #[test]
    fn an_index_has_its_own_provisioned_units() {
        let units = |read, write| {
            let units = ProvisionedThroughputDescription::builder();
            units.read_capacity_units(read).write_capacity_units(write).build()
        };
        let index =
            GlobalSecondaryIndexDescription::builder().index_name("i").provisioned_throughput(units(3, 4));
        let table = TableDescription::builder().global_secondary_indexes(index.build());
        let provisioned = table.clone().provisioned_throughput(units(1, 2)).build();
        assert_eq!(super::provisioned(&provisioned, None), Some((1.0, 2.0)));
        assert_eq!(super::provisioned(&provisioned, Some("i")), Some((3.0, 4.0)));
        assert_eq!(super::provisioned(&provisioned, Some("a local one")), Some((1.0, 2.0)));
        assert_eq!(super::provisioned(&table.provisioned_throughput(units(0, 0)).build(), None), None);
    }

    #[test]
    fn keys_are_read_with_their_types() {
        let definition = |name: &str, key_type: ScalarAttributeType| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(key_type).build().unwrap()
        };
        let key = |name: &str, role| {
            KeySchemaElement::builder().attribute_name(name).key_type(role).build().unwrap()
        };
        let index = GlobalSecondaryIndexDescription::builder()
            .index_name("by-time")
            .key_schema(key("at", KeyType::Hash))
            .key_schema(key("id", KeyType::Range));
        let table = TableDescription::builder()
            .attribute_definitions(definition("id", ScalarAttributeType::N))
            .attribute_definitions(definition("at", ScalarAttributeType::S))
            .key_schema(key("id", KeyType::Hash))
            .global_secondary_indexes(index.build())
            .build();
        let id = definition("id", ScalarAttributeType::N);
        let at = definition("at", ScalarAttributeType::S);
        assert_eq!(Keys::of(&table, None), Some(Keys { partition: id.clone(), sort: None }));
        assert_eq!(Keys::of(&table, Some("by-time")), Some(Keys { partition: at, sort: Some(id) }));
        assert_eq!(Keys::of(&table, Some("other")), None);
        assert_eq!(index_names(&table), ["by-time"]);
    }
}
