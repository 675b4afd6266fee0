//! A connection to Postgres, and what comes in its place.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::Failure;
use crate::poll::Look;
use crate::ui::seconds;
use anyhow::{Context as _, Result};
use backend_flask::tls::{self, Handshake, SslMode};
use postgres::error::SqlState;
use postgres::{Client, NoTls};

use super::PostgresTarget;
use super::trouble::{UNUSABLE_DATA, WRONG_PASSWORD, is_refused, of_tls, readable};

/// How long a server may take to accept a connection and the user, where the URL does not say.
pub(super) const CONNECT_BOUND: Duration = Duration::from_secs(10);

/// How long one piece of work with a connection may take; a script's statement, until it is looked whether the server is
/// at work on it.
pub(crate) const STATEMENT_BOUND: Duration = Duration::from_secs(30);

impl PostgresTarget {
    /// Connects.
    ///
    /// # Errors
    /// The server cannot be reached or refuses; or the database is not there.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        Ok(self.connect_and(|_| Ok(())).await?.0)
    }

    /// Connects for one question, asked within [`STATEMENT_BOUND`], and [leaves it open](Connection::leave_open).
    ///
    /// # Errors
    /// See [`PostgresTarget::connect`]; or what `question` returns; or it did not end in time.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Client) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (connection, answer) = self.connect_and(question).await?;
        connection.leave_open();
        Ok(answer)
    }

    /// Connects and does `first` with the connection, within [`STATEMENT_BOUND`]. Both are done by one thread: to wake
    /// another one for it, and to be woken again, takes longer than many an answer.
    ///
    /// # Errors
    /// See [`PostgresTarget::connect`]; or what `first` returns; or it did not end in time.
    pub(super) async fn connect_and<T: Send + 'static>(
        &self,
        first: impl FnOnce(&mut Client) -> Result<T> + Send + 'static,
    ) -> Result<(Connection, T)> {
        let (connection, done) = self.try_connect(first).await?.map_err(|error| self.explain(error))?;
        Ok((connection, done?))
    }

    /// Connects, where the database is there.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub(crate) async fn connect_if_there(&self) -> Result<Option<Connection>> {
        match self.try_connect(|_| ()).await? {
            Ok((connection, ())) => Ok(Some(connection)),
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_DATABASE) => Ok(None),
            Err(error) => Err(self.explain(error)),
        }
    }

    async fn try_connect<T: Send + 'static>(
        &self,
        first: impl FnOnce(&mut Client) -> T + Send + 'static,
    ) -> Result<Result<(Connection, T), postgres::Error>> {
        let handshake = Handshake::default();
        let is_connected = Arc::new(AtomicBool::new(false));
        let work = {
            let (target, handshake, is_connected) = (self.clone(), handshake.clone(), is_connected.clone());
            on_its_own_thread(move || {
                let connected = target.dial(&handshake)?;
                is_connected.store(true, Ordering::Relaxed);
                Ok(connected.map(|mut client| {
                    let done = first(&mut client);
                    (Connection { client: Some(client), target }, done)
                }))
            })
        };
        let mut work = pin!(work);
        // The driver's own bound ends when the socket is open: the server may still say nothing.
        let bound = self.config.get_connect_timeout().copied().unwrap_or(CONNECT_BOUND);
        match tokio::time::timeout(bound, &mut work).await {
            Ok(worked) => worked?,
            Err(_) if is_connected.load(Ordering::Relaxed) => {
                let worked = tokio::time::timeout(STATEMENT_BOUND, work).await;
                worked.map_err(|_| self.no_answer(STATEMENT_BOUND))??
            }
            Err(_) => Err(self.no_connection(bound, &handshake)),
        }
    }

    /// Connects, encrypted or not as `sslmode` says. The outer error is of the TLS settings' files.
    fn dial(&self, handshake: &Handshake) -> Result<Result<Client, postgres::Error>> {
        let mode = self.tls.mode;
        if mode == SslMode::Disable {
            return Ok(self.config.connect(NoTls));
        }
        let connector = self.tls.connector().map_err(of_tls)?.telling(handshake);
        let attempt = |mode| {
            let mut config = self.config.clone();
            config.ssl_mode(mode);
            config.connect(connector.clone())
        };
        Ok(attempt(mode.first()).or_else(|first| match mode.second(&first) {
            Some(mode) => attempt(mode).map_err(|second| tls::telling(first, second)),
            None => Err(first),
        }))
    }

    /// Whether the server answers a query, as a client would ask it: over TCP, as the real user. The
    /// connection is to the maintenance database.
    pub(crate) async fn look(&self) -> Look<Connection> {
        match self.maintenance().try_connect(answers).await {
            Ok(Ok((connection, Ok(())))) => Look::Ready(connection),
            Ok(Ok((_, Err(error)))) | Err(error) => Look::NotYet(format!("{error:#}")),
            Ok(Err(error)) => self.reason(error),
        }
    }

    /// A server that boots refuses, resets or answers 57P03; one that answers with anything else has
    /// made up its mind. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    fn reason<T>(&self, error: postgres::Error) -> Look<T> {
        match error.code() {
            Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
                let failure =
                    Failure::new(format!("Postgres at {self} refuses the user or password"), WRONG_PASSWORD);
                Look::Failed(failure.caused_by(readable(error)).into())
            }
            // It cannot open its own files: they are damaged, or the first start was interrupted half-way.
            Some(&SqlState::UNDEFINED_FILE | &SqlState::DATA_CORRUPTED) => {
                let problem = format!("Postgres at {self} cannot use its data");
                Look::Failed(Failure::new(problem, UNUSABLE_DATA).caused_by(readable(error)).into())
            }
            // A certificate does not get better by waiting; a handshake that broke off may have met a restart.
            _ if self.tls_remedy(&error).is_some() => Look::Failed(self.explain(error)),
            None if is_refused(&error) => Look::Nobody(format!("{:#}", readable(error))),
            None
            | Some(&SqlState::CANNOT_CONNECT_NOW | &SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN) => {
                Look::NotYet(format!("{:#}", readable(error)))
            }
            Some(_) => Look::Failed(readable(error)),
        }
    }

    fn no_connection(&self, bound: Duration, handshake: &Handshake) -> anyhow::Error {
        if !handshake.is_under_way() {
            return self.no_answer(bound);
        }
        let waited = seconds(bound);
        let problem = format!(
            "Postgres at {self} agreed to encrypt, but did not end the TLS handshake within {waited}"
        );
        Failure::new(problem, &self.remedy).into()
    }

    pub(super) fn no_answer(&self, bound: Duration) -> anyhow::Error {
        let problem = format!("Postgres at {self} did not answer within {}", seconds(bound));
        Failure::new(problem, &self.remedy).into()
    }
}

/// A connection, with the thread that serves it.
pub(crate) struct Connection {
    /// None only while it is at work.
    client: Option<Client>,
    /// What it is connected to.
    pub(crate) target: PostgresTarget,
}

impl Connection {
    /// Does `work` with the connection, within [`STATEMENT_BOUND`].
    ///
    /// # Errors
    /// What `work` returns; or it did not end in time; or an earlier `work` did not, or panicked.
    pub(crate) async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Client) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.with_within(STATEMENT_BOUND, work).await
    }

    /// As [`Connection::with`], within a bound of its own.
    ///
    /// # Errors
    /// See [`Connection::with`].
    pub(crate) async fn with_within<T: Send + 'static>(
        &mut self,
        bound: Duration,
        work: impl FnOnce(&mut Client) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut client = self.client.take().context("the connection to Postgres was lost")?;
        let work = on_its_own_thread(move || {
            let done = work(&mut client);
            (client, done)
        });
        let worked = tokio::time::timeout(bound, work).await;
        let (client, done) = worked.map_err(|_| self.target.no_answer(bound))??;
        self.client = Some(client);
        done
    }

    /// Leaves it to the end of this process to close the connection. The server then takes a processor for three
    /// milliseconds, which the user need not wait for.
    pub(crate) fn leave_open(mut self) {
        std::mem::forget(self.client.take());
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            // Closing runs the client's own runtime, which must not happen on a thread that drives tasks.
            std::thread::spawn(|| drop(client));
        }
    }
}

/// Whether the server answers a query.
fn answers(client: &mut Client) -> Result<()> {
    client.simple_query("select 1")?;
    Ok(())
}

/// Runs what blocks: the `postgres` crate must not run on a thread that drives async tasks.
async fn on_its_own_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("the thread that talks to Postgres panicked")
}
