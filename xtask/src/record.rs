//! The record of the last set-up, kept as a comment on the Postgres database. `prepare` compares it with the sources
//! to find changes.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::types::TableDescription;
use backend_flask::{messages, sql};
use postgres::Client;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::table;
use crate::facts;
use crate::postgres::target::{Connection, readable};
use crate::targets::PostgresTarget;
use crate::text::{counted, hex};

/// Bounds how long a count waits for another session's lock on a table.
const SET_LOCK_TIMEOUT: &str = "set lock_timeout = '2s'";

/// The prefix of the comment on the database.
const MARK: &str = "set up by cargo xtask: ";

/// The SHA-256 of each source of the databases, keyed by the name that messages use for it.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sources(BTreeMap<String, String>);

impl Sources {
    pub(crate) fn add(&mut self, name: impl Into<String>, content: impl AsRef<[u8]>) {
        let digest = Sha256::digest(content);
        self.0.insert(name.into(), hex(&digest));
    }

    pub(crate) fn add_table(&mut self, table: &str) {
        self.add("the definition of the messages table", format!("{:?}", messages::create_table(table)));
    }
}

/// The sources of the last set-up, and how much the seeds wrote. A set-up writes it as its last step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) sources: Sources,
    /// Identifies the messages table, so that a table that was created again is noticed.
    table: String,
    pub(crate) seeded: Counts,
}

/// The number of users, activities, rows of other tables, and items.
pub(crate) type Counts = [i64; 4];

impl Record {
    /// The record of a finished set-up that created `table`.
    pub(crate) fn new(sources: Sources, table: &TableDescription, seeded: Counts) -> Self {
        Self { sources, table: identity(table), seeded }
    }

    /// The record of a set-up that has begun but not finished. `seeded` is what exists now, or the most that a seed is
    /// about to write: none of it counts as the user's.
    pub(crate) fn begun(table: Option<&TableDescription>, seeded: Counts) -> Self {
        Self { sources: Sources::default(), table: table.map(identity).unwrap_or_default(), seeded }
    }

    /// The record of a set-up that has begun with the rows. The existing items will be replaced.
    pub(crate) async fn begun_before_items(
        dynamodb: &DynamoDb,
        [users, activities, others]: [i64; 3],
    ) -> Result<Self> {
        let table = table::describe_if_there(dynamodb, &dynamodb.target.table).await?;
        let items = table.as_ref().and_then(|table| table.item_count).unwrap_or_default();
        Ok(Self::begun(table.as_ref(), [users, activities, others, items]))
    }

    /// Reads the record in the database that `client` is connected to; `None` if there is none or it cannot be parsed.
    pub(crate) fn read(client: &mut Client) -> Result<Option<Self>> {
        let row = client.query_typed_one(sql::DATABASE_COMMENT, &[]).map_err(readable)?;
        let comment: Option<String> = row.try_get("comment")?;
        Ok(comment.and_then(|comment| serde_json::from_str(comment.strip_prefix(MARK)?).ok()))
    }

    /// The record after only Postgres's tables were made anew. It keeps what `former` says about the items.
    pub(crate) fn of_new_tables(former: Option<Self>) -> Self {
        let former = former.unwrap_or_else(|| Self::begun(None, [0; 4]));
        Self { sources: Sources::default(), ..former.with_rows([0; 3]) }
    }

    pub(crate) fn is_unfinished(&self) -> bool {
        self.sources == Sources::default()
    }

    pub(crate) fn with_rows(self, [users, activities, others]: [i64; 3]) -> Self {
        Self { seeded: [users, activities, others, self.seeded[3]], ..self }
    }

    pub(crate) fn with_table(self, table: &TableDescription) -> Self {
        Self { table: identity(table), ..self }
    }

    /// Writes the record as a comment on `database`.
    pub(crate) fn write(&self, client: &mut Client, database: &str) -> Result<()> {
        let comment = format!("{MARK}{}", serde_json::to_string(self)?);
        let commented = client.batch_execute(&sql::comment_on_database(database, &comment));
        commented.map_err(readable).context("cannot note in the database what it was made from")
    }

    /// Like [`Record::write`], for the database of `target`. `connection` may be to another database.
    pub(crate) async fn write_by(self, connection: &mut Connection, target: &PostgresTarget) -> Result<()> {
        let database = target.database().to_owned();
        connection.with(move |client| self.write(client, &database)).await
    }

    /// What has changed since the set-up, one sentence for each change. `table` is `None` if there is no table now.
    fn changes(&self, sources: &Sources, table: Option<&TableDescription>) -> Vec<String> {
        let (then, now) = (&self.sources.0, &sources.0);
        let names = now.keys().chain(then.keys().filter(|name| !now.contains_key(*name)));
        let changed = names.filter(|name| then.get(*name) != now.get(*name));
        let mut changes: Vec<_> = changed.map(|name| format!("{name} has changed")).collect();
        match table {
            None => changes.push("the messages table does not exist".to_owned()),
            Some(table) if identity(table) != self.table => {
                changes.push("the messages table was recreated".to_owned());
            }
            Some(_) => {}
        }
        changes
    }
}

/// The table's id or, if the server gives none, its creation time.
fn identity(table: &TableDescription) -> String {
    let created = || format!("{:?}", table.creation_date_time);
    table.table_id.clone().unwrap_or_else(created)
}

/// The contents of the Postgres database.
pub(crate) struct Rows {
    /// The number of users and activities; `None` if the table does not exist.
    tables: [Option<i64>; 2],
    /// The number of rows in other tables.
    others: i64,
    /// The record of the last set-up; `None` if there is none or it cannot be parsed.
    pub(crate) record: Option<Record>,
}

impl Rows {
    /// Counts the rows of the database that `client` is connected to, and reads its record.
    pub(crate) fn read(client: &mut Client) -> Result<Self> {
        client.batch_execute(SET_LOCK_TIMEOUT).map_err(readable)?;
        let row = client.query_typed_one(sql::HAS_TABLES, &[]).map_err(readable)?;
        let ours = [("users", "public.users"), ("activities", "public.activities")];
        let mut tables = [None; 2];
        for (count, (column, table)) in tables.iter_mut().zip(ours) {
            if row.try_get(column)? {
                *count = Some(facts::count(client, table)?);
            }
        }
        let mut others = 0;
        for row in client.query_typed(sql::TABLES, &[]).map_err(readable)? {
            let name: String = row.try_get("name")?;
            if ours.iter().all(|(_, table)| name != *table) {
                others += facts::count(client, &name)?;
            }
        }
        Ok(Self { tables, others, record: Record::read(client)? })
    }

    /// The number of users, activities and rows of other tables.
    pub(crate) fn counts(&self) -> [i64; 3] {
        let [users, activities] = self.tables.map(Option::unwrap_or_default);
        [users, activities, self.others]
    }
}

/// What both databases hold. The item count comes from DescribeTable: local servers keep it exact.
pub(crate) struct Contents {
    /// `None` if the database does not exist or was not read.
    rows: Option<Rows>,
    /// `None` if the table does not exist or was not read.
    pub(crate) table: Option<TableDescription>,
}

impl Contents {
    /// Reads the databases that are given.
    pub(crate) async fn read(postgres: Option<&PostgresTarget>, dynamodb: Option<&DynamoDb>) -> Result<Self> {
        let rows = async {
            let Some(postgres) = postgres else { return Ok(None) };
            match postgres.connect_if_there().await? {
                None => Ok(None),
                Some(mut connection) => connection.with(Rows::read).await.map(Some),
            }
        };
        let table = async {
            let Some(dynamodb) = dynamodb else { return Ok(None) };
            table::describe_if_there(dynamodb, &dynamodb.target.table).await
        };
        let (rows, table) = tokio::try_join!(rows, table)?;
        Ok(Self { rows, table })
    }

    pub(crate) fn counts(&self) -> Counts {
        let [users, activities, others] = self.rows.as_ref().map_or([0; 3], Rows::counts);
        let items = self.table.as_ref().and_then(|table| table.item_count);
        [users, activities, others, items.unwrap_or_default()]
    }

    pub(crate) fn record(&self) -> Option<&Record> {
        self.rows.as_ref()?.record.as_ref()
    }

    /// The counts in words; `None` if all are zero.
    pub(crate) fn described(&self) -> Option<String> {
        described(self.counts())
    }

    /// The record of the last set-up, if only seeds have written since.
    pub(crate) fn untouched(&self) -> Option<&Record> {
        let record = self.record()?;
        let [rows @ .., _] = self.counts();
        // An interrupted set-up leaves all rows or none.
        let same_rows = record.seeded[..3] == rows || record.is_unfinished() && rows == [0; 3];
        (same_rows && self.has_items_of(record)).then_some(record)
    }

    /// Whether all items are the seeds', according to `record`.
    fn has_items_of(&self, record: &Record) -> bool {
        let [.., items] = self.counts();
        // An interrupted set-up leaves possibly only some of the items.
        let most = record.seeded[3];
        let seeded_items = if record.is_unfinished() { 0 } else { most }..=most;
        let same_table = self.table.as_ref().is_some_and(|table| identity(table) == record.table);
        // An empty table holds no user data.
        items == 0 || same_table && seeded_items.contains(&items)
    }

    /// Whether the databases may hold data that no seed wrote.
    pub(crate) fn may_hold_user_data(&self) -> bool {
        self.counts() != [0; 4] && self.untouched().is_none()
    }

    /// Whether the messages table may hold items that no seed wrote.
    pub(crate) fn may_hold_user_items(&self) -> bool {
        !self.record().map_or(self.counts()[3] == 0, |record| self.has_items_of(record))
    }

    /// How the databases differ from `sources`, one sentence for each difference.
    pub(crate) fn changes(&self, sources: &Sources) -> Vec<String> {
        let state = match &self.rows {
            None => "the Postgres database does not exist",
            Some(Rows { tables: [Some(_), Some(_)], record: Some(record), .. })
                if !record.is_unfinished() =>
            {
                return record.changes(sources, self.table.as_ref());
            }
            Some(Rows { tables: [Some(_), Some(_)], record: Some(_), .. }) => {
                "no set-up of both databases was finished"
            }
            Some(Rows { tables: [Some(_), Some(_)], .. }) => "the Postgres tables were not made by a set-up",
            Some(_) => "a table of the Postgres database does not exist",
        };
        vec![state.to_owned()]
    }
}

/// Counts in words; `None` if all are zero.
pub(crate) fn described(counts: Counts) -> Option<String> {
    let other = ("row of another table", "rows of other tables");
    let names = [("user", "users"), ("activity", "activities"), other, ("item", "items")];
    let counts = counts.into_iter().zip(names).filter(|(count, _)| *count > 0);
    let counts: Vec<_> =
        counts.map(|(count, (one, many))| counted(count.unsigned_abs(), one, many)).collect();
    (!counts.is_empty()).then(|| counts.join(", "))
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
    fn only_data_that_no_seed_wrote_is_the_user_s() {
        let record = Record::new(sources("create", "a.txt"), &table(1), [5, 4, 0, 138]);
        let contents = |counts: Counts, record: Option<&Record>| {
            let mut table = table(1);
            table.item_count = Some(counts[3]);
            let tables = [Some(counts[0]), Some(counts[1])];
            let rows = Rows { tables, others: counts[2], record: record.cloned() };
            Contents { rows: Some(rows), table: Some(table) }
        };
        assert!(!contents([5, 4, 0, 138], Some(&record)).may_hold_user_data());
        for counts in [[6, 4, 0, 138], [5, 3, 0, 138], [5, 4, 1, 138], [5, 4, 0, 139], [5, 4, 0, 137]] {
            assert!(contents(counts, Some(&record)).may_hold_user_data(), "{counts:?}");
        }
        assert!(contents([5, 4, 0, 138], None).may_hold_user_data());
        assert!(contents([5, 4, 0, 138], Some(&record.clone().with_table(&table(2)))).may_hold_user_data());
        assert!(!contents([5, 4, 0, 0], Some(&record.clone().with_table(&table(2)))).may_hold_user_data());
        assert!(!contents([0; 4], None).may_hold_user_data());
        let unfinished = Record::begun(Some(&table(1)), [5, 4, 0, 138]);
        assert!(!contents([5, 4, 0, 137], Some(&unfinished)).may_hold_user_data());
        assert!(contents([5, 4, 0, 139], Some(&unfinished)).may_hold_user_data());
        assert!(!contents([6, 4, 0, 138], Some(&record)).may_hold_user_items());
        for (counts, record) in [([5, 4, 0, 139], Some(&record)), ([5, 4, 0, 138], None)] {
            assert!(contents(counts, record).may_hold_user_items(), "{counts:?}");
        }
        assert!(!contents([5, 4, 0, 0], None).may_hold_user_items());
        let seeded = Record { seeded: [9, 4, 0, 200], ..record };
        assert!(!contents([9, 4, 0, 200], Some(&seeded)).may_hold_user_data());
    }

    #[test]
    fn each_change_is_named() {
        let record = Record::new(sources("create", "a.txt"), &table(1), [5, 4, 0, 138]);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        assert!(record.changes(&sources("create", "a.txt"), Some(&table(1))).is_empty());
        let changes = |sources, table: Option<TableDescription>| record.changes(&sources, table.as_ref());
        assert_eq!(changes(sources("CREATE", "a.txt"), Some(table(1))), ["schema.sql has changed"]);
        assert_eq!(
            changes(sources("create", "b.txt"), None),
            ["b.txt has changed", "a.txt has changed", "the messages table does not exist"]
        );
        assert_eq!(changes(sources("create", "a.txt"), Some(table(2))), ["the messages table was recreated"]);
    }
}
