//! Parses a Postgres URL: the driver's parameters, and those that only libpq knows.
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::SettingError;
use crate::hosts::is_host_name;

const FORM: &str = "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE";

/// A parsed URL, with at least a host, a user and a database.
#[derive(Debug, Clone, Default)]
pub struct PostgresUrl {
    /// The driver's configuration.
    pub config: Config,
    /// The file of passwords.
    pub passfile: Option<PathBuf>,
    pub(super) sslmode: Option<String>,
    /// The file of the trusted authorities' certificates, or `system`.
    pub(super) sslrootcert: Option<PathBuf>,
    pub(super) sslcert: Option<PathBuf>,
    pub(super) sslkey: Option<PathBuf>,
}

impl PostgresUrl {
    /// Parses a URL. The driver's own error is not passed on, because it can contain part of the password.
    ///
    /// # Errors
    /// What is wrong with the URL, to follow the setting's name. It contains no part of the URL.
    pub fn parse(url: &str) -> Result<Self, SettingError> {
        let none = || SettingError::new("is not a Postgres URL", FORM);
        let rest = url.strip_prefix("postgresql://").or_else(|| url.strip_prefix("postgres://"));
        // Like the driver, takes the first `@` as the end of the user and the password.
        let (user, place) = rest.ok_or_else(none)?.split_once('@').unwrap_or(("", rest.unwrap_or_default()));
        let (place, query) = place.split_once('?').unwrap_or((place, ""));
        if place.contains('@') {
            let remedy = "write an `@` of the password as %40";
            return Err(SettingError::new("has more than one `@`", remedy));
        }
        // Otherwise the rest would become part of the database's name, which is shown.
        let database = place.split_once('/').map_or("", |(_, database)| database);
        if database.contains(|c: char| c.is_whitespace() || "/&;=#".contains(c)) {
            let remedy = "write a `?` before the first parameter, `&` before the others, and percent-encode what belongs \
                          to the name";
            return Err(SettingError::new("has more after the host than a database name", remedy));
        }
        let base = if user.is_empty() {
            format!("postgresql://{place}")
        } else {
            format!("postgresql://{user}@{place}")
        };
        base.parse::<Config>().map_err(|_| none())?;
        let mut read = Self::default();
        let left: Vec<_> = query.split('&').filter(|parameter| !read.takes(parameter)).collect();
        let whole = format!("{base}?{}", left.join("&"));
        read.config = whole.trim_end_matches('?').parse().map_err(|_| {
            let remedy = "of libpq's parameters these can be used: sslmode, sslrootcert, sslcert, sslkey, passfile, \
                          user, password, dbname, host, hostaddr, port, options, application_name, connect_timeout, \
                          tcp_user_timeout, keepalives, keepalives_idle, keepalives_interval, keepalives_retries, \
                          target_session_attrs, channel_binding, load_balance_hosts";
            SettingError::new("has a parameter that cannot be used", remedy)
        })?;
        read.check()?;
        Ok(read)
    }

    /// Stores a parameter that the driver does not know. Returns whether it is one of libpq's.
    fn takes(&mut self, parameter: &str) -> bool {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        match name {
            "sslmode" => self.sslmode = Some(value),
            // JDBC's name for it. libpq accepts it in a URL too.
            "ssl" if value == "true" => self.sslmode = Some("require".to_owned()),
            "sslrootcert" => self.sslrootcert = Some(value.into()),
            "sslcert" => self.sslcert = Some(value.into()),
            "sslkey" => self.sslkey = Some(value.into()),
            "passfile" => self.passfile = Some(value.into()),
            _ => return false,
        }
        true
    }

    fn check(&mut self) -> Result<(), SettingError> {
        // An address without a host name counts as the name, since certificates can be for addresses.
        if self.config.get_hosts().is_empty() {
            for address in self.config.get_hostaddrs().to_vec() {
                self.config.host(address.to_string());
            }
        }
        for (part, is_missing) in [
            ("host", self.config.get_hosts().is_empty()),
            ("user", self.config.get_user().is_none()),
            ("database", self.config.get_dbname().is_none()),
        ] {
            if is_missing {
                return Err(SettingError::new(format!("names no {part}"), FORM));
            }
        }
        // The driver takes a percent-encoded `,` as part of a name, but libpq, which gets the list in PGHOST, as a
        // separator.
        if !self.config.get_hosts().iter().all(is_host) {
            let remedy = "write an `@`, `/`, `:` or `?` of the password percent-encoded";
            return Err(SettingError::new("names a host with an invalid character", remedy));
        }
        let over_tcp = |host: &Host| matches!(host, Host::Tcp(_));
        let hosts = self.config.get_hosts();
        if hosts.iter().any(over_tcp) && !hosts.iter().all(over_tcp) {
            return Err(SettingError::new("names hosts and folders of Unix sockets", "name one kind"));
        }
        Ok(())
    }

    /// The hosts that are reached over TCP: their names, or else their addresses.
    pub fn tcp_hosts(&self) -> Vec<String> {
        let names = self.config.get_hosts().iter().filter_map(|host| match host {
            Host::Tcp(name) => Some(name.clone()),
            #[cfg(unix)]
            Host::Unix(_) => None,
        });
        names.chain(self.config.get_hostaddrs().iter().map(ToString::to_string)).collect()
    }
}

fn is_host(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => is_host_name(name),
        #[cfg(unix)]
        Host::Unix(path) => path.to_str().is_some_and(|path| !path.contains(',')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libpq_s_parameters_are_taken_and_the_driver_s_are_left() {
        let url =
            "postgres://me:p?w@h:1/d?sslmode=verify-full&connect_timeout=3&sslrootcert=%2Fa%20b&passfile=p";
        let read = PostgresUrl::parse(url).unwrap();
        assert_eq!(read.config.get_password(), Some(&b"p?w"[..]));
        assert_eq!(read.config.get_connect_timeout().map(std::time::Duration::as_secs), Some(3));
        assert_eq!(read.sslmode.as_deref(), Some("verify-full"));
        assert_eq!(read.sslrootcert, Some("/a b".into()));
        assert_eq!(read.passfile, Some("p".into()));
        let read = PostgresUrl::parse("postgres://me@h/d?ssl=true&sslcert=c&sslkey=k").unwrap();
        assert_eq!((read.sslmode.as_deref(), read.sslkey), (Some("require"), Some("k".into())));
        assert!(PostgresUrl::parse("postgres://h/d?user=me&password=p").is_ok());
    }

    #[test]
    fn an_error_shows_nothing_of_the_url() {
        for (url, problem) in [
            ("postgres:/me:hunter2@h/d?connect_timeout=5", "is not a Postgres URL"),
            ("host=h user=me password=hunter2 dbname=d", "is not a Postgres URL"),
            ("postgres://me:x@h:hunter2/d", "is not a Postgres URL"),
            ("postgres://me:hun@ter2@h/d", "has more than one `@`"),
            ("postgres://me:hun@ter2/x@h/d", "has more than one `@`"),
            ("postgres://me:hun%40ter2@h/d?hunter2=1", "has a parameter that cannot be used"),
            ("postgres://me:x@hun%40ter2/d", "names a host with an invalid character"),
            ("postgres://me:x@h/d?connect_timeout=hunter2", "has a parameter that cannot be used"),
            ("postgres://me:x@h/d&password=hunter2", "has more after the host"),
            ("postgres://me:x@h/d password=hunter2", "has more after the host"),
            ("postgres://me:x@h/d/hunter2", "has more after the host"),
            ("postgres://me:hunter2@h", "names no database"),
            ("postgres://h/hunter2", "names no user"),
            ("postgres:///d", "names no host"),
            ("postgres://me@%2Frun%2Fhunter2,h/d", "names hosts and folders"),
        ] {
            let error = PostgresUrl::parse(url).unwrap_err();
            assert!(error.problem.starts_with(problem), "{url}: {error:?}");
            assert!(!format!("{error:?}").contains("ter2"), "{error:?}");
        }
    }

    #[test]
    fn a_host_is_one_host_to_libpq_too() {
        for host in
            ["db", "db_1.example.com", "127.0.0.1", "[::1]", "[fe80::1%25eth0]", "%2Frun%2Fpg", "a,b:2"]
        {
            assert!(PostgresUrl::parse(&format!("postgres://me@{host}/d")).is_ok(), "{host}");
        }
        for host in [
            "db.rds.amazonaws.com%2Cx.localhost",
            "a%20b",
            "a%00b",
            "a%2fb",
            "b%C3%BCcher",
            "%2Frun%2Ca",
            "[::1%25a,b]",
        ] {
            assert!(PostgresUrl::parse(&format!("postgres://me@{host}/d")).is_err(), "{host}");
        }
    }
}
