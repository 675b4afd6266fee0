//! Postgres, through a pool of connections.

mod dial;
mod news;

use std::time::Duration;

use anyhow::{Context as _, Result};
use deadpool_postgres::tokio_postgres::error::SqlState;
use deadpool_postgres::tokio_postgres::types::{ToSql, Type};
use deadpool_postgres::tokio_postgres::{Config, Error, Row};
use deadpool_postgres::{Client, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use uuid::Uuid;

use super::refusal::{Refusal, chain};
use crate::sql;
use crate::tls::{SettingError, Tls, Ways};
use crate::users::User;

/// The number of connections in the pool. Each costs Postgres a process, and a query takes a millisecond.
const CONNECTIONS: usize = 16;

/// How long a request may wait for a free or new connection.
const CONNECT_BOUND: Duration = Duration::from_secs(5);

/// How long the server may show no sign of life on an idle connection.
const GONE_BOUND: Duration = Duration::from_secs(30);

/// Limits for queries. One that takes this long waits for another session's lock, or the server is in trouble.
const BOUNDS: &str = "-c lock_timeout=5s -c statement_timeout=10s";

/// The number of activities on a home page.
const HOME_LIMIT: i64 = 100;

/// The database's name in refusals.
pub(crate) const NAME: &str = "postgres";

/// The users and their activities.
pub(crate) struct Postgres {
    pool: Pool,
    /// For the connection that listens for notifications, which is not in the pool.
    ways: Ways,
    /// Distinguishes this server from others.
    server: Uuid,
}

impl Postgres {
    /// Opens no connection yet.
    pub(crate) fn new(mut config: Config, tls: &Tls) -> Result<Self> {
        config.application_name("backend-flask");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_BOUND);
        }
        // Also for the connection that only waits for notifications.
        config.keepalives_idle(GONE_BOUND).tcp_user_timeout(GONE_BOUND);
        if config.get_options().is_none() {
            config.options(BOUNDS);
        }
        let ways = tls.ways(&config, CONNECT_BOUND).map_err(SettingError::in_one_line)?;
        // The next query detects a broken connection, so the pool needs no query to check it.
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_connect(config, ways.clone(), recycling))
            .runtime(Runtime::Tokio1)
            .max_size(CONNECTIONS)
            .wait_timeout(Some(CONNECT_BOUND))
            .create_timeout(Some(CONNECT_BOUND))
            .build()
            .context("cannot make the pool of connections to Postgres")?;
        Ok(Self { pool, ways, server: Uuid::new_v4() })
    }

    /// The user whom one of the queries for a single user finds by this text.
    pub(crate) async fn user(&self, sql: &str, key: &str) -> Result<Option<User>, Refusal> {
        // A Postgres text cannot contain NUL.
        if key.contains('\0') {
            return Ok(None);
        }
        Ok(self.users(sql, &[(&key, Type::TEXT)]).await?.pop())
    }

    /// The `limit` users who joined last.
    pub(crate) async fn latest_users(&self, limit: i64) -> Result<Vec<User>, Refusal> {
        self.users(sql::LATEST_USERS, &[(&limit, Type::INT8)]).await
    }

    /// The newest activities, as JSON.
    pub(crate) async fn home_activities(&self) -> Result<String, Refusal> {
        let rows = self.query(sql::HOME_ACTIVITIES, &[(&HOME_LIMIT, Type::INT8)]).await?;
        rows.iter().map(|row| row.try_get::<_, String>(0)).collect::<Result<_, _>>().map_err(corrupt)
    }

    /// Checks that the tables exist and can be read.
    pub(crate) async fn health(&self) -> Result<(), Refusal> {
        self.query(sql::HEALTH, &[]).await.map(|_| ())
    }

    /// Runs `work` while no other server can begin the conversation `pair`.
    pub(crate) async fn in_turn<T>(
        &self,
        pair: Uuid,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(unavailable)?;
        let name = (&pair.to_string() as _, Type::TEXT);
        transaction.query_typed(sql::LOCK_PAIR, &[name]).await.map_err(unavailable)?;
        let done = work.await;
        // The transaction wrote nothing. Its end releases the lock.
        drop(transaction);
        done
    }

    async fn users(&self, sql: &str, values: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<User>, Refusal> {
        let rows = self.query(sql, values).await?;
        rows.iter().map(User::try_from).collect::<Result<_, _>>().map_err(corrupt)
    }

    async fn query(&self, sql: &str, values: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>, Refusal> {
        let client = self.client().await?;
        match client.query_typed(sql, values).await {
            // A restarted server has closed all connections. Only a query notices that.
            Err(error) if has_ended(&error) => {
                // Remove the closed connection from the pool.
                drop(Client::take(client));
                self.client().await?.query_typed(sql, values).await.map_err(unavailable)
            }
            asked => asked.map_err(unavailable),
        }
    }

    async fn client(&self) -> Result<Client, Refusal> {
        self.pool.get().await.map_err(|error| Refusal::unavailable(NAME, chain(&error)))
    }
}

/// Whether the connection has ended. A server that stops sends an error before it closes.
fn has_ended(error: &Error) -> bool {
    let is_stopped = |code: &SqlState| matches!(*code, SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN);
    error.is_closed() || error.code().is_some_and(is_stopped)
}

fn unavailable(error: Error) -> Refusal {
    Refusal::unavailable(NAME, chain(&error))
}

fn corrupt(error: Error) -> Refusal {
    Refusal::corrupt(NAME, error)
}
