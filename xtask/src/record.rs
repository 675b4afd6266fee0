//! What a set-up leaves behind in the database: what it was made from. By it `prepare` tells what has changed since.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::types::TableDescription;
use backend_flask::{messages, sql};
use postgres::Client;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::facts;
use crate::postgres::target::readable;

/// What the comment on the database begins with.
const MARK: &str = "set up by cargo xtask: ";

/// The SHA-256 of each source of the databases, by the name that the user knows it by.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sources(BTreeMap<String, String>);

impl Sources {
    /// Adds a source.
    pub(crate) fn add(&mut self, name: impl Into<String>, content: impl AsRef<[u8]>) {
        let digest = Sha256::digest(content);
        self.0.insert(name.into(), digest.iter().map(|byte| format!("{byte:02x}")).collect());
    }

    /// Adds the definition of the messages table.
    pub(crate) fn add_table(&mut self, table: &str) {
        self.add("the definition of the messages table", format!("{:?}", messages::create_table(table)));
    }
}

/// What a set-up was made from. It is written last: a set-up that was interrupted leaves none.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    sources: Sources,
    /// Which table it made. One that was made anew is another.
    table: String,
}

impl Record {
    /// Of a set-up from `sources` that made `table`.
    pub(crate) fn new(sources: Sources, table: &TableDescription) -> Self {
        Self { sources, table: identity(table) }
    }

    /// What it was made from.
    pub(crate) fn into_sources(self) -> Sources {
        self.sources
    }

    /// The record in the database that `client` is connected to, if there is one that can be read.
    pub(crate) fn read(client: &mut Client) -> Result<Option<Self>> {
        let row = client.query_typed_one(sql::DATABASE_COMMENT, &[]).map_err(readable)?;
        let comment: Option<String> = row.try_get("comment")?;
        let json = comment.as_deref().and_then(|comment| comment.strip_prefix(MARK));
        Ok(json.and_then(|json| serde_json::from_str(json).ok()))
    }

    /// Writes the record into `database`.
    pub(crate) fn write(&self, client: &mut Client, database: &str) -> Result<()> {
        comment(client, database, &format!("{MARK}{}", serde_json::to_string(self)?))
    }

    /// Removes it from `database`, which `client` is connected to and which is no longer as a set-up left it.
    pub(crate) fn remove(client: &mut Client, database: &str) -> Result<()> {
        match Self::read(client)? {
            Some(_) => comment(client, database, ""),
            None => Ok(()),
        }
    }

    /// What has changed since, a sentence each; none if nothing has. `table` is none if there is no table now.
    pub(crate) fn changes(&self, sources: &Sources, table: Option<&TableDescription>) -> Vec<String> {
        let (then, now) = (&self.sources.0, &sources.0);
        let names = now.keys().chain(then.keys().filter(|name| !now.contains_key(*name)));
        let changed = names.filter(|name| then.get(*name) != now.get(*name));
        let mut changes: Vec<_> = changed.map(|name| format!("{name} has changed")).collect();
        match table {
            None => changes.push("the messages table is not there".to_owned()),
            Some(table) if identity(table) != self.table => {
                changes.push("the messages table was made anew".to_owned());
            }
            Some(_) => {}
        }
        changes
    }
}

/// The table's id, or where the server gives none, when it was created.
fn identity(table: &TableDescription) -> String {
    let created = || format!("{:?}", table.creation_date_time);
    table.table_id.clone().unwrap_or_else(created)
}

fn comment(client: &mut Client, database: &str, text: &str) -> Result<()> {
    let commented = client.batch_execute(&sql::comment_on_database(database, text)).map_err(readable);
    commented.context("cannot note in the database what it was made from")
}

/// What there is in the Postgres database.
pub(crate) struct Rows {
    /// How many users and activities; none if there is no such table.
    pub(crate) counts: [Option<i64>; 2],
    /// What the last set-up that was finished left.
    pub(crate) record: Option<Record>,
}

impl Rows {
    /// In the database that `client` is connected to.
    pub(crate) fn read(client: &mut Client) -> Result<Self> {
        let row = client.query_typed_one(sql::HAS_TABLES, &[]).map_err(readable)?;
        let mut counts = [None; 2];
        for (count, (column, table)) in
            counts.iter_mut().zip([("users", "public.users"), ("activities", "public.activities")])
        {
            if row.try_get(column)? {
                *count = Some(facts::count(client, table)?);
            }
        }
        Ok(Self { counts, record: Record::read(client)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::primitives::DateTime;

    fn table(millis: i64) -> TableDescription {
        TableDescription::builder().creation_date_time(DateTime::from_millis(millis)).build()
    }

    fn sources(schema: &str, conversation: &str) -> Sources {
        let mut sources = Sources::default();
        sources.add("schema.sql", schema);
        sources.add(conversation, "text");
        sources
    }

    #[test]
    fn each_change_is_named() {
        let record = Record::new(sources("create", "a.txt"), &table(1));
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        assert!(record.changes(&sources("create", "a.txt"), Some(&table(1))).is_empty());
        let changes = |sources, table: Option<TableDescription>| record.changes(&sources, table.as_ref());
        assert_eq!(changes(sources("CREATE", "a.txt"), Some(table(1))), ["schema.sql has changed"]);
        assert_eq!(
            changes(sources("create", "b.txt"), None),
            ["b.txt has changed", "a.txt has changed", "the messages table is not there"]
        );
        assert_eq!(changes(sources("create", "a.txt"), Some(table(2))), ["the messages table was made anew"]);
    }
}
