//! A Postgres database and the connection to it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use postgres::config::Host;
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};
use tokio::task::JoinHandle;

use crate::failure::Failure;
use crate::poll::Look;

/// The database that is always there, from which others are created and dropped.
const MAINTENANCE_DATABASE: &str = "postgres";

/// What to do when the server refuses the user.
const WRONG_PASSWORD: &str = "set the password the server was created with; for the Docker engine's, which keeps \
                              its first one in its volume, start afresh with `cargo xtask down --volumes`";

/// How long a server may take to accept a connection, where the URL does not say.
const CONNECT_BOUND: Duration = Duration::from_secs(10);

/// A Postgres database. Shown as `user@host:port/database`, never with the password.
#[derive(Clone)]
pub(crate) struct PostgresTarget {
    config: Config,
    /// What to do when it cannot be reached.
    remedy: String,
}

impl PostgresTarget {
    /// A database on this machine's loopback.
    pub(crate) fn local(port: u16, user: &str, password: &str, database: &str, remedy: String) -> Self {
        let mut config = Config::new();
        config.host("127.0.0.1").port(port).user(user).password(password).dbname(database);
        Self::new(config, remedy)
    }

    /// A database by the URL that the setting `variable` holds.
    ///
    /// # Errors
    /// Not a Postgres URL, or without host, user or database. The message keeps the URL to itself: it
    /// holds a password.
    pub(crate) fn parse(variable: &str, url: &str, remedy: String) -> Result<Self> {
        let form = "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE";
        let config = Config::from_str(url).map_err(|error| {
            Failure::new(format!("{variable} is not a Postgres URL"), form).caused_by(error)
        })?;
        for (part, missing) in [
            ("host", config.get_hosts().is_empty() && config.get_hostaddrs().is_empty()),
            ("user", config.get_user().is_none()),
            ("database", config.get_dbname().is_none()),
        ] {
            if missing {
                return Err(Failure::new(format!("{variable} names no {part}"), form).into());
            }
        }
        Ok(Self::new(config, remedy))
    }

    fn new(mut config: Config, remedy: String) -> Self {
        config.application_name("cargo xtask");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_BOUND);
        }
        Self { config, remedy }
    }

    /// The database's name.
    pub(crate) fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or(MAINTENANCE_DATABASE)
    }

    /// The same server's maintenance database.
    pub(crate) fn maintenance(&self) -> Self {
        let mut config = self.config.clone();
        config.dbname(MAINTENANCE_DATABASE);
        Self { config, remedy: self.remedy.clone() }
    }

    /// The URL, password included: for programs, never for the screen.
    pub(crate) fn url(&self) -> String {
        let password = self.password().map(|password| format!(":{}", percent_encoded(&password)));
        let user = percent_encoded(self.config.get_user().unwrap_or_default());
        let database = percent_encoded(self.database());
        format!("postgresql://{user}{}@{}/{database}", password.unwrap_or_default(), self.address())
    }

    /// What psql needs to connect, as libpq's environment variables.
    /// <https://www.postgresql.org/docs/current/libpq-envars.html>
    pub(crate) fn libpq_environment(&self) -> Vec<(&'static str, String)> {
        let (host, port) = self.host_and_port();
        let mut variables = vec![
            ("PGHOST", host),
            ("PGPORT", port.to_string()),
            ("PGUSER", self.config.get_user().unwrap_or_default().to_owned()),
            ("PGDATABASE", self.database().to_owned()),
        ];
        variables.extend(self.password().map(|password| ("PGPASSWORD", password)));
        variables
    }

    fn password(&self) -> Option<String> {
        self.config.get_password().map(|password| String::from_utf8_lossy(password).into_owned())
    }

    fn host_and_port(&self) -> (String, u16) {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => self.config.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
        };
        (host, self.config.get_ports().first().copied().unwrap_or(5432))
    }

    fn address(&self) -> String {
        let (host, port) = self.host_and_port();
        format!("{host}:{port}")
    }

    /// Connects.
    ///
    /// # Errors
    /// The server cannot be reached or refuses; or the database is not there.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        let connected = self.try_connect().await?;
        connected.map_err(|error| {
            let remedy = match error.code() {
                Some(&SqlState::UNDEFINED_DATABASE) => "create it with `cargo xtask db create`",
                Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
                    WRONG_PASSWORD
                }
                _ => &self.remedy,
            };
            Failure::new(format!("cannot connect to Postgres at {self}"), remedy)
                .caused_by(readable(error))
                .into()
        })
    }

    async fn try_connect(&self) -> Result<Result<Connection, postgres::Error>> {
        let config = self.config.clone();
        let connected = on_its_own_thread(move || config.connect(NoTls)).await?;
        Ok(connected.map(|client| Connection { client: Some(client), target: self.clone() }))
    }

    /// Whether the server answers a query, as a client would ask it: over TCP, as the real user. The
    /// connection is to the maintenance database.
    pub(crate) async fn look(&self) -> Look<Connection> {
        match self.maintenance().try_connect().await {
            Err(error) => Look::Failed(error),
            Ok(Err(error)) => self.reason(error),
            Ok(Ok(connection)) => connection.answers().await,
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
            None
            | Some(&SqlState::CANNOT_CONNECT_NOW | &SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN) => {
                Look::NotYet(format!("{:#}", readable(error)))
            }
            Some(_) => Look::Failed(readable(error)),
        }
    }
}

/// A connection to the maintenance database that is made while it is found out whether the server runs.
pub(crate) struct EarlyConnection {
    target: PostgresTarget,
    connected: JoinHandle<Result<Connection, postgres::Error>>,
}

impl EarlyConnection {
    /// Begins to connect.
    pub(crate) fn begin(target: &PostgresTarget) -> Self {
        let target = target.maintenance();
        let connect = {
            let target = target.clone();
            move || Ok(Connection { client: Some(target.config.connect(NoTls)?), target })
        };
        Self { target, connected: tokio::task::spawn_blocking(connect) }
    }

    /// As [`PostgresTarget::look`]. Only a good connection counts: the server may have been started
    /// since, or replaced, or be another one than was thought.
    pub(crate) async fn look(self, target: &PostgresTarget) -> Look<Connection> {
        if self.target.url() == target.maintenance().url()
            && let Ok(Ok(connection)) = self.connected.await
        {
            return connection.answers().await;
        }
        target.look().await
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
    /// Does `work` with the connection.
    ///
    /// # Errors
    /// What `work` returns; or an earlier `work` panicked.
    pub(crate) async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Client) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut client = self.client.take().context("the connection to Postgres was lost")?;
        let (client, done) = on_its_own_thread(move || {
            let done = work(&mut client);
            (client, done)
        })
        .await?;
        self.client = Some(client);
        done
    }
}

impl Connection {
    async fn answers(mut self) -> Look<Self> {
        match self.with(|client| Ok(client.simple_query("select 1")?)).await {
            Ok(_) => Look::Ready(self),
            Err(error) => Look::NotYet(format!("{error:#}")),
        }
    }

    /// Whether it is to the server of the data in `folder`: another checkout's may have the same password.
    /// `folder` is none where no server of ours runs.
    pub(crate) async fn serves(mut self, folder: Option<PathBuf>) -> Look<Self> {
        let asked = self.with(|client| {
            let row =
                client.query_typed_one("select current_setting('data_directory')", &[]).map_err(readable)?;
            Ok(PathBuf::from(row.try_get::<_, String>(0)?))
        });
        match (asked.await, folder) {
            (Ok(serves), Some(folder)) if serves == folder => Look::Ready(self),
            (Ok(serves), _) => {
                Look::NotYet(format!("the server there is another's, of {}", serves.display()))
            }
            (Err(error), _) => Look::NotYet(format!("{error:#}")),
        }
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

/// Runs what blocks: the `postgres` crate must not run on a thread that drives async tasks.
async fn on_its_own_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("the thread that talks to Postgres panicked")
}

impl fmt::Display for PostgresTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.config.get_user().unwrap_or_default();
        write!(formatter, "{user}@{}/{}", self.address(), self.database())
    }
}

/// The server's own words, or else the driver's.
pub(crate) fn readable(error: postgres::Error) -> anyhow::Error {
    match error.as_db_error() {
        Some(database) => {
            let more = [database.detail(), database.hint()].into_iter().flatten();
            let text = more.fold(database.message().to_owned(), |text, more| format!("{text}; {more}"));
            anyhow!("{text} (SQLSTATE {})", database.code().code())
        }
        None => error.into(),
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Report;

    fn parse(url: &str) -> Result<PostgresTarget> {
        PostgresTarget::parse("CONNECTION_URL", url, String::new())
    }

    #[test]
    fn it_is_shown_without_its_password_and_handed_on_with_it() {
        let target = parse("postgres://me:p%40ss%2Fword@db.internal:5433/cruddur").unwrap();
        assert_eq!(target.to_string(), "me@db.internal:5433/cruddur");
        assert_eq!(target.url(), "postgresql://me:p%40ss%2Fword@db.internal:5433/cruddur");
        assert_eq!(target.maintenance().to_string(), "me@db.internal:5433/postgres");
        assert!(target.libpq_environment().contains(&("PGPASSWORD", "p@ss/word".to_owned())));
    }

    #[test]
    fn a_bad_url_is_explained_without_its_password() {
        for url in [
            "mysql://me:hunter2@h/d",
            "postgres://me:hunter2@h:port/d",
            "postgres://me:hunter2@h",
            "postgres:///d",
        ] {
            let report = Report(&parse(url).err().unwrap()).to_string();
            assert!(report.starts_with("error: CONNECTION_URL "), "{report}");
            assert!(!report.contains("hunter2"), "{report}");
        }
    }
}
