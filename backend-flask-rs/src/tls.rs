//! Connections to Postgres by URL: implements libpq's `sslmode`, `sslrootcert`, `sslcert` and `sslkey` with rustls.
//! <https://www.postgresql.org/docs/current/libpq-ssl.html>
//!
//! Two things differ from libpq: a host name must be among a certificate's alternative names, its common name does
//! not count; and a file that the URL names must exist.

mod connect;
mod url;
mod verify;

use std::error::Error as _;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

pub use connect::{Connector, Stream};
pub use url::PostgresUrl;
use verify::Verifier;

/// The error of a setting that cannot be used, or that the server does not satisfy.
#[derive(Debug)]
pub struct SettingError {
    /// What is wrong.
    pub problem: String,
    /// What to do, without a full stop.
    pub remedy: String,
}

impl SettingError {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }

    #[cfg(feature = "server")]
    pub(crate) fn in_one_line(self) -> anyhow::Error {
        anyhow::anyhow!("{}; {}", self.problem, self.remedy)
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.problem)
    }
}

impl std::error::Error for SettingError {}

/// Whether a connection is encrypted, and how the server's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server supports it.
    Prefer,
    /// Encrypted.
    Require,
    /// Encrypted, with a certificate signed by one of the roots.
    VerifyCa,
    /// Like `VerifyCa`, and the certificate is for the host.
    VerifyFull,
}

/// The names of the modes, in the order of the variants.
const MODES: [(&str, SslMode); 5] = [
    ("disable", SslMode::Disable),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

/// How a connection to Postgres is encrypted.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// The mode.
    pub mode: SslMode,
    /// The file of the roots that must have signed the server's certificate, or [`SYSTEM`].
    roots: Option<PathBuf>,
    /// The files of the client's certificate and its key.
    identity: Option<(PathBuf, PathBuf)>,
    /// Whether the connection uses a Unix socket, for which libpq ignores `sslmode`.
    on_socket: bool,
}

/// How to connect: the first way, and another one for a server that refuses the first.
#[derive(Clone)]
pub struct Ways {
    first: (Config, Connector),
    other: Option<(Config, Connector)>,
}

impl Ways {
    /// Connects in the first way, or in the other one if that may help.
    ///
    /// # Errors
    /// The driver's, of the last attempt.
    pub async fn connect(&self) -> Result<(Client, Connection<Socket, Stream>), Error> {
        let (config, connector) = &self.first;
        match (config.connect(connector.clone()).await, &self.other) {
            (Err(error), Some((config, connector))) if another_way_may_help(&error) => {
                config.connect(connector.clone()).await
            }
            (connected, _) => connected,
        }
    }

    /// The same with another function, for a client that is not async.
    ///
    /// # Errors
    /// That of `connect`, of the last attempt.
    pub fn connect_by<T>(self, connect: impl Fn(Config, Connector) -> Result<T, Error>) -> Result<T, Error> {
        match (connect(self.first.0, self.first.1), self.other) {
            (Err(error), Some((config, connector))) if another_way_may_help(&error) => {
                connect(config, connector)
            }
            (connected, _) => connected,
        }
    }
}

/// The value of `sslrootcert` for the roots that this machine trusts.
const SYSTEM: &str = "system";

impl Tls {
    /// Reads the settings of a URL. `home` is the home directory, for libpq's default files; `unset` is the mode if
    /// the URL does not set one.
    ///
    /// # Errors
    /// An unknown mode, or one that does not fit the roots.
    pub fn of(url: &PostgresUrl, home: Option<&Path>, unset: SslMode) -> Result<Self, SettingError> {
        let on_socket = url.tcp_hosts().is_empty();
        let system = url.sslrootcert.as_deref() == Some(Path::new(SYSTEM));
        let mode = match url.sslmode.as_deref() {
            _ if on_socket => SslMode::Disable,
            None if system => SslMode::VerifyFull,
            None => unset,
            Some(name) => name.parse()?,
        };
        if mode == SslMode::Disable {
            return Ok(Self { mode, roots: None, identity: None, on_socket });
        }
        if system && mode != SslMode::VerifyFull {
            let problem =
                format!("sslmode={mode} is too weak for sslrootcert=system, whose roots sign for anybody");
            return Err(SettingError::new(problem, "write sslmode=verify-full"));
        }
        let default = |name: &str| home.map(|home| home.join(".postgresql").join(name));
        let if_there = |path: PathBuf| path.exists().then_some(path);
        let roots = url.sslrootcert.clone().or_else(|| default("root.crt").and_then(if_there));
        if mode >= SslMode::VerifyCa && roots.is_none() {
            let problem = format!("sslmode={mode} needs root certificates, and none are named");
            let remedy = "name the authority's certificate with sslrootcert=FILE, or put it into \
                          ~/.postgresql/root.crt; sslrootcert=system takes the roots of this machine";
            return Err(SettingError::new(problem, remedy));
        }
        let certificate = url.sslcert.clone().or_else(|| default("postgresql.crt").and_then(if_there));
        let key = || url.sslkey.clone().or_else(|| default("postgresql.key"));
        let identity = certificate.and_then(|certificate| Some((certificate, key()?)));
        Ok(Self { mode, roots, identity, on_socket })
    }

    /// The ways to connect. Reads the files.
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub fn ways(&self, config: &Config, bound: Duration) -> Result<Ways, SettingError> {
        let way = |connector: Connector| {
            let mut config = config.clone();
            connector.set_up(&mut config);
            (config, connector)
        };
        let first = match self.mode {
            _ if self.on_socket => Connector::Socket,
            SslMode::Disable => Connector::Plain,
            _ => self.connector(bound)?,
        };
        let other = (self.mode == SslMode::Prefer).then(|| way(Connector::Plain));
        Ok(Ways { first: way(first), other })
    }

    #[expect(clippy::expect_used, reason = "ring has suites for the protocols that rustls takes for safe")]
    fn connector(&self, bound: Duration) -> Result<Connector, SettingError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier {
            provider: Arc::clone(&provider),
            roots: self.root_store()?,
            for_host: self.mode == SslMode::VerifyFull,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &self.identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                config.with_client_auth_cert(chain, private_key(key)?).map_err(|error| {
                    let files = format!("{} and {}", certificate.display(), key.display());
                    let problem = format!("the client's certificate cannot be used: {files}: {error}");
                    SettingError::new(problem, "name a certificate with sslcert and its own key with sslkey")
                })?
            }
        };
        Ok(Connector::Tls { rustls: MakeRustlsConnect::new(config), bound, roots: self.roots_shown() })
    }

    /// The roots, if a certificate is verified. Like libpq, verifies it in every mode if there is a file of roots.
    fn root_store(&self) -> Result<Option<RootCertStore>, SettingError> {
        let Some(path) = &self.roots else { return Ok(None) };
        let mut store = RootCertStore::empty();
        if path == Path::new(SYSTEM) {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(Some(store));
        }
        for certificate in certificates(path)? {
            store.add(certificate).map_err(|error| {
                let problem =
                    format!("{} contains a certificate that is not a root: {error}", path.display());
                SettingError::new(problem, "name a file of certificates in PEM with sslrootcert")
            })?;
        }
        Ok(Some(store))
    }

    /// The settings as libpq's environment variables.
    /// <https://www.postgresql.org/docs/current/libpq-envars.html>
    pub fn libpq_environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![("PGSSLMODE", self.mode.to_string())];
        if let Some(roots) = &self.roots {
            variables.push(("PGSSLROOTCERT", roots.display().to_string()));
        }
        if let Some((certificate, key)) = &self.identity {
            variables.push(("PGSSLCERT", certificate.display().to_string()));
            variables.push(("PGSSLKEY", key.display().to_string()));
        }
        variables
    }

    fn roots_shown(&self) -> String {
        match &self.roots {
            None => "nobody".to_owned(),
            Some(path) if path == Path::new(SYSTEM) => "the roots of this machine".to_owned(),
            Some(path) => path.display().to_string(),
        }
    }
}

/// Whether another way to connect may succeed: the attempt failed because of encryption, or because of a
/// pg_hba.conf that treats encrypted connections differently.
fn another_way_may_help(error: &Error) -> bool {
    let is_refused = error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
    is_refused || lacks_tls(error) || problem(error).is_some()
}

/// Whether the server does not support TLS. Only the text of the driver's error says so.
pub fn lacks_tls(error: &Error) -> bool {
    error.source().is_some_and(|cause| cause.to_string() == "server does not support TLS")
}

/// What is wrong with the server's certificate or with the encryption.
pub fn problem(error: &Error) -> Option<&SettingError> {
    error.source().and_then(|cause| cause.downcast_ref())
}

/// Reads the certificates of a PEM file. Fails if there are none.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SettingError> {
    let read = || {
        let certificates = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
        if certificates.is_empty() { Err(PemError::NoItemsFound) } else { Ok(certificates) }
    };
    read().map_err(|error| {
        let problem = format!("no certificate can be read from {}: {error}", path.display());
        SettingError::new(problem, "name a readable file of certificates in PEM")
    })
}

/// Reads the private key of a PEM file. Only its owner may be able to read the file.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, SettingError> {
    let shown = path.display();
    let unreadable = |error: &dyn fmt::Display| {
        let problem = format!("no private key can be read from {shown}: {error}");
        SettingError::new(problem, "name a readable key in PEM with sslkey, without a passphrase")
    };
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    #[cfg(unix)]
    {
        // libpq's rule: nobody else may read the file, except the group if root owns it.
        use std::os::unix::fs::MetadataExt as _;
        let (mode, of_root) = (metadata.mode() & 0o777, metadata.uid() == 0);
        if mode & if of_root { 0o037 } else { 0o077 } != 0 {
            let problem = format!("the private key {shown} is open to others (mode {mode:04o})");
            return Err(SettingError::new(problem, format!("`chmod 600 {shown}`")));
        }
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| unreadable(&error))
}

impl std::str::FromStr for SslMode {
    type Err = SettingError;

    fn from_str(name: &str) -> Result<Self, SettingError> {
        let found = MODES.iter().find(|(known, _)| *known == name);
        found.map(|(_, mode)| *mode).ok_or_else(|| {
            let names = MODES.map(|(name, _)| name).join(", ");
            // The value is not shown: it may contain part of a password.
            SettingError::new("its sslmode is unknown", format!("write one of {names}"))
        })
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MODES[*self as usize].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate from `certificates/`. They are self-signed, valid until 2126, for the host `db`:
    /// `openssl req -x509 -newkey ec -keyout /dev/null -addext subjectAltName=DNS:db`.
    pub(super) fn certificate(pem: &[u8]) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem).unwrap()
    }

    fn tls(query: &str) -> Result<Tls, SettingError> {
        let url = PostgresUrl::parse(&format!("postgres://me@h/d?{query}")).unwrap();
        Tls::of(&url, None, SslMode::Prefer)
    }

    #[test]
    fn modes_are_libpq_s() {
        for (name, mode) in MODES {
            assert_eq!((name.parse::<SslMode>().unwrap(), mode.to_string()), (mode, name.to_owned()));
        }
        assert_eq!(tls("").unwrap().mode, SslMode::Prefer);
        assert_eq!(tls("sslmode=disable&sslrootcert=nowhere").unwrap().roots, None);
        assert_eq!(tls("sslrootcert=system").unwrap().mode, SslMode::VerifyFull);
    }

    #[test]
    fn unusable_tls_settings_are_refused() {
        for (query, problem) in [
            ("sslmode=verify", "its sslmode is unknown"),
            ("sslmode=require;password=hunter2", "its sslmode is unknown"),
            ("sslmode=require&sslrootcert=system", "too weak"),
            ("sslmode=verify-ca", "none are named"),
            ("sslmode=verify-full", "none are named"),
        ] {
            let error = tls(query).err().unwrap();
            assert!(error.problem.contains(problem) && !error.remedy.is_empty(), "{error:?}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn psql_is_told_the_same() {
        let tls = tls("sslmode=verify-ca&sslrootcert=r&sslcert=c&sslkey=k").unwrap();
        let expected =
            [("PGSSLMODE", "verify-ca"), ("PGSSLROOTCERT", "r"), ("PGSSLCERT", "c"), ("PGSSLKEY", "k")];
        assert_eq!(tls.libpq_environment(), expected.map(|(name, value)| (name, value.to_owned())));
    }
}
