//! Finds the two servers, and connects to Postgres.
//!
//! CONNECTION_URL and AWS_ENDPOINT_URL_DYNAMODB name them. Without these variables, `cargo xtask env` names the
//! running servers of this checkout. If none run, `cargo xtask up` starts the embedded ones, which stay running.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use backend_flask::hosts::{self, NotNear};
use backend_flask::tls::{PostgresUrl, SettingError, SslMode, Tls, Ways};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

pub(crate) const POSTGRES_URL: &str = "CONNECTION_URL";
pub(crate) const DYNAMODB_URL: &str = "AWS_ENDPOINT_URL_DYNAMODB";

/// The database of all sessions with locks: an advisory lock is visible only in its own database.
pub(crate) const MAINTENANCE_DATABASE: &str = "postgres";

/// How long connecting may take, including the wait while the server has too many connections.
const CONNECT_BOUND: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// Prefixes of the variables that cargo sets for a test. A nested build that sees them would recompile the crates
/// that read them.
const SET_BY_CARGO: [&str; 6] = [
    "CARGO_BIN_",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
];

pub(crate) struct Servers {
    url: String,
    postgres: PostgresUrl,
    tls: Tls,
    pub(crate) endpoint: String,
}

impl Servers {
    /// Finds the servers, and starts them if none run.
    pub(crate) async fn find() -> Result<Self> {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let (Some(url), Some(endpoint)) = (set(POSTGRES_URL), set(DYNAMODB_URL)) {
            return Self::new(url, endpoint);
        }
        tokio::task::spawn_blocking(Self::of_this_checkout)
            .await
            .context("the search for the servers panicked")?
    }

    fn of_this_checkout() -> Result<Self> {
        let settings = match xtask(&["env", "--format", "json"], Stdio::null()) {
            Ok(settings) => settings,
            Err(_) => {
                xtask(&["up", "--engine", "embedded"], Stdio::inherit())?;
                xtask(&["env", "--engine", "embedded", "--format", "json"], Stdio::inherit())?
            }
        };
        let settings: Value = serde_json::from_str(&settings).context("`cargo xtask env` printed no JSON")?;
        let setting = |name: &str| {
            let value = settings[name].as_str();
            value.map(str::to_owned).with_context(|| format!("`cargo xtask env` printed no {name}"))
        };
        Self::new(setting(POSTGRES_URL)?, setting(DYNAMODB_URL)?)
    }

    /// Servers at these URLs, which must be on this machine or in a private network.
    fn new(url: String, endpoint: String) -> Result<Self> {
        let in_one_line = |SettingError { problem, remedy }| anyhow!("{POSTGRES_URL}: {problem}; {remedy}");
        let mut postgres = PostgresUrl::parse(&url).map_err(in_one_line)?;
        let rest = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
        let rest = rest.filter(|rest| !rest.contains('@'));
        let rest = rest.with_context(|| format!("{DYNAMODB_URL} is not of the form http://HOST:PORT"))?;
        let hosts = postgres.tcp_hosts();
        hosts.iter().try_for_each(|host| check(POSTGRES_URL, host))?;
        check(DYNAMODB_URL, hosts::host_and_port(rest).0)?;
        let is_local = hosts.iter().all(|host| hosts::is_loopback(host));
        let unset = if is_local { SslMode::Disable } else { SslMode::Prefer };
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let tls = Tls::of(&postgres, home.as_deref(), unset).map_err(in_one_line)?;
        postgres.config.application_name("cruddur-testing");
        Ok(Self { url, postgres, tls, endpoint: endpoint.trim_end_matches('/').to_owned() })
    }

    /// The URL of a database, with the password.
    pub(crate) fn url(&self, database: &str) -> String {
        with_database(&self.url, database)
    }

    /// The URL of a database, without the password.
    pub(crate) fn shown(&self, database: &str) -> String {
        let user = self.postgres.config.get_user().unwrap_or_default();
        let url = with_database(&self.url, database);
        let place = url
            .split_once("://")
            .map_or("", |(_, rest)| rest.split_once('@').map_or(rest, |(_, place)| place));
        // A parameter may be a password too.
        format!("postgresql://{user}@{}", place.split('?').next().unwrap_or_default())
    }

    fn ways(&self, database: &str) -> Result<Ways> {
        let mut config = self.postgres.config.clone();
        config.dbname(database);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_BOUND);
        }
        Ok(self.tls.ways(&config, CONNECT_BOUND)?)
    }

    /// Connects to a database. The task that serves the connection ends when it is closed.
    pub(crate) async fn connect(&self, database: &str) -> Result<(Client, JoinHandle<()>)> {
        let ways = self.ways(database)?;
        let began = Instant::now();
        let (client, connection) = loop {
            match ways.connect().await {
                Err(error) if is_full(&error) && began.elapsed() < CONNECT_BOUND => {
                    tokio::time::sleep(PAUSE).await;
                }
                connected => break connected?,
            }
        };
        // The client reports the connection's error.
        Ok((client, tokio::spawn(async move { drop(connection.await) })))
    }

    /// Connects to a database, on the caller's thread.
    pub(crate) fn connect_blocking(&self, database: &str) -> Result<postgres::Client> {
        let connect = |config, connector| postgres::Config::from(config).connect(connector);
        Ok(self.ways(database)?.connect_by(connect)?)
    }
}

/// Whether the server has no free connection or is starting.
fn is_full(error: &tokio_postgres::Error) -> bool {
    [SqlState::TOO_MANY_CONNECTIONS, SqlState::CANNOT_CONNECT_NOW]
        .iter()
        .any(|code| error.code() == Some(code))
}

fn check(setting: &str, host: &str) -> Result<()> {
    match hosts::check_near(host) {
        Ok(()) => Ok(()),
        Err(NotNear::NoName) => bail!("{setting} names a host with an invalid character"),
        Err(NotNear::Aws | NotNear::Public) => {
            bail!("{setting} names `{host}`, which is neither this machine nor in a private network")
        }
    }
}

/// Replaces the database that a URL names.
fn with_database(url: &str, database: &str) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let place = base.find('@').or_else(|| base.find("://").map(|scheme| scheme + 2)).unwrap_or_default();
    let end = base[place + 1..].find('/').map_or(base.len(), |slash| place + 1 + slash);
    let mut url = format!("{}/{database}", &base[..end]);
    let kept =
        query.split('&').filter(|parameter| !parameter.is_empty() && !parameter.starts_with("dbname="));
    for (parameter, sign) in kept.zip(std::iter::once('?').chain(std::iter::repeat('&'))) {
        url.push(sign);
        url.push_str(parameter);
    }
    url
}

/// Runs `cargo xtask` in the workspace that the test was built from, and returns what it prints on stdout.
fn xtask(arguments: &[&str], stderr: Stdio) -> Result<String> {
    let shown = format!("cargo xtask {}", arguments.join(" "));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Cargo then finds its own path, as it does in a shell.
    command.arg("xtask").args(arguments).current_dir(workspace()?).env_remove("CARGO");
    for (name, _) in std::env::vars_os() {
        if SET_BY_CARGO.iter().any(|start| name.to_string_lossy().starts_with(start)) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
    let output = command.spawn().and_then(std::process::Child::wait_with_output);
    let output = output.with_context(|| format!("cannot run `{shown}`"))?;
    ensure!(output.status.success(), "`{shown}` ended with {}; it says why above", output.status);
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` printed no text"))
}

/// The nearest folder with a lock file above the package whose tests run.
fn workspace() -> Result<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let package = Path::new(&package);
    let root = package.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    Ok(root.with_context(|| format!("no Cargo.lock above {}", package.display()))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: &str = "postgresql://me:hunter2@127.0.0.1/cruddur";

    fn problem(url: &str, endpoint: &str) -> String {
        format!("{:#}", Servers::new(url.to_owned(), endpoint.to_owned()).err().unwrap())
    }

    #[test]
    fn a_host_that_may_be_anybody_s_is_refused() {
        let far = "which is neither this machine nor in a private network";
        for host in ["db.example.com", "8.8.8.8", "cruddur.abc.us-east-1.rds.amazonaws.com"] {
            let url = format!("postgresql://me:hunter2@{host}/cruddur");
            let expected = format!("CONNECTION_URL names `{host}`, {far}");
            assert_eq!(problem(&url, "http://127.0.0.1:8000"), expected);
        }
        let expected = format!("AWS_ENDPOINT_URL_DYNAMODB names `dynamodb.us-east-1.amazonaws.com`, {far}");
        assert_eq!(problem(NEAR, "https://dynamodb.us-east-1.amazonaws.com"), expected);
        assert!(Servers::new(NEAR.to_owned(), "http://127.0.0.1:8000".to_owned()).is_ok());
    }

    #[test]
    fn no_error_shows_a_password() {
        for (url, endpoint) in [
            ("postgresql://me:hunter2@127.0.0.1:x/cruddur", "http://127.0.0.1:8000"),
            ("postgresql://me:hunter2@hunter2%40/cruddur", "http://127.0.0.1:8000"),
            (NEAR, "http://hunter2@127.0.0.1:8000"),
        ] {
            let problem = problem(url, endpoint);
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn a_url_is_given_another_database() {
        for (url, expected) in [
            (NEAR, "postgresql://me:hunter2@127.0.0.1/t"),
            ("postgres://h:1/d?sslmode=disable&dbname=e&user=me", "postgres://h:1/t?sslmode=disable&user=me"),
            ("postgresql://a:p%2Fw@h,i/d", "postgresql://a:p%2Fw@h,i/t"),
            ("postgresql://h?dbname=d", "postgresql://h/t"),
        ] {
            assert_eq!(with_database(url, "t"), expected);
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url = "postgresql://me:hunter2@127.0.0.1:5/d?password=hunter2&sslmode=disable";
        let servers = Servers::new(url.to_owned(), "http://127.0.0.1:8000".to_owned()).unwrap();
        assert_eq!(servers.shown("t"), "postgresql://me@127.0.0.1:5/t");
    }
}
