//! A Postgres database and the connection to it.

use std::error::Error as _;
use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use backend_flask::sql::SqlError;
use backend_flask::tls::{self, Handshake, Parameters, SslMode, Tls, TlsProblem};
use postgres::config::Host;
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};
use tokio::task::JoinHandle;

use super::passfile::{self, Login};
use super::reach::{Reach, is_loopback};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::poll::Look;
use crate::ui::seconds;

/// The database that is always there, from which others are created and dropped.
const MAINTENANCE_DATABASE: &str = "postgres";

/// What to do when the server refuses the user.
const WRONG_PASSWORD: &str = "set the password the server was created with; for the Docker engine's, which keeps \
                              its first one in its volume, start afresh with `cargo xtask down --volumes`";

/// What to do when the server wants a password and there is none.
const NO_PASSWORD: &str = "write the password into the URL, PGPASSWORD or ~/.pgpass";

/// How long a server may take to accept a connection and the user, where the URL does not say.
const CONNECT_BOUND: Duration = Duration::from_secs(10);

/// How long one piece of work with a connection may take: a statement, or a script of them.
pub(crate) const STATEMENT_BOUND: Duration = Duration::from_secs(30);

/// A Postgres database. Shown as `user@host:port/database`, never with the password.
#[derive(Clone)]
pub(crate) struct PostgresTarget {
    config: Config,
    tls: Tls,
    /// What the URL says besides what the driver reads of it.
    parameters: Parameters,
    /// Why the password's file was not used, if it was not.
    passfile_problem: Option<String>,
    /// What to do when it cannot be reached.
    remedy: String,
}

/// A setting that holds a Postgres URL.
pub(crate) struct UrlSetting<'a> {
    /// The variable's name.
    pub(crate) variable: &'a str,
    pub(crate) url: &'a str,
    pub(crate) reach: Reach<'a>,
    /// Where the password may be, and the user's folder.
    pub(crate) environment: &'a Environment,
}

impl PostgresTarget {
    /// A database on this machine's loopback.
    pub(crate) fn local(port: u16, user: &str, password: &str, database: &str, remedy: String) -> Self {
        let mut config = Config::new();
        config.host("127.0.0.1").port(port).user(user).password(password).dbname(database);
        Self::new(config, remedy)
    }

    /// A database by a URL. The password is the URL's, `PGPASSWORD`, or the one that `~/.pgpass` has for this
    /// database; the server's maintenance database is taken to have the same.
    ///
    /// # Errors
    /// Not a Postgres URL, or without host, user or database; or with TLS settings that cannot be meant; or a
    /// host that must not be reached. The message keeps the URL to itself: it holds a password.
    pub(crate) fn parse(setting: &UrlSetting<'_>, remedy: String) -> Result<Self> {
        let UrlSetting { variable, url, reach, environment } = *setting;
        let form = "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE";
        let (parameters, url) = Parameters::take(url);
        let mut config = Config::from_str(&url).map_err(|error| {
            Failure::new(format!("{variable} is not a Postgres URL"), form).caused_by(error)
        })?;
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(Failure::new(format!("{variable} is not a Postgres URL"), form).into());
        }
        for (part, missing) in [
            ("host", config.get_hosts().is_empty() && config.get_hostaddrs().is_empty()),
            ("user", config.get_user().is_none()),
            ("database", config.get_dbname().is_none()),
        ] {
            if missing {
                return Err(Failure::new(format!("{variable} names no {part}"), form).into());
            }
        }
        for name in tls::named_by_address(config.get_hosts(), config.get_hostaddrs()) {
            config.host(&name);
        }
        let hosts = tls::tcp_hosts(config.get_hosts(), config.get_hostaddrs());
        hosts.iter().try_for_each(|host| reach.check(variable, host))?;
        let home = environment.home();
        let is_local = !reach.is_production() && hosts.iter().all(|host| is_loopback(host));
        let unset = if is_local { SslMode::Disable } else { SslMode::Prefer };
        let tls = Tls::new(&parameters, home.as_deref(), unset).map_err(Failure::from);
        let mut tls = tls.with_context(|| format!("{variable} cannot be used"))?;
        if hosts.is_empty() {
            // On a Unix socket libpq does not look at sslmode either.
            tls = Tls::DISABLED;
        }
        let mut target = Self { tls, parameters, ..Self::new(config, remedy) };
        target.find_password(reach, environment);
        Ok(target)
    }

    fn new(mut config: Config, remedy: String) -> Self {
        config.application_name("cargo xtask");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_BOUND);
        }
        // A server that has gone without a word is given up, also where nobody waits for an answer.
        config.keepalives_idle(STATEMENT_BOUND).tcp_user_timeout(STATEMENT_BOUND);
        let parameters = Parameters::default();
        Self { config, tls: Tls::DISABLED, parameters, passfile_problem: None, remedy }
    }

    /// Looks for the password in libpq's order, but for the URL's own.
    fn find_password(&mut self, reach: Reach<'_>, environment: &Environment) {
        if self.config.get_password().is_some_and(|password| !password.is_empty()) {
            return;
        }
        let setting = |name: &str| {
            if reach.is_production() { environment.process_only(name) } else { environment.get(name) }
        };
        if let Some(password) = setting("PGPASSWORD") {
            self.config.password(password);
            return;
        }
        let default = || environment.home().map(|home| home.join(".pgpass"));
        let named = self.parameters.passfile.clone().or_else(|| setting("PGPASSFILE").map(PathBuf::from));
        let Some(path) = named.or_else(default) else { return };
        let (host, port) = self.host_and_port();
        let login = Login { host: &host, port, database: self.database(), user: self.user() };
        match passfile::password(&path, &login) {
            Ok(Some(password)) => _ = self.config.password(password),
            Ok(None) => {}
            Err(problem) => self.passfile_problem = Some(problem),
        }
    }

    /// Why the password's file was not used, if it was not.
    pub(crate) fn passfile_problem(&self) -> Option<&str> {
        self.passfile_problem.as_deref()
    }

    /// The database's name.
    pub(crate) fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or(MAINTENANCE_DATABASE)
    }

    /// Whose session it is.
    pub(crate) fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    /// How it is encrypted, as `sslmode` says.
    pub(crate) fn encryption(&self) -> String {
        format!("sslmode={}", self.tls.mode)
    }

    /// The same server's maintenance database.
    pub(crate) fn maintenance(&self) -> Self {
        let mut config = self.config.clone();
        config.dbname(MAINTENANCE_DATABASE);
        Self { config, ..self.clone() }
    }

    /// The URL, password included: for programs, never for the screen.
    pub(crate) fn url(&self) -> String {
        let password = self.password().map(|password| format!(":{}", percent_encoded(&password)));
        let user = percent_encoded(self.user());
        let database = percent_encoded(self.database());
        let parameters =
            self.parameters.each().map(|(name, value)| format!("{name}={}", percent_encoded(&value)));
        let parameters = parameters.collect::<Vec<_>>().join("&");
        let separator = if parameters.is_empty() { "" } else { "?" };
        format!(
            "postgresql://{user}{}@{}/{database}{separator}{parameters}",
            password.unwrap_or_default(),
            self.address()
        )
    }

    /// What psql needs to connect, as libpq's environment variables.
    /// <https://www.postgresql.org/docs/current/libpq-envars.html>
    pub(crate) fn libpq_environment(&self) -> Vec<(&'static str, String)> {
        let (host, port) = self.host_and_port();
        let mut variables = vec![
            ("PGHOST", host),
            ("PGPORT", port.to_string()),
            ("PGUSER", self.user().to_owned()),
            ("PGDATABASE", self.database().to_owned()),
        ];
        let addresses = self.config.get_hostaddrs().first();
        variables.extend(addresses.map(|address| ("PGHOSTADDR", address.to_string())));
        variables.extend(self.password().map(|password| ("PGPASSWORD", password)));
        variables.extend(self.tls.libpq_environment());
        variables
    }

    fn password(&self) -> Option<String> {
        self.config.get_password().map(|password| String::from_utf8_lossy(password).into_owned())
    }

    /// Where it is; of several hosts the first.
    pub(crate) fn host_and_port(&self) -> (String, u16) {
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
        connected.map_err(|error| self.explain(error))
    }

    /// Connects, where the database is there.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub(crate) async fn connect_if_there(&self) -> Result<Option<Connection>> {
        match self.try_connect().await? {
            Ok(connection) => Ok(Some(connection)),
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_DATABASE) => Ok(None),
            Err(error) => Err(self.explain(error)),
        }
    }

    async fn try_connect(&self) -> Result<Result<Connection, postgres::Error>> {
        let handshake = Handshake::default();
        let dial = {
            let (target, handshake) = (self.clone(), handshake.clone());
            on_its_own_thread(move || target.dial(&handshake))
        };
        // The driver's own bound ends when the socket is open: the server may still say nothing.
        let bound = self.config.get_connect_timeout().copied().unwrap_or(CONNECT_BOUND);
        let connected = tokio::time::timeout(bound, dial)
            .await
            .map_err(|_| self.no_connection(bound, &handshake))???;
        Ok(connected.map(|client| Connection { client: Some(client), target: self.clone() }))
    }

    /// Connects, encrypted or not as `sslmode` says. The outer error is of the TLS settings' files.
    fn dial(&self, handshake: &Handshake) -> Result<Result<Client, postgres::Error>> {
        let mode = self.tls.mode;
        if mode == SslMode::Disable {
            return Ok(self.config.connect(NoTls));
        }
        let connector = self.tls.connector().map_err(Failure::from)?.telling(handshake);
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

    /// Says why no connection came about, and what to do.
    fn explain(&self, error: postgres::Error) -> anyhow::Error {
        let remedy = match error.code() {
            Some(&SqlState::UNDEFINED_DATABASE) => "create it with `cargo xtask db create`".to_owned(),
            Some(&SqlState::INVALID_PASSWORD) => WRONG_PASSWORD.to_owned(),
            Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) if self.tls == Tls::DISABLED => {
                WRONG_PASSWORD.to_owned()
            }
            _ if is_caused_by(&error, "password missing") => match &self.passfile_problem {
                Some(problem) => format!("{NO_PASSWORD}; {problem}"),
                None => NO_PASSWORD.to_owned(),
            },
            Some(code) if let Some(remedy) = remedy(code) => remedy.to_owned(),
            _ => self.tls_remedy(&error).unwrap_or_else(|| self.remedy.clone()),
        };
        let problem = format!("cannot connect to Postgres at {self}");
        Failure::new(problem, remedy).caused_by(readable(error)).into()
    }

    /// What to do about a connection that could not be encrypted as it should.
    fn tls_remedy(&self, error: &postgres::Error) -> Option<String> {
        let mode = self.tls.mode;
        if tls::lacks_tls(error) {
            return Some(format!(
                "sslmode={mode} wants it encrypted: turn `ssl` on in the server, or give up encryption with \
                 sslmode=disable"
            ));
        }
        Some(match tls::problem(error)? {
            TlsProblem::Signer => format!(
                "it is not the server you mean, or its authority's certificate is missing in {}: name the file \
                 with sslrootcert",
                self.tls.roots_shown()
            ),
            TlsProblem::Host { .. } => {
                "connect by a name that the certificate is for; sslmode=verify-ca does \
                                        not look at the name"
                    .to_owned()
            }
            TlsProblem::Time(_) => "have the certificate renewed, and check this machine's clock".to_owned(),
            TlsProblem::Other(_) => return None,
        })
    }

    /// What to do when it cannot be reached.
    pub(crate) fn remedy(&self) -> &str {
        &self.remedy
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

    fn no_answer(&self, bound: Duration) -> anyhow::Error {
        let problem = format!("Postgres at {self} did not answer within {}", seconds(bound));
        Failure::new(problem, &self.remedy).into()
    }

    /// Whether the server answers a query, as a client would ask it: over TCP, as the real user. The
    /// connection is to the maintenance database.
    pub(crate) async fn look(&self) -> Look<Connection> {
        match self.reach().await {
            Look::Ready(connection) => connection.answers().await,
            looked => looked,
        }
    }

    /// Whether the server lets the real user in, over TCP. The connection is to the maintenance database; nothing
    /// has been asked yet.
    pub(crate) async fn reach(&self) -> Look<Connection> {
        match self.maintenance().try_connect().await {
            Err(error) => Look::NotYet(format!("{error:#}")),
            Ok(Err(error)) => self.reason(error),
            Ok(Ok(connection)) => Look::Ready(connection),
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
}

/// A connection to the maintenance database that is made while it is found out whether the server runs.
pub(crate) struct EarlyConnection {
    target: PostgresTarget,
    connected: JoinHandle<Result<Connection>>,
}

impl EarlyConnection {
    /// Begins to connect.
    pub(crate) fn begin(target: &PostgresTarget) -> Self {
        let target = target.maintenance();
        let connect = {
            let target = target.clone();
            move || Ok(Connection { client: Some(target.dial(&Handshake::default())??), target })
        };
        Self { target, connected: tokio::task::spawn_blocking(connect) }
    }

    /// As [`PostgresTarget::reach`]. Only a good connection counts: the server may have been started
    /// since, or replaced, or be another one than was thought.
    pub(crate) async fn reach(self, target: &PostgresTarget) -> Look<Connection> {
        if self.target.url() == target.maintenance().url()
            && let Ok(Ok(connection)) = self.connected.await
        {
            return Look::Ready(connection);
        }
        target.reach().await
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

impl Connection {
    /// Whether the server answers a query.
    pub(crate) async fn answers(mut self) -> Look<Self> {
        match self.with(|client| Ok(client.simple_query("select 1")?)).await {
            Ok(_) => Look::Ready(self),
            Err(error) => Look::NotYet(format!("{error:#}")),
        }
    }

    /// Whether the server answers, and is that of the data in `folder`: another checkout's may have the same password.
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
        write!(formatter, "{}@{}/{}", self.user(), self.address(), self.database())
    }
}

/// Whether nobody listens where it went to.
pub(crate) fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == ErrorKind::ConnectionRefused) || error.source().is_some_and(is_refused)
}

/// What helps where the server's own state is the trouble.
fn remedy(code: &SqlState) -> Option<&'static str> {
    match *code {
        SqlState::CANNOT_CONNECT_NOW => {
            Some("wait until it has started or recovered, and run the command again")
        }
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            Some("it is a standby, or set to be read only: name the server that takes writes")
        }
        SqlState::DISK_FULL => Some("make room on the server's disk, and run the command again"),
        SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => {
            Some("the server ends the connection: see its log, and run the command again")
        }
        _ => None,
    }
}

/// The server's own words, or else the driver's.
pub(crate) fn readable(error: postgres::Error) -> anyhow::Error {
    match error.as_db_error() {
        Some(database) => {
            let more = [database.detail(), database.hint()].into_iter().flatten();
            let text = more.fold(database.message().to_owned(), |text, more| format!("{text}; {more}"));
            let text = format!("{text} (SQLSTATE {})", database.code().code());
            match remedy(database.code()) {
                Some(remedy) => Failure::new(text, remedy).into(),
                None => anyhow!(text),
            }
        }
        None => error.into(),
    }
}

fn is_caused_by(error: &postgres::Error, text: &str) -> bool {
    error.source().is_some_and(|cause| cause.to_string() == text)
}

/// What a script of ours failed with, and what to do where the server's own state is the trouble.
pub(crate) fn readable_script(error: SqlError) -> anyhow::Error {
    let server = error.source().and_then(|source| source.downcast_ref::<postgres::Error>());
    match server.and_then(postgres::Error::code).and_then(remedy) {
        Some(remedy) => Failure::new("nothing of it has taken effect", remedy).caused_by(error).into(),
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
        let environment = &Environment::default();
        let setting = UrlSetting { variable: "CONNECTION_URL", url, reach: Reach::Local(&[]), environment };
        PostgresTarget::parse(&setting, String::new())
    }

    #[test]
    fn local_connections_are_plain_unless_the_url_says_otherwise() {
        for (url, mode) in [
            ("postgres://me@127.0.0.1/d", SslMode::Disable),
            ("postgres://me@localhost,127.0.0.1/d", SslMode::Disable),
            ("postgres://me@%2Frun%2Fpostgresql/d?sslmode=require", SslMode::Disable),
            ("postgres://me@localhost/d?sslmode=require", SslMode::Require),
            ("postgres://me@db/d", SslMode::Prefer),
            ("postgres://me@localhost,db/d", SslMode::Prefer),
        ] {
            assert_eq!(parse(url).unwrap().tls.mode, mode, "{url}");
        }
    }

    #[test]
    fn what_the_url_says_of_tls_is_handed_on() {
        let url = "postgresql://me@h:5432/d?sslmode=verify-ca&sslrootcert=%2Fa%20b";
        let target = parse(url).unwrap();
        assert_eq!(target.url(), url);
        let variables = target.maintenance().libpq_environment();
        for (name, value) in [("PGSSLMODE", "verify-ca"), ("PGSSLROOTCERT", "/a b"), ("PGHOST", "h")] {
            assert!(variables.contains(&(name, value.to_owned())), "{variables:?}");
        }
    }

    #[test]
    fn the_password_is_the_url_s_or_the_environment_s() {
        let environment = Environment::from([("PGPASSWORD", "other")]);
        let password = |url, reach| {
            let setting = UrlSetting { variable: "CONNECTION_URL", url, reach, environment: &environment };
            PostgresTarget::parse(&setting, String::new()).unwrap().password()
        };
        for reach in [Reach::Production, Reach::Local(&[])] {
            assert_eq!(password("postgres://me:own@h/d", reach).as_deref(), Some("own"));
            assert_eq!(password("postgres://me@h/d", reach).as_deref(), Some("other"));
            assert_eq!(password("postgres://me:@h/d", reach).as_deref(), Some("other"));
        }
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
            "host=h user=me password=hunter2 dbname=d",
            "postgres://me:hunter2@h/d?sslmode=strict",
            "postgres://me:hunter2@db.example.com/d",
        ] {
            let report = Report(&parse(url).err().unwrap()).to_string();
            assert!(report.starts_with("error: CONNECTION_URL "), "{report}");
            assert!(!report.contains("hunter2"), "{report}");
        }
    }
}
