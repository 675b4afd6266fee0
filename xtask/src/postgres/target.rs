//! A Postgres database, and how to reach it.
//!
//! - `connection`: the connection to it.
//! - `trouble`: why there is none, or what the server refused.

mod at_work;
mod connection;
mod trouble;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr as _;

use crate::environment::Environment;
use crate::error::Failure;
use anyhow::{Context as _, Result};
use backend_flask::tls::{self, Parameters, SslMode, Tls};
use postgres::Config;
use postgres::config::Host;

use connection::CONNECT_BOUND;
pub(crate) use connection::{Connection, STATEMENT_BOUND};
pub(crate) use trouble::readable;
pub(super) use trouble::remedy;

use super::passfile::{self, Login};
use crate::targets::reach::{Reach, is_loopback};

/// The database that is always there, from which others are created and dropped.
const MAINTENANCE_DATABASE: &str = "postgres";

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
    /// The URL that names it, where that has the password too.
    url: Option<String>,
}

/// A setting that holds a Postgres URL.
pub(crate) struct UrlSetting<'a> {
    /// The variable's name.
    pub(crate) variable: &'a str,
    /// Its value.
    pub(crate) url: &'a str,
    /// Which hosts it may name.
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
        let tls = Tls::new(&parameters, home.as_deref(), unset).map_err(trouble::of_tls);
        let mut tls = tls.with_context(|| format!("{variable} cannot be used"))?;
        if hosts.is_empty() {
            // On a Unix socket libpq does not look at sslmode either.
            tls = Tls::DISABLED;
        }
        let mut target = Self { tls, parameters, ..Self::new(config, remedy) };
        let has_password = target.config.get_password().is_some_and(|password| !password.is_empty());
        target.url = has_password.then(|| setting.url.to_owned());
        target.find_password(reach, environment)?;
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
        Self { config, tls: Tls::DISABLED, parameters, passfile_problem: None, remedy, url: None }
    }

    /// Looks for the password in libpq's order, but for the URL's own.
    fn find_password(&mut self, reach: Reach<'_>, environment: &Environment) -> Result<()> {
        if self.config.get_password().is_some_and(|password| !password.is_empty()) {
            return Ok(());
        }
        let setting = |name: &str| {
            if reach.is_production() { environment.process_only(name) } else { environment.get(name) }
        };
        if let Some(password) = setting("PGPASSWORD") {
            self.config.password(password);
            return Ok(());
        }
        let default = || environment.home().map(|home| home.join(".pgpass"));
        let set = setting("PGPASSFILE").map(PathBuf::from);
        let named = self.parameters.passfile.clone().or(set);
        let Some(path) = named.or_else(default) else { return Ok(()) };
        let (host, port) = self.host_and_port();
        let login = Login { host: &host, port, database: self.database(), user: self.user() };
        match passfile::password(&path, &login) {
            Ok(Some(password)) => _ = self.config.password(password),
            Ok(None) => {}
            Err(problem) => self.passfile_problem = Some(problem),
        }
        Ok(())
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
        Self { config, url: None, ..self.clone() }
    }

    /// The URL, password included: for programs, never for the screen.
    pub(crate) fn url(&self) -> String {
        if let Some(url) = &self.url {
            return url.clone();
        }
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
            self.address(percent_encoded)
        )
    }

    /// What psql needs to connect, as libpq's environment variables.
    /// <https://www.postgresql.org/docs/current/libpq-envars.html>
    pub(crate) fn libpq_environment(&self) -> Vec<(&'static str, String)> {
        let joined = |all: Vec<String>| all.join(",");
        let mut variables = vec![
            ("PGHOST", joined(self.hosts())),
            ("PGPORT", joined(self.ports().iter().map(u16::to_string).collect())),
            ("PGUSER", self.user().to_owned()),
            ("PGDATABASE", self.database().to_owned()),
        ];
        let addresses = self.config.get_hostaddrs();
        if !addresses.is_empty() {
            variables.push(("PGHOSTADDR", joined(addresses.iter().map(ToString::to_string).collect())));
        }
        variables.extend(self.config.get_options().map(|options| ("PGOPTIONS", options.to_owned())));
        variables.extend(self.password().map(|password| ("PGPASSWORD", password)));
        variables.extend(self.tls.libpq_environment());
        variables
    }

    fn password(&self) -> Option<String> {
        self.config.get_password().map(|password| String::from_utf8_lossy(password).into_owned())
    }

    /// Where it is; of several hosts the first.
    pub(crate) fn host_and_port(&self) -> (String, u16) {
        (self.hosts().into_iter().next().unwrap_or_default(), self.ports()[0])
    }

    /// Names, addresses, or folders of Unix sockets.
    fn hosts(&self) -> Vec<String> {
        let name = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        };
        match self.config.get_hosts() {
            [] => self.config.get_hostaddrs().iter().map(ToString::to_string).collect(),
            hosts => hosts.iter().map(name).collect(),
        }
    }

    /// One for each host, or one for all.
    fn ports(&self) -> &[u16] {
        match self.config.get_ports() {
            [] => &[5432],
            ports => ports,
        }
    }

    /// Each host with its port. An address of IPv6 is in brackets; what is no name is written by `encoded`.
    fn address(&self, encoded: fn(&str) -> String) -> String {
        let ports = self.ports().iter().chain(std::iter::repeat(&self.ports()[0]));
        let place = |(host, port): (String, &u16)| match host.parse::<std::net::Ipv6Addr>() {
            Ok(address) => format!("[{address}]:{port}"),
            Err(_) => format!("{}:{port}", encoded(&host)),
        };
        self.hosts().into_iter().zip(ports).map(place).collect::<Vec<_>>().join(",")
    }

    /// What to do when it cannot be reached.
    pub(crate) fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for PostgresTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}/{}", self.user(), self.address(str::to_owned), self.database())
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
    use crate::error::Report;

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
        assert_eq!(target.url(), "postgres://me:p%40ss%2Fword@db.internal:5433/cruddur");
        assert_eq!(target.maintenance().to_string(), "me@db.internal:5433/postgres");
        assert!(target.libpq_environment().contains(&("PGPASSWORD", "p@ss/word".to_owned())));
    }

    #[test]
    fn any_place_is_handed_on() {
        let whole = "postgresql://me:own@[::1]:1,%2Frun%2Fpg:2/d?options=-csearch_path%3Dx&connect_timeout=3";
        let target = parse(whole).unwrap();
        assert_eq!(target.url(), whole);
        assert_eq!(target.to_string(), "me@[::1]:1,/run/pg:2/d");
        let variables = target.libpq_environment();
        for (name, value) in [("PGHOST", "::1,/run/pg"), ("PGPORT", "1,2"), ("PGOPTIONS", "-csearch_path=x")]
        {
            assert!(variables.contains(&(name, value.to_owned())), "{variables:?}");
        }
        // Made anew, as the password is not in it.
        for url in [
            "postgresql://me@[::1]:1,%2Frun%2Fpg:2/d",
            "postgresql://me@a:1,b:1/d",
            "postgresql://me@h:5432/d",
        ] {
            assert_eq!(parse(url).unwrap().url(), url);
        }
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
