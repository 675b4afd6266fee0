//! What a table's server tells of it.

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableInputBuilder;
use aws_sdk_dynamodb::types::BillingMode;
use serde::Deserialize;
use serde_json::json;

use crate::dynamodb::target::Trouble;
use crate::dynamodb::wire::Wire;

/// A table, as DescribeTable tells of it.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TableDescription {
    #[serde(default)]
    table_arn: String,
    /// `CREATING`, `ACTIVE` and so on.
    #[serde(default)]
    pub(crate) table_status: String,
    /// How many items it has. AWS counts them every six hours.
    #[serde(default)]
    pub(crate) item_count: u64,
    /// Whether it cannot be dropped.
    #[serde(default)]
    pub(crate) deletion_protection_enabled: bool,
    attribute_definitions: Vec<AttributeDefinition>,
    key_schema: Vec<KeyElement>,
    #[serde(default)]
    global_secondary_indexes: Vec<Index>,
    #[serde(default)]
    local_secondary_indexes: Vec<Index>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeDefinition {
    attribute_name: String,
    attribute_type: KeyType,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyElement {
    attribute_name: String,
    /// `HASH` or `RANGE`.
    key_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Index {
    index_name: String,
    key_schema: Vec<KeyElement>,
}

/// What a key attribute can be: text, a number, or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(crate) enum KeyType {
    /// Text.
    S,
    /// A number.
    N,
    /// Bytes.
    B,
}

/// A key attribute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeyAttribute {
    /// Its name.
    pub(crate) name: String,
    /// What it can be.
    pub(crate) key_type: KeyType,
}

/// The attributes that a table's or an index's key is made of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Keys {
    /// The one that says which partition.
    pub(crate) partition: KeyAttribute,
    /// The one that orders a partition's items, where there is one.
    pub(crate) sort: Option<KeyAttribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(alias = "TableDescription")]
    table: TableDescription,
}

/// CreateTable's body, as the data layer asks.
fn creation(table: &CreateTableInputBuilder) -> String {
    let named = |name: &str, what: &str, value: &str| json!({ "AttributeName": name, what: value });
    let attributes = table.get_attribute_definitions().iter().flatten();
    let attributes =
        attributes.map(|it| named(it.attribute_name(), "AttributeType", it.attribute_type().as_str()));
    let keys = table.get_key_schema().iter().flatten();
    let keys = keys.map(|it| named(it.attribute_name(), "KeyType", it.key_type().as_str()));
    let throughput = table.get_provisioned_throughput().as_ref().map(|it| {
        json!({ "ReadCapacityUnits": it.read_capacity_units(), "WriteCapacityUnits": it.write_capacity_units() })
    });
    let body = json!({
        "TableName": table.get_table_name(),
        "AttributeDefinitions": attributes.collect::<Vec<_>>(),
        "KeySchema": keys.collect::<Vec<_>>(),
        "BillingMode": table.get_billing_mode().as_ref().map(BillingMode::as_str),
        "ProvisionedThroughput": throughput,
    });
    body.to_string()
}

impl TableDescription {
    /// Asks the server.
    ///
    /// # Errors
    /// There is no such table, or the server cannot be asked.
    pub(crate) async fn read(wire: &Wire, table: &str) -> Result<Self> {
        let described = async {
            let described = Self::described(wire, table).await?;
            described.map_err(|trouble| wire.target.failure(trouble))
        };
        described.await.with_context(|| format!("cannot describe table {table}"))
    }

    /// Asks the server. None if there is no such table.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub(crate) async fn read_if_there(wire: &Wire, table: &str) -> Result<Option<Self>> {
        match Self::described(wire, table).await? {
            Ok(description) => Ok(Some(description)),
            Err(Trouble::Service { code, .. }) if code == "ResourceNotFoundException" => Ok(None),
            Err(trouble) => {
                Err(wire.target.failure(trouble).context(format!("cannot describe table {table}")))
            }
        }
    }

    /// Has the server create a table, which may be active only a while later. The inner error is the server's.
    ///
    /// # Errors
    /// The server cannot be asked, or answered in another form.
    pub(crate) async fn create(
        wire: &Wire,
        table: &CreateTableInputBuilder,
    ) -> Result<std::result::Result<Self, Trouble>> {
        Self::answered(wire, "CreateTable", creation(table)).await
    }

    async fn described(wire: &Wire, table: &str) -> Result<std::result::Result<Self, Trouble>> {
        Self::answered(wire, "DescribeTable", json!({ "TableName": table }).to_string()).await
    }

    async fn answered(
        wire: &Wire,
        operation: &str,
        body: String,
    ) -> Result<std::result::Result<Self, Trouble>> {
        let answer = match wire.try_call(operation, body).await? {
            Ok(answer) => answer,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let answer: Answer = wire.parsed(&answer)?;
        Ok(Ok(answer.table))
    }

    /// Whether it takes items.
    pub(crate) fn is_active(&self) -> bool {
        self.table_status == "ACTIVE"
    }

    /// The number of the account that it is in: `arn:aws:dynamodb:REGION:ACCOUNT:table/NAME`.
    pub(crate) fn account(&self) -> Option<&str> {
        self.table_arn.split(':').nth(4).filter(|account| !account.is_empty())
    }

    /// The table's keys, or those of one of its indexes; none if there is no such index.
    pub(crate) fn keys(&self, index: Option<&str>) -> Option<Keys> {
        let schema = match index {
            None => &self.key_schema,
            Some(name) => {
                let mut all = self.global_secondary_indexes.iter().chain(&self.local_secondary_indexes);
                &all.find(|index| index.index_name == name)?.key_schema
            }
        };
        let attribute = |role: &str| {
            let name = &schema.iter().find(|element| element.key_type == role)?.attribute_name;
            let mut all = self.attribute_definitions.iter();
            let key_type = all.find(|definition| definition.attribute_name == *name)?.attribute_type;
            Some(KeyAttribute { name: name.clone(), key_type })
        };
        Some(Keys { partition: attribute("HASH")?, sort: attribute("RANGE") })
    }

    /// What is a key, of the table or of one of its indexes.
    pub(crate) fn all_keys(&self) -> impl Iterator<Item = KeyAttribute> {
        let all = self.attribute_definitions.iter();
        all.map(|it| KeyAttribute { name: it.attribute_name.clone(), key_type: it.attribute_type })
    }

    /// The names of its indexes.
    pub(crate) fn index_names(&self) -> Vec<&str> {
        let all = self.global_secondary_indexes.iter().chain(&self.local_secondary_indexes);
        all.map(|index| index.index_name.as_str()).collect()
    }
}

impl Keys {
    /// The partition key, then the sort key if there is one.
    pub(crate) fn each(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.partition).chain(&self.sort)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::create_table::CreateTableInput;

    use super::*;

    /// What [`creation`] does not know would be lost.
    #[test]
    fn the_messages_table_has_nothing_that_its_creation_leaves_out() {
        let table = backend_flask::messages::create_table("t");
        let known = CreateTableInput::builder()
            .set_table_name(table.get_table_name().clone())
            .set_attribute_definitions(table.get_attribute_definitions().clone())
            .set_key_schema(table.get_key_schema().clone())
            .set_billing_mode(table.get_billing_mode().clone())
            .set_provisioned_throughput(table.get_provisioned_throughput().clone());
        assert_eq!(known, table);
        let created: serde_json::Value = serde_json::from_str(&creation(&table)).unwrap();
        let attribute = |name: &str, other: &str, value: &str| json!({ "AttributeName": name, other: value });
        let expected = json!({
            "TableName": "t",
            "AttributeDefinitions": [attribute("pk", "AttributeType", "S"), attribute("sk", "AttributeType", "S")],
            "KeySchema": [attribute("pk", "KeyType", "HASH"), attribute("sk", "KeyType", "RANGE")],
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": { "ReadCapacityUnits": 5, "WriteCapacityUnits": 5 },
        });
        assert_eq!(created, expected);
    }

    #[test]
    fn keys_are_read_with_their_types() {
        let text = r#"{"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "N"}, {"AttributeName": "at", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "GlobalSecondaryIndexes": [{"IndexName": "by-time", "KeySchema": [{"AttributeName": "at", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}]}]}"#;
        let table: TableDescription = serde_json::from_str(text).unwrap();
        let id = KeyAttribute { name: "id".to_owned(), key_type: KeyType::N };
        let at = KeyAttribute { name: "at".to_owned(), key_type: KeyType::S };
        assert_eq!(table.keys(None), Some(Keys { partition: id.clone(), sort: None }));
        assert_eq!(table.keys(Some("by-time")), Some(Keys { partition: at, sort: Some(id) }));
        assert_eq!(table.keys(Some("other")), None);
        assert_eq!(table.index_names(), ["by-time"]);
    }
}
