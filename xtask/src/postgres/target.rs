//! The address of a Postgres database, and how to sign in.

mod at_work;
mod connection;
mod error;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::error::Failure;
use anyhow::{Context as _, Result};
use backend_flask::hosts::is_loopback;
use backend_flask::tls::{PostgresUrl, SslMode, Tls};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use postgres::config::Host;

use connection::CONNECT_BOUND;
pub(crate) use connection::{Connection, STATEMENT_BOUND};
pub(crate) use error::readable;
pub(super) use error::remedy;

use super::passfile;
use crate::targets::reach::Reach;

/// The database that sessions use to create and drop others.
const MAINTENANCE_DATABASE: &str = "postgres";

/// The database that sessions use to create and drop [`MAINTENANCE_DATABASE`] itself.
const TEMPLATE_DATABASE: &str = "template1";

/// A Postgres database. Displayed as `user@host:port/database`, without the password.
#[derive(Clone)]
pub(crate) struct PostgresTarget {
    parsed: PostgresUrl,
    tls: Tls,
    /// The URL, with the password. For programs, never for the screen.
    pub(crate) url: String,
    /// Why the password file was not used, if there was a reason.
    pub(crate) passfile_problem: Option<String>,
    /// What to do if it cannot be reached.
    pub(crate) remedy: String,
    /// What to do if it refuses the user.
    wrong_password: String,
    /// What to do if the server cannot open its own files.
    unusable_data: &'static str,
    /// The suffix of suggested commands for this target: ` --prod`, or nothing.
    pub(crate) prod: &'static str,
}

impl PostgresTarget {
    /// A database at the loopback address.
    pub(crate) fn local(
        port: u16,
        user: &str,
        password: &str,
        database: &str,
        remedy: &str,
        wrong_password: &str,
    ) -> Result<Self> {
        let [user, password, database] = [user, password, database].map(percent_encoded);
        let url = format!("postgresql://{user}:{password}@127.0.0.1:{port}/{database}");
        let parsed = PostgresUrl::parse(&url).map_err(error::of_setting)?;
        let tls = Tls::of(&parsed, None, SslMode::Disable).map_err(error::of_setting)?;
        let target = Self::new(parsed, tls, url, remedy.to_owned(), wrong_password.to_owned());
        Ok(Self { unusable_data: error::UNUSABLE_DATA_OF_OURS, ..target })
    }

    /// A database given by a URL, the value of `variable`. `reach` says which hosts it may name. The password comes from
    /// the URL, `PGPASSWORD` or `~/.pgpass`, in this order.
    pub(crate) fn parse(
        variable: &str,
        url: &str,
        reach: Reach<'_>,
        environment: &Environment,
        remedy: String,
    ) -> Result<Self> {
        let parsed = PostgresUrl::parse(url)
            .map_err(|error| Failure::usage(format!("{variable} {}", error.problem), error.remedy))?;
        let name = parsed.config.get_dbname().unwrap_or_default();
        if ["template0", TEMPLATE_DATABASE].contains(&name) {
            let problem = format!("{variable} names {name}, from which Postgres copies every new database");
            return Err(Failure::usage(problem, "name a database of the app's own, such as cruddur").into());
        }
        let hosts = parsed.tcp_hosts();
        hosts.iter().try_for_each(|host| reach.check(variable, host))?;
        let is_local = !reach.is_production() && hosts.iter().all(|host| is_loopback(host));
        let unset = if is_local { SslMode::Disable } else { SslMode::Prefer };
        let tls = Tls::of(&parsed, environment.home().as_deref(), unset).map_err(error::of_setting);
        let tls = tls.with_context(|| format!("{variable} cannot be used"))?;
        let wrong_password = format!("set the password the server knows in {variable}");
        let mut target = Self::new(parsed, tls, url.to_owned(), remedy, wrong_password);
        target.prod = if reach.is_production() { " --prod" } else { "" };
        target.find_password(reach, environment);
        Ok(target)
    }

    fn new(mut parsed: PostgresUrl, tls: Tls, url: String, remedy: String, wrong_password: String) -> Self {
        let config = &mut parsed.config;
        config.application_name("cargo xtask");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_BOUND);
        }
        // Detects a server that has vanished, even while no answer is expected.
        config.keepalives_idle(STATEMENT_BOUND).tcp_user_timeout(STATEMENT_BOUND);
        let unusable_data = error::UNUSABLE_DATA;
        Self { parsed, tls, url, passfile_problem: None, remedy, wrong_password, unusable_data, prod: "" }
    }

    /// Finds the password as libpq does.
    fn find_password(&mut self, reach: Reach<'_>, environment: &Environment) {
        if self.password().is_some_and(|password| !password.is_empty()) {
            return;
        }
        let setting = |name: &str| {
            if reach.is_production() { environment.process_only(name) } else { environment.get(name) }
        };
        let found = match setting("PGPASSWORD") {
            Some(password) => Some(password.to_owned()),
            None => {
                let default = || environment.home().map(|home| home.join(".pgpass"));
                let named = self.parsed.passfile.clone().or_else(|| setting("PGPASSFILE").map(PathBuf::from));
                named.or_else(default).and_then(|path| self.password_in(&path))
            }
        };
        if let Some(password) = found {
            let separator = if self.url.contains('?') { '&' } else { '?' };
            self.url += &format!("{separator}password={}", percent_encoded(&password));
            self.parsed.config.password(password);
        }
    }

    fn password_in(&mut self, path: &Path) -> Option<String> {
        let (host, port) = self.host_and_port();
        let login = [&host, &port.to_string(), self.database(), self.user()];
        passfile::password(path, login).unwrap_or_else(|problem| {
            self.passfile_problem = Some(problem);
            None
        })
    }

    pub(crate) fn database(&self) -> &str {
        self.parsed.config.get_dbname().unwrap_or(MAINTENANCE_DATABASE)
    }

    /// The role that signs in.
    pub(crate) fn user(&self) -> &str {
        self.parsed.config.get_user().unwrap_or_default()
    }

    /// The encryption mode, as printed for people.
    pub(crate) fn encryption(&self) -> String {
        format!("sslmode={}", self.tls.mode)
    }

    /// The database of the same server from which this one can be created and dropped.
    pub(crate) fn maintenance(&self) -> Self {
        let is_maintenance = self.database() == MAINTENANCE_DATABASE;
        let mut maintenance = self.clone();
        let config = &mut maintenance.parsed.config;
        config.dbname(if is_maintenance { TEMPLATE_DATABASE } else { MAINTENANCE_DATABASE });
        maintenance
    }

    /// The same place for a client program, without encryption if the server offers none. With `prefer`, libpq would
    /// send the password in clear text to a server that asks for it.
    pub(crate) fn connected_likewise(mut self, is_encrypted: bool) -> Self {
        if self.tls.mode == SslMode::Prefer && !is_encrypted {
            self.tls.mode = SslMode::Disable;
        }
        self
    }

    /// The connection settings as libpq's environment variables.
    /// <https://www.postgresql.org/docs/current/libpq-envars.html>
    pub(crate) fn libpq_environment(&self) -> Vec<(&'static str, String)> {
        let joined = |all: Vec<String>| all.join(",");
        let mut variables = vec![
            ("PGHOST", joined(self.hosts())),
            ("PGPORT", joined(self.ports().iter().map(u16::to_string).collect())),
            ("PGUSER", self.user().to_owned()),
            ("PGDATABASE", self.database().to_owned()),
        ];
        let addresses = self.parsed.config.get_hostaddrs();
        if !addresses.is_empty() {
            variables.push(("PGHOSTADDR", joined(addresses.iter().map(ToString::to_string).collect())));
        }
        variables.extend(self.parsed.config.get_options().map(|options| ("PGOPTIONS", options.to_owned())));
        variables.extend(self.password().map(|password| ("PGPASSWORD", password)));
        variables.extend(self.tls.libpq_environment());
        if self.tls.mode == SslMode::Disable && !self.parsed.tcp_hosts().is_empty() {
            // As for our own connections, the password is not sent in clear text. libpq before 16 ignores this.
            variables.push(("PGREQUIREAUTH", "!password".to_owned()));
        }
        variables
    }

    fn password(&self) -> Option<String> {
        self.parsed.config.get_password().map(|password| String::from_utf8_lossy(password).into_owned())
    }

    pub(crate) fn host_and_port(&self) -> (String, u16) {
        (self.hosts().into_iter().next().unwrap_or_default(), self.ports()[0])
    }

    /// The hosts: names, addresses, or folders of Unix sockets.
    fn hosts(&self) -> Vec<String> {
        let name = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        };
        self.parsed.config.get_hosts().iter().map(name).collect()
    }

    /// The ports: one for each host, or one for all.
    fn ports(&self) -> &[u16] {
        match self.parsed.config.get_ports() {
            [] => &[5432],
            ports => ports,
        }
    }

    fn address(&self) -> String {
        let ports = self.ports().iter().chain(std::iter::repeat(&self.ports()[0]));
        let place = |(host, port): (String, &u16)| match host.parse::<std::net::Ipv6Addr>() {
            Ok(address) => format!("[{address}]:{port}"),
            Err(_) => format!("{host}:{port}"),
        };
        self.hosts().into_iter().zip(ports).map(place).collect::<Vec<_>>().join(",")
    }
}

impl fmt::Display for PostgresTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}/{}", self.user(), self.address(), self.database())
    }
}

/// Leaves RFC 3986's unreserved characters unencoded.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Report;

    fn parse(url: &str) -> Result<PostgresTarget> {
        parse_with(url, Reach::Local(&[]), &Environment::default())
    }

    fn parse_with(url: &str, reach: Reach<'_>, environment: &Environment) -> Result<PostgresTarget> {
        PostgresTarget::parse("CONNECTION_URL", url, reach, environment, String::new())
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
    fn tls_settings_of_the_url_are_handed_on() {
        let url = "postgresql://me@h:5432/d?sslmode=verify-ca&sslrootcert=%2Fa%20b";
        let target = parse(url).unwrap();
        assert_eq!(target.url, url);
        let variables = target.maintenance().libpq_environment();
        for (name, value) in [("PGSSLMODE", "verify-ca"), ("PGSSLROOTCERT", "/a b"), ("PGHOST", "h")] {
            assert!(variables.contains(&(name, value.to_owned())), "{variables:?}");
        }
    }

    #[test]
    fn the_password_is_the_url_s_or_the_environment_s() {
        let environment = Environment::from([("PGPASSWORD", "other")]);
        let password = |url, reach| parse_with(url, reach, &environment).unwrap().password();
        for reach in [Reach::Production, Reach::Local(&[])] {
            assert_eq!(password("postgres://me:own@h/d", reach).as_deref(), Some("own"));
            assert_eq!(password("postgres://me@h/d", reach).as_deref(), Some("other"));
            assert_eq!(password("postgres://me:@h/d", reach).as_deref(), Some("other"));
        }
    }

    #[test]
    fn a_password_that_was_found_elsewhere_is_handed_on_with_the_url() {
        let environment = &Environment::from([("PGPASSWORD", "a&b")]);
        for (url, expected) in [("postgres://me@h/d", "?"), ("postgres://me@h/d?sslmode=require", "&")] {
            let handed_on = parse_with(url, Reach::Local(&[]), environment).unwrap().url;
            assert_eq!(handed_on, format!("{url}{expected}password=a%26b"));
            assert_eq!(parse(&handed_on).unwrap().password().as_deref(), Some("a&b"));
        }
    }

    #[test]
    fn the_maintenance_database_is_not_the_target_itself() {
        let maintenance = |name| parse(&format!("postgres://me@h/{name}")).unwrap().maintenance();
        assert_eq!(maintenance("cruddur").database(), "postgres");
        assert_eq!(maintenance("postgres").database(), "template1");
    }

    #[test]
    fn it_is_shown_without_its_password_and_handed_on_with_it() {
        let target = parse("postgres://me:p%40ss%2Fword@db.internal:5433/cruddur").unwrap();
        assert_eq!(target.to_string(), "me@db.internal:5433/cruddur");
        assert_eq!(target.url, "postgres://me:p%40ss%2Fword@db.internal:5433/cruddur");
        assert_eq!(target.maintenance().to_string(), "me@db.internal:5433/postgres");
        assert!(target.libpq_environment().contains(&("PGPASSWORD", "p@ss/word".to_owned())));
    }

    #[test]
    fn any_address_is_handed_on() {
        let whole = "postgresql://me:own@[::1]:1,db:2/d?options=-csearch_path%3Dx&connect_timeout=3";
        let target = parse(whole).unwrap();
        assert_eq!(target.url, whole);
        assert_eq!(target.to_string(), "me@[::1]:1,db:2/d");
        let variables = target.libpq_environment();
        for (name, value) in [("PGHOST", "::1,db"), ("PGPORT", "1,2"), ("PGOPTIONS", "-csearch_path=x")] {
            assert!(variables.contains(&(name, value.to_owned())), "{variables:?}");
        }
        let url = "postgresql://me@a:1,b:1/d?options=-csearch_path%3Dx";
        assert_eq!(parse(url).unwrap().url, url);
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
            let report = Report::of(&parse(url).err().unwrap()).to_string();
            assert!(report.starts_with("error: CONNECTION_URL "), "{report}");
            assert!(!report.contains("hunter2"), "{report}");
        }
    }
}
