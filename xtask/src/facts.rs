//! The details of a target, shown before a command changes it.

use std::fmt;

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::types::TableDescription;
use backend_flask::sql;
use postgres::Client;

use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::table;
use crate::postgres::target::readable;
use crate::targets::PostgresTarget;

/// The number of tables whose rows are shown.
const TABLES: usize = 10;

/// Larger tables are not counted; the server's estimate is shown.
const COUNTED_BYTES: i64 = 64 << 20;

/// Bounds how long the server may count one table, or wait for its lock.
const SET_STATEMENT_TIMEOUT: &str = "set statement_timeout = '3s'";

/// Named facts about a target, one per line.
#[derive(Default)]
pub(crate) struct Facts(Vec<(&'static str, String)>);

impl Facts {
    pub(crate) fn add(&mut self, name: &'static str, fact: impl fmt::Display) {
        self.0.push((name, fact.to_string()));
    }

    /// A Postgres database: its address, the user, and the rows of its tables.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub(crate) async fn of_postgres(target: &PostgresTarget) -> Result<Self> {
        let (host, port) = target.host_and_port();
        let mut facts = Self::default();
        facts.add("host", format_args!("{host}, port {port}, {}", target.encryption()));
        facts.add("database", target.database());
        facts.add("user", target.user());
        let tables = match target.connect_if_there().await? {
            None => "the database does not exist".to_owned(),
            Some(mut connection) => connection.with(rows).await?,
        };
        facts.add("rows", tables);
        Ok(facts)
    }

    /// A DynamoDB table, with the server's description if the table exists.
    pub(crate) fn of_table(dynamodb: &DynamoDb, name: &str, description: Option<&TableDescription>) -> Self {
        let mut facts = Self::default();
        if let Some(account) = description.and_then(table::account) {
            facts.add("account", account);
        }
        facts.add("region", dynamodb.region());
        facts.add("endpoint", dynamodb.endpoint());
        match description {
            None => facts.add("table", format_args!("{name}, which does not exist")),
            Some(description) => {
                facts.add("table", name);
                let items = description.item_count.unwrap_or_default();
                // <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html>
                let age = if dynamodb.target.is_production() {
                    ", by DynamoDB's own count, up to six hours old"
                } else {
                    ""
                };
                facts.add("items", format_args!("{items}{age}"));
                let protected =
                    if description.deletion_protection_enabled == Some(true) { "on" } else { "off" };
                facts.add("deletion protection", protected);
            }
        }
        facts
    }
}

/// The row counts of the largest tables, in one line.
fn rows(client: &mut Client) -> Result<String> {
    client.batch_execute(SET_STATEMENT_TIMEOUT).map_err(readable)?;
    let tables = client.query_typed(sql::TABLES, &[]).map_err(readable)?;
    let mut counts = Vec::new();
    for row in tables.iter().take(TABLES) {
        let (name, about, bytes): (String, i64, i64) =
            (row.try_get("name")?, row.try_get("about")?, row.try_get("bytes")?);
        // A user who may drop a table may not be allowed to read it.
        let counted = if bytes <= COUNTED_BYTES { count(client, &name).ok() } else { None };
        counts.push(match counted {
            Some(count) => format!("{name} {count}"),
            None => format!("{name} about {about}"),
        });
    }
    counts.sort();
    if tables.len() > TABLES {
        counts.push(format!("and {} smaller tables", tables.len() - TABLES));
    }
    Ok(if counts.is_empty() { "no tables".to_owned() } else { counts.join(", ") })
}

/// The number of rows in a table. `name` includes the schema and is quoted where necessary.
pub(crate) fn count(client: &mut Client, name: &str) -> Result<i64> {
    let row = client.query_typed_one(&sql::count_table(name), &[]).map_err(readable)?;
    row.try_get("rows").context("no count")
}

/// One indented line per fact, with the facts aligned.
impl fmt::Display for Facts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        self.0.iter().try_for_each(|(name, fact)| write!(formatter, "\n  {name:width$}  {fact}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_below_each_other() {
        let mut facts = Facts::default();
        facts.add("table", "t");
        facts.add("deletion protection", "on");
        assert_eq!(facts.to_string(), "\n  table                t\n  deletion protection  on");
    }
}
