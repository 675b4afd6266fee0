//! Postgres, through connections that are kept and shared.

mod dial;
mod news;
mod timestamp;

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use deadpool_postgres::tokio_postgres::error::SqlState;
use deadpool_postgres::tokio_postgres::types::{ToSql, Type};
use deadpool_postgres::tokio_postgres::{Config, Row};
use deadpool_postgres::{Client, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Transaction};
use serde::Serialize;
use uuid::Uuid;

use super::refusal::Refusal;
use super::settings::PostgresSettings;
use crate::sql;
use crate::tls::TlsError;
use crate::users::User;
use dial::Dialer;
use timestamp::Timestamp;

/// How many connections are kept. A server's worth of memory lies behind each in Postgres; a query of ours
/// takes it for a millisecond.
const CONNECTIONS: usize = 16;

/// How long a request may wait for a connection, or for one to be made.
const CONNECT_BOUND: Duration = Duration::from_secs(5);

/// How long a server may be without a sign of life, where a connection to it is silent.
const GONE_BOUND: Duration = Duration::from_secs(30);

/// No query of ours takes long: one that does waits for another session's lock, or for a server in trouble.
const BOUNDS: &str = "-c lock_timeout=5s -c statement_timeout=10s";

/// How many activities a home page shows.
const HOME_LIMIT: i64 = 100;

/// What a refusal calls it.
pub(crate) const NAME: &str = "postgres";

/// The users and their activities.
pub(crate) struct Postgres {
    pool: Pool,
    /// For a connection beside the pool's.
    config: Config,
    dialer: Dialer,
    /// What this server calls itself among others.
    server: Uuid,
}

/// An activity as the front end reads it.
#[derive(Debug, Serialize)]
pub(crate) struct Activity {
    uuid: Uuid,
    display_name: String,
    handle: String,
    message: String,
    replies_count: i32,
    reposts_count: i32,
    likes_count: i32,
    reply_to_activity_uuid: Option<Uuid>,
    expires_at: Option<String>,
    created_at: String,
}

impl Postgres {
    /// For the database that the settings name; nothing is connected yet.
    ///
    /// # Errors
    /// The pool's own settings contradict each other, or a file that TLS needs cannot be used.
    pub(crate) fn new(PostgresSettings { mut config, tls }: PostgresSettings) -> Result<Self> {
        config.application_name("backend-flask");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_BOUND);
        }
        // A server that has gone without a word is given up, also where nobody waits for an answer but for news.
        config.keepalives_idle(GONE_BOUND).tcp_user_timeout(GONE_BOUND);
        if config.get_options().is_none() {
            config.options(BOUNDS);
        }
        let dialer = Dialer::new(&tls).map_err(explained)?;
        // A connection that has broken is seen at its next query, which pays for no other one before it.
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_connect(config.clone(), dialer.clone(), recycling))
            .runtime(Runtime::Tokio1)
            .max_size(CONNECTIONS)
            .wait_timeout(Some(CONNECT_BOUND))
            .create_timeout(Some(CONNECT_BOUND))
            .build()
            .context("cannot make the pool of connections to Postgres")?;
        Ok(Self { pool, config, dialer, server: Uuid::new_v4() })
    }

    /// The user with this handle.
    pub(crate) async fn user_by_handle(&self, handle: &str) -> Result<Option<User>, Refusal> {
        self.user(sql::USER_BY_HANDLE, handle).await
    }

    /// The user whom Cognito knows by this id.
    pub(crate) async fn user_by_cognito_id(&self, id: &str) -> Result<Option<User>, Refusal> {
        self.user(sql::USER_BY_COGNITO_USER_ID, id).await
    }

    async fn user(&self, sql: &str, key: &str) -> Result<Option<User>, Refusal> {
        // Postgres takes no NUL in a text: nobody is called so.
        if key.contains('\0') {
            return Ok(None);
        }
        let rows = self.query(sql, &[(&key, Type::TEXT)]).await?;
        rows.first().map(User::try_from).transpose().map_err(|error| Refusal::corrupt(NAME, error))
    }

    /// The users who joined last, `limit` at most.
    pub(crate) async fn latest_users(&self, limit: i64) -> Result<Vec<User>, Refusal> {
        let rows = self.query(sql::LATEST_USERS, &[(&limit, Type::INT8)]).await?;
        let users = rows.iter().map(User::try_from).collect::<Result<_, _>>();
        users.map_err(|error| Refusal::corrupt(NAME, error))
    }

    /// What is shown at home, newest first.
    pub(crate) async fn home_activities(&self) -> Result<Vec<Activity>, Refusal> {
        let rows = self.query(sql::HOME_ACTIVITIES, &[(&HOME_LIMIT, Type::INT8)]).await?;
        let activities = rows.iter().map(Activity::try_from).collect::<Result<_, _>>();
        activities.map_err(|error| Refusal::corrupt(NAME, error))
    }

    /// Whether the tables are there and can be read.
    pub(crate) async fn health(&self) -> Result<(), Refusal> {
        self.query(sql::HEALTH, &[]).await.map(|_| ())
    }

    /// Does `work` while no other server begins the conversation `pair`.
    pub(crate) async fn in_turn<T>(
        &self,
        pair: Uuid,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let mut client = self.client().await?;
        let turn = take_turn(&mut client, pair).await.map_err(unavailable)?;
        let done = work.await;
        // Nothing was written, so that it is all the same how the transaction ends.
        drop(turn);
        done
    }

    async fn query(&self, sql: &str, values: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>, Refusal> {
        let client = self.client().await?;
        match client.query_typed(sql, values).await {
            // A server that was restarted has closed every connection: one that is kept tells it only now.
            Err(error) if has_ended(&error) => {
                // Before its end is seen it would be handed out again.
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

async fn take_turn(
    client: &mut Client,
    pair: Uuid,
) -> Result<Transaction<'_>, deadpool_postgres::tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.query_typed(sql::LOCK_PAIR, &[(&pair.to_string(), Type::TEXT)]).await?;
    Ok(transaction)
}

/// Whether an error is the end of its connection: a server that stops says so before it closes.
fn has_ended(error: &deadpool_postgres::tokio_postgres::Error) -> bool {
    let is_stopped = |code: &SqlState| matches!(*code, SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN);
    error.is_closed() || error.code().is_some_and(is_stopped)
}

fn unavailable(error: deadpool_postgres::tokio_postgres::Error) -> Refusal {
    Refusal::unavailable(NAME, chain(&error))
}

/// What is wrong with the settings of TLS, and what to do about it.
pub(super) fn explained(error: TlsError) -> anyhow::Error {
    anyhow!("{}; {}", chain(&error), error.remedy())
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Reads the columns of [`sql::HOME_ACTIVITIES`].
impl TryFrom<&Row> for Activity {
    type Error = deadpool_postgres::tokio_postgres::Error;

    fn try_from(row: &Row) -> Result<Self, Self::Error> {
        let time = |Timestamp(t)| crate::time::format(t);
        Ok(Self {
            uuid: row.try_get("uuid")?,
            display_name: row.try_get("display_name")?,
            handle: row.try_get("handle")?,
            message: row.try_get("message")?,
            replies_count: row.try_get("replies_count")?,
            reposts_count: row.try_get("reposts_count")?,
            likes_count: row.try_get("likes_count")?,
            reply_to_activity_uuid: row.try_get("reply_to_activity_uuid")?,
            expires_at: row.try_get::<_, Option<_>>("expires_at")?.map(time),
            created_at: time(row.try_get("created_at")?),
        })
    }
}
