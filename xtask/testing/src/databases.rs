//! Shared by all tests of a process: one Postgres session, which holds the locks of their databases, and one DynamoDB
//! client. A test's table has the name of its database.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::types::TableStatus;
use backend_flask::{http, messages, sql, time};
use chrono::{TimeDelta, Utc};
use tokio::sync::OnceCell;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::servers::{MAINTENANCE_DATABASE, POSTGRES_URL, Servers};
use crate::{say, template};

/// The prefix of test databases' names. `leftovers.sql` repeats it.
const PREFIX: &str = "cruddur_test_";

/// How long the database of a failed test is kept.
const KEPT: TimeDelta = TimeDelta::days(1);

/// How long a table may take until it is active.
const ACTIVE_BOUND: Duration = Duration::from_secs(30);

/// The first version of Postgres that can copy a template's files. Earlier ones always do.
const HAS_STRATEGIES: i32 = 150_000;

/// The servers, and the process's own connections to them.
pub(crate) struct Databases {
    pub(crate) servers: Servers,
    /// A session in the maintenance database.
    session: Client,
    dynamodb: DynamoDb,
    /// Options of `create database` besides the template.
    strategy: &'static str,
}

impl Databases {
    /// Makes a database and a table, and returns their name. The first call finds the servers and removes what
    /// earlier runs left there.
    pub(crate) async fn create() -> Result<(&'static Self, String)> {
        static SHARED: OnceCell<Databases> = OnceCell::const_new();
        let shared = SHARED.get_or_try_init(Self::start).await?;
        let name = format!("{PREFIX}{}", &Uuid::new_v4().simple().to_string()[..16]);
        // Take the lock first: other runs remove unlocked databases.
        shared.query("select pg_advisory_lock(hashtextextended($1, 0))", &name).await?;
        let created = async {
            shared.create_database(&name).await?;
            // The database comes first: leftovers are found by their database, not by their table.
            shared.create_table(&name).await
        };
        if let Err(error) = created.await {
            let _ = shared.remove(&name).await;
            return Err(error);
        }
        Ok((shared, name))
    }

    async fn start() -> Result<Self> {
        let servers = Servers::find().await?;
        let (session, _) = servers.connect(MAINTENANCE_DATABASE).await.with_context(|| {
            let database = servers.shown(MAINTENANCE_DATABASE);
            format!(
                "cannot connect to {database}: check {POSTGRES_URL}, or `cargo xtask status` if it is not set"
            )
        })?;
        let dynamodb = DynamoDb::from_conf(http::local_config(&servers.endpoint).build());
        let version = session.query_one("select current_setting('server_version_num')::int4", &[]).await?;
        let strategy = if version.get::<_, i32>(0) >= HAS_STRATEGIES { " strategy file_copy" } else { "" };
        let shared = Self { servers, session, dynamodb, strategy };
        shared.remove_leftovers().await?;
        template::make(&shared.servers, &shared.session, &template::name()).await?;
        Ok(shared)
    }

    async fn query(&self, sql: &str, name: &str) -> Result<()> {
        self.session.execute(sql, &[&name]).await?;
        Ok(())
    }

    async fn create_database(&self, name: &str) -> Result<()> {
        let create = async || {
            // A new day needs a new template.
            let template = template::name();
            template::make(&self.servers, &self.session, &template).await?;
            let sql = format!("create database {name} template {template}{}", self.strategy);
            anyhow::Ok(self.session.batch_execute(&sql).await)
        };
        let created = match create().await? {
            // Another run has just dropped the template.
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_DATABASE) => create().await?,
            created => created,
        };
        created.with_context(|| format!("cannot create the database {name}"))
    }

    async fn create_table(&self, name: &str) -> Result<()> {
        let failed = || format!("cannot create the table {name} at {}", self.servers.endpoint);
        let table = messages::create_table(name);
        let created = table.send_with(&self.dynamodb).await.with_context(failed)?;
        let mut status = created.table_description.and_then(|table| table.table_status);
        let began = Instant::now();
        while status != Some(TableStatus::Active) {
            ensure!(began.elapsed() < ACTIVE_BOUND, "the table {name} is not active yet: {status:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
            let described =
                self.dynamodb.describe_table().table_name(name).send().await.with_context(failed)?;
            status = described.table.and_then(|table| table.table_status);
        }
        Ok(())
    }

    /// Drops a table and its database, and ends the sessions in it.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        match self.dynamodb.delete_table().table_name(name).send().await {
            Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => {}
            deleted => drop(deleted.with_context(|| format!("cannot delete the table {name}"))?),
        }
        let dropped = self.session.batch_execute(&sql::drop_database(name)).await;
        dropped.with_context(|| format!("cannot drop the database {name}"))?;
        self.query("select pg_advisory_unlock(hashtextextended($1, 0))", name).await
    }

    /// Removes databases and tables without an owner. The next run tries again if one cannot be removed.
    async fn remove_leftovers(&self) -> Result<()> {
        let ended = self.session.query(include_str!("../sql/leftovers.sql"), &[&template::oldest()]).await?;
        for name in ended.iter().map(|row| row.get::<_, String>(0)) {
            if let Err(error) = self.remove(&name).await {
                say(&format!("left over from an earlier run: {error:#}"));
            }
        }
        Ok(())
    }

    /// Keeps a database and its table from removal by later runs for a day.
    pub(crate) async fn keep(&self, name: &str) -> Result<()> {
        let until = format!("kept until {}", time::format(Utc::now() + KEPT));
        Ok(self.session.batch_execute(&sql::comment_on_database(name, &until)).await?)
    }

    /// Where a database and its table are, and how to look into them.
    pub(crate) fn kept(&self, name: &str) -> String {
        format!(
            "kept for a day: database {} (eval \"$(cargo xtask env)\"; psql \"${{CONNECTION_URL%/*}}/{name}\"), table {name} \
             at {} (cargo xtask ddb scan --table {name})",
            self.servers.shown(name),
            self.servers.endpoint
        )
    }
}
