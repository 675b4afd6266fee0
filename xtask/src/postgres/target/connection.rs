//! Connections to Postgres. Only [`PostgresTarget::dial`] makes one.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::Failure;
use crate::poll::Look;
use crate::ui::seconds;
use anyhow::{Context as _, Result};
use backend_flask::tls::{Connector, SettingError};
use postgres::Client;
use postgres::error::{DbError, SqlState};

use super::PostgresTarget;
use super::error::{is_refused, readable};

/// How long connecting and signing in may take. The URL's `connect_timeout` overrides it.
pub(super) const CONNECT_BOUND: Duration = Duration::from_secs(10);

/// How long one use of a connection may take. While a script runs, the interval between checks that the server still
/// works on it.
pub(crate) const STATEMENT_BOUND: Duration = Duration::from_secs(30);

/// Added to a connection's bound, so that the TLS handshake times out first: its error says more.
const SLACK: Duration = Duration::from_millis(500);

impl PostgresTarget {
    pub(crate) async fn connect(&self) -> Result<Connection> {
        self.dial().await.map_err(|error| self.explain(error))
    }

    /// Connects, runs `question` within [`STATEMENT_BOUND`], and disconnects.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Client) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.connect().await?.with(question).await
    }

    /// Connects. Returns `None` if the database does not exist, or allows no connections because a drop of it was
    /// interrupted (SQLSTATE 55000).
    pub(crate) async fn connect_if_there(&self) -> Result<Option<Connection>> {
        const NOT_THERE: [SqlState; 2] =
            [SqlState::UNDEFINED_DATABASE, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE];
        match self.dial().await {
            Ok(connection) => Ok(Some(connection)),
            Err(error) => match error.downcast_ref().and_then(postgres::Error::code) {
                Some(code) if NOT_THERE.contains(code) => Ok(None),
                _ => Err(self.explain(error)),
            },
        }
    }

    /// Makes a connection. The error is a [`SettingError`], a [`postgres::Error`], or says that there was no answer.
    async fn dial(&self) -> Result<Connection> {
        let config = &self.parsed.config;
        let bound = config.get_connect_timeout().copied().unwrap_or(CONNECT_BOUND);
        let ways = self.tls.ways(config, bound)?;
        let notices = Notices::default();
        let received = notices.clone();
        let connect = move |config, connector| {
            let is_encrypted = matches!(connector, Connector::Tls { .. });
            let (mut config, received) = (postgres::Config::from(config), received.clone());
            config.notice_callback(move |notice| {
                received.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
            });
            Ok((config.connect(connector)?, is_encrypted))
        };
        // The driver's own bound covers only opening the socket.
        let connect = on_blocking_thread(|| ways.connect_by(connect));
        let connected = tokio::time::timeout(bound + SLACK, connect).await;
        let (client, is_encrypted) = connected.map_err(|_| self.no_answer(bound))???;
        Ok(Connection { client: Some(client), notices, is_encrypted, target: self.clone() })
    }

    /// Checks whether the server answers a query of the real user over TCP. Returns a connection to the maintenance
    /// database.
    pub(crate) async fn look(&self) -> Look<Connection> {
        let mut connection = match self.maintenance().dial().await {
            Ok(connection) => connection,
            Err(error) => return self.reason(error),
        };
        match connection.with(|client| Ok(client.simple_query("select 1")?)).await {
            Ok(_) => Look::Ready(connection),
            Err(error) => Look::NotYet(format!("{error:#}")),
        }
    }

    /// Whether to check again. A starting server refuses, resets, or answers 57P03; any other answer is final.
    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    fn reason<T>(&self, error: anyhow::Error) -> Look<T> {
        let error = match error.downcast::<postgres::Error>() {
            Ok(error) => error,
            Err(error) if error.is::<SettingError>() => return Look::Failed(self.explain(error)),
            Err(error) => return Look::NotYet(format!("{error:#}")),
        };
        match error.code() {
            Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
                let problem = format!("Postgres at {self} refuses the user or password");
                let failure = Failure::unreachable(problem, &self.wrong_password);
                Look::Failed(failure.caused_by(readable(error)).into())
            }
            // The server cannot open its files: they are damaged, or its first start was interrupted.
            Some(&SqlState::UNDEFINED_FILE | &SqlState::DATA_CORRUPTED) => {
                let problem = format!("Postgres at {self} cannot use its data");
                Look::Failed(
                    Failure::unreachable(problem, self.unusable_data).caused_by(readable(error)).into(),
                )
            }
            Some(&SqlState::UNDEFINED_DATABASE) => Look::Failed(self.maintenance().explain(error.into())),
            // A bad certificate stays bad, but a handshake that broke off may be due to a restart.
            _ if self.tls_remedy(&error).is_some() => Look::Failed(self.explain(error.into())),
            None if is_refused(&error) => Look::Nobody(format!("{:#}", readable(error))),
            None
            | Some(&SqlState::CANNOT_CONNECT_NOW | &SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN) => {
                Look::NotYet(format!("{:#}", readable(error)))
            }
            Some(_) => Look::Failed(readable(error)),
        }
    }

    pub(super) fn no_answer(&self, bound: Duration) -> anyhow::Error {
        let problem = format!("Postgres at {self} did not answer within {}", seconds(bound));
        Failure::unreachable(problem, &self.remedy).into()
    }
}

type Notices = Arc<Mutex<Vec<DbError>>>;

pub(crate) struct Connection {
    /// `None` while a thread uses it.
    client: Option<Client>,
    notices: Notices,
    pub(crate) is_encrypted: bool,
    pub(crate) target: PostgresTarget,
}

impl Connection {
    /// Runs `work` with the connection, within [`STATEMENT_BOUND`].
    pub(crate) async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Client) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.with_within(STATEMENT_BOUND, work).await
    }

    pub(crate) async fn with_within<T: Send + 'static>(
        &mut self,
        bound: Duration,
        work: impl FnOnce(&mut Client) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut client = self.client.take().context("the connection to Postgres was lost")?;
        let work = on_blocking_thread(move || {
            let done = work(&mut client);
            (client, done)
        });
        let worked = tokio::time::timeout(bound, work).await;
        let (client, done) = worked.map_err(|_| self.target.no_answer(bound))??;
        self.client = Some(client);
        done
    }

    /// The notices and warnings since the last call.
    pub(crate) fn take_notices(&self) -> Vec<DbError> {
        mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            // Dropping a client runs its own runtime, which panics on a thread that drives async tasks.
            std::thread::spawn(|| drop(client));
        }
    }
}

/// The `postgres` crate runs its own runtime, which panics on a thread that drives async tasks.
async fn on_blocking_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("the thread that talks to Postgres panicked")
}
