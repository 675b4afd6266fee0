//! The server's settings, from the environment.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use axum::http::HeaderValue;
use deadpool_postgres::tokio_postgres::Config as PostgresConfig;
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::access::{Access, Cognito};
use crate::hosts::host_and_port;
use crate::messages::{DEFAULT_TABLE, TABLE_VARIABLE};
use crate::tls::{PostgresUrl, SettingError, SslMode, Tls};

const ACCESS: &str = "BACKEND_ACCESS";
/// Where the server listens: `IP:PORT`.
pub const ADDRESS: &str = "BACKEND_ADDRESS";
const LOG: &str = "BACKEND_LOG";
const LOG_FORMAT: &str = "BACKEND_LOG_FORMAT";
const IDLE: &str = "BACKEND_IDLE_TIMEOUT";
const FRONT_END: &str = "FRONTEND_URL";
const POSTGRES: &str = "CONNECTION_URL";
/// The home directory, with libpq's default files.
const HOME: &str = "HOME";
const DYNAMODB: &str = "AWS_ENDPOINT_URL_DYNAMODB";
const ISSUER: &str = "COGNITO_ISSUER";
const CLIENT_ID: &str = "COGNITO_CLIENT_ID";
const KEYS_URL: &str = "COGNITO_JWKS_URL";

/// The address at which Cruddur's front end expects its backend.
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4567);

/// Longer than the 60 s for which Amazon's load balancer keeps a connection: if it sends a request on a connection
/// that was just closed, it answers 502.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html>
const DEFAULT_IDLE: Duration = Duration::from_secs(75);

/// All settings.
pub struct Settings {
    /// The address to listen at.
    pub address: SocketAddr,
    /// How the user of a request is determined. There is no default, because it must be a decision.
    pub(crate) access: Access,
    pub(crate) postgres: PostgresConfig,
    pub(crate) tls: Tls,
    /// The URL of a DynamoDB that checks no keys; `None` for AWS, with credentials and region from AWS's own chain.
    pub(crate) dynamodb: Option<String>,
    pub(crate) table: String,
    /// The origin whose pages may call the API.
    pub(crate) front_end: Option<HeaderValue>,
    /// How long a connection may wait for a complete request head.
    pub(crate) idle: Duration,
    /// Which messages are logged.
    pub log: Targets,
    /// Whether the log is JSON, one object per line, for programs.
    pub logs_json: bool,
}

impl Settings {
    /// Reads the settings. `variable` returns the value of a variable; an empty value counts as unset. Errors contain
    /// no password.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let need = |name: &str| get(name).with_context(|| format!("{name} is not set"));
        let address = match get(ADDRESS) {
            None => DEFAULT_ADDRESS,
            Some(text) => text.parse().with_context(|| format!("{ADDRESS}={text} is not IP:PORT"))?,
        };
        let (access, dynamodb) =
            match need(ACCESS).context("choose how users are identified: local or cognito")?.as_str() {
                "local" => {
                    ensure!(
                        address.ip().is_loopback(),
                        "{ACCESS}=local lets each request name its user: {ADDRESS}={address} must be a \
                     loopback address"
                    );
                    (Access::Local, Some(need(DYNAMODB)?))
                }
                "cognito" => {
                    let issuer = need(ISSUER)?.trim_end_matches('/').to_owned();
                    let keys_url = get(KEYS_URL).unwrap_or_else(|| format!("{issuer}/.well-known/jwks.json"));
                    // The URLs are not shown: a password may be in one.
                    ensure!(is_https(&issuer), "{ISSUER} must begin with https:// and have no user");
                    let is_safe = is_https(&keys_url)
                        || keys_url.starts_with("http://127.0.0.1:") && has_no_user(&keys_url);
                    ensure!(is_safe, "{KEYS_URL} must begin with https:// and have no user");
                    let cognito = Cognito::new(issuer, need(CLIENT_ID)?, keys_url);
                    (Access::Cognito(Box::new(cognito)), None)
                }
                other => bail!("{ACCESS}={other} is neither local nor cognito"),
            };
        let (postgres, tls) = postgres(&need(POSTGRES)?, get(HOME).as_deref().map(Path::new))?;
        let front_end = get(FRONT_END).map(|url| {
            origin(&url)
                .with_context(|| format!("{FRONT_END} is not an origin such as https://cruddur.example"))
        });
        let idle = match get(IDLE).map(|text| (text.parse(), text)) {
            None => DEFAULT_IDLE,
            Some((Ok(seconds @ 1..), _)) => Duration::from_secs(seconds),
            Some((_, text)) => bail!("{IDLE}={text} is not a number of seconds"),
        };
        let log = get(LOG).unwrap_or_else(|| "info".to_owned());
        Ok(Self {
            address,
            access,
            postgres,
            tls,
            dynamodb,
            table: get(TABLE_VARIABLE).unwrap_or_else(|| DEFAULT_TABLE.to_owned()),
            front_end: front_end.transpose()?,
            idle,
            log: log_filter(&log)
                .with_context(|| format!("{LOG}={log} is not a filter such as info,hyper=debug"))?,
            logs_json: match get(LOG_FORMAT).as_deref() {
                None | Some("text") => false,
                Some("json") => true,
                Some(other) => bail!("{LOG_FORMAT}={other} is neither text nor json"),
            },
        })
    }
}

fn is_https(url: &str) -> bool {
    url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty()) && has_no_user(url)
}

fn has_no_user(url: &str) -> bool {
    url.split('/').nth(2).is_none_or(|host| !host.contains('@'))
}

/// The origin that browsers send for pages at a URL, which must have no path: without the scheme's default port.
fn origin(url: &str) -> Option<HeaderValue> {
    let origin = url.strip_suffix('/').unwrap_or(url).to_ascii_lowercase();
    let (scheme, rest) = origin.split_once("://")?;
    let default_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let (host, port) = host_and_port(rest);
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if host.is_empty() || !rest.bytes().all(is_host) || !port.is_none_or(is_port) {
        return None;
    }
    HeaderValue::try_from(origin.strip_suffix(default_port).unwrap_or(&origin)).ok()
}

/// Parses a filter: a level, or `NAME=LEVEL`, or several of these with commas. A name alone would mean all of its
/// messages, but is rather a mistyped level.
fn log_filter(text: &str) -> Option<Targets> {
    let is_whole = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    text.split(',').all(is_whole).then(|| text.parse().ok()).flatten()
}

/// Reads the URL of Postgres. `home` is the home directory.
fn postgres(url: &str, home: Option<&Path>) -> Result<(PostgresConfig, Tls)> {
    let url = PostgresUrl::parse(url);
    let url = url.map_err(|error| anyhow!("{POSTGRES} {}", error.in_one_line()))?;
    let tls = Tls::of(&url, home, SslMode::Prefer).map_err(SettingError::in_one_line);
    let tls = tls.with_context(|| format!("{POSTGRES} cannot be used"))?;
    Ok((url.config, tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: [(&str, &str); 3] = [
        (ACCESS, "local"),
        (POSTGRES, "postgresql://me:hunter2@127.0.0.1/cruddur"),
        (DYNAMODB, "http://127.0.0.1:8000"),
    ];

    fn read(more: &[(&str, &str)]) -> Result<Settings> {
        let settings: Vec<_> = more.iter().chain(&LOCAL).copied().collect();
        let find = |name: &str| settings.iter().find(|(set, _)| *set == name);
        Settings::read(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    fn error(more: &[(&str, &str)]) -> String {
        format!("{:#}", read(more).err().unwrap())
    }

    #[test]
    fn local_is_enough_with_two_addresses() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.address, DEFAULT_ADDRESS);
        assert!(settings.access.is_local());
        assert!(!settings.logs_json);
    }

    #[test]
    fn the_access_setting_is_required() {
        assert_eq!(
            error(&[(ACCESS, "")]),
            "choose how users are identified: local or cognito: BACKEND_ACCESS is not set"
        );
        assert_eq!(error(&[(ACCESS, "none")]), "BACKEND_ACCESS=none is neither local nor cognito");
    }

    #[test]
    fn local_access_is_for_the_loopback_alone() {
        for address in ["0.0.0.0:4567", "192.0.2.1:80", "[::]:4567"] {
            assert!(error(&[(ADDRESS, address)]).ends_with("must be a loopback address"), "{address}");
        }
        assert!(read(&[(ADDRESS, "[::1]:0")]).is_ok());
    }

    #[test]
    fn an_idle_connection_has_a_bound() {
        assert_eq!(read(&[]).unwrap().idle, DEFAULT_IDLE);
        assert_eq!(read(&[(IDLE, "3")]).unwrap().idle, Duration::from_secs(3));
        for none in ["0", "-1", "soon"] {
            assert_eq!(
                error(&[(IDLE, none)]),
                format!("BACKEND_IDLE_TIMEOUT={none} is not a number of seconds")
            );
        }
    }

    #[test]
    fn cognito_needs_an_issuer_and_a_client() {
        assert_eq!(error(&[(ACCESS, "cognito")]), "COGNITO_ISSUER is not set");
        let issuer = (ISSUER, "https://127.0.0.1/pool/");
        assert_eq!(error(&[(ACCESS, "cognito"), issuer]), "COGNITO_CLIENT_ID is not set");
        let settings =
            read(&[(ACCESS, "cognito"), issuer, (CLIENT_ID, "c"), (ADDRESS, "0.0.0.0:80")]).unwrap();
        let Access::Cognito(cognito) = settings.access else { panic!("local") };
        assert_eq!(cognito.keys.url, "https://127.0.0.1/pool/.well-known/jwks.json");
    }

    #[test]
    fn the_front_end_s_origin_is_as_browsers_send_it() {
        for (url, expected) in [
            ("https://Cruddur.example/", "https://cruddur.example"),
            ("https://cruddur.example:443", "https://cruddur.example"),
            ("http://localhost:80", "http://localhost"),
            ("http://localhost:443", "http://localhost:443"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(origin(url).unwrap(), expected, "{url}");
        }
        for url in
            ["https://cruddur.example:99999", "https://cruddur.example:", "https://:443", "https://a b"]
        {
            assert_eq!(origin(url), None, "{url}");
        }
    }

    #[test]
    fn a_mistyped_level_is_no_filter() {
        for text in ["info", "WARN", "off", "info,hyper=debug", "hyper=debug"] {
            assert!(log_filter(text).is_some(), "{text}");
        }
        for text in ["warning", "info,verbose", "hyper", "hyper=loud"] {
            assert!(log_filter(text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_error_keeps_the_password() {
        for (wrong, problem) in [
            (":port/cruddur", "is not a Postgres URL; write it as postgresql://"),
            ("/cruddur?sslmode=strict", "cannot be used: its sslmode is unknown; write one of disable, "),
            ("/cruddur?sslmode=verify-full", "cannot be used: sslmode=verify-full needs root certificates"),
        ] {
            let error = error(&[(POSTGRES, &format!("postgresql://me:hunter2@127.0.0.1{wrong}"))]);
            assert!(error.starts_with(&format!("CONNECTION_URL {problem}")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn postgres_is_encrypted_where_it_can_be_unless_its_url_says_otherwise() {
        let mode = |rest: &str| {
            let settings = read(&[(POSTGRES, &format!("postgresql://me@{rest}"))]).unwrap();
            settings.tls.mode
        };
        assert_eq!(mode("db.internal/cruddur"), SslMode::Prefer);
        assert_eq!(mode("db.internal/cruddur?sslmode=require"), SslMode::Require);
        assert_eq!(mode("%2Frun%2Fpostgresql/cruddur?sslmode=require"), SslMode::Disable);
    }
}
