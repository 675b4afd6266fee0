//! TLS to Postgres: what libpq's `sslmode`, `sslrootcert`, `sslcert` and `sslkey` mean, by rustls.
//! <https://www.postgresql.org/docs/current/libpq-ssl.html>
//!
//! Two things are told apart from libpq: host names are looked for in a certificate's alternative names
//! only, never in its common name; and a file that the URL names has to be there.

mod attempts;
mod connect;
mod error;
mod parameters;
mod verify;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postgres::config::Host;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

pub use attempts::{lacks_tls, problem, telling};
pub use connect::{Connector, Encrypted, Handshake, ToHost};
pub use error::TlsError;
pub use parameters::Parameters;
pub use verify::TlsProblem;
use verify::Verifier;

/// Whether a connection is encrypted, and what of the server's certificate is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted where the server refuses a connection that is not.
    Allow,
    /// Encrypted where the server can.
    Prefer,
    /// Encrypted.
    Require,
    /// Encrypted, and the certificate is signed by one of the roots.
    VerifyCa,
    /// The same, and the certificate is for the host.
    VerifyFull,
}

/// In the order of [`SslMode`]'s variants.
const MODES: [(&str, SslMode); 6] = [
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

/// The hosts that are reached over TCP: names, and the addresses to use for them.
pub fn tcp_hosts(hosts: &[Host], addresses: &[IpAddr]) -> Vec<String> {
    let names = hosts.iter().filter_map(|host| match host {
        Host::Tcp(name) => Some(name.clone()),
        #[cfg(unix)]
        Host::Unix(_) => None,
    });
    names.chain(addresses.iter().map(ToString::to_string)).collect()
}

/// The names of hosts that have none but their address: a certificate can be for that.
pub fn named_by_address(hosts: &[Host], addresses: &[IpAddr]) -> Vec<String> {
    if hosts.is_empty() { addresses.iter().map(ToString::to_string).collect() } else { Vec::new() }
}

/// How a connection to Postgres is encrypted.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// Whether they are, and what of the server's certificate is looked at.
    pub mode: SslMode,
    roots: Roots,
    /// The files of the client's certificate and its key.
    identity: Option<(PathBuf, PathBuf)>,
}

/// Who signs the certificates of good servers.
#[derive(Debug, Clone, PartialEq)]
enum Roots {
    None,
    /// The roots that this machine trusts for everything: `sslrootcert=system`.
    System,
    File(PathBuf),
}

impl Tls {
    /// Never encrypted.
    pub const DISABLED: Self = Self { mode: SslMode::Disable, roots: Roots::None, identity: None };

    /// As a URL's parameters say. `home` is the user's folder, which libpq's default files are in;
    /// `unset` is the mode where the URL names none.
    ///
    /// # Errors
    /// A mode that there is not, or one that does not go with the roots.
    pub fn new(parameters: &Parameters, home: Option<&Path>, unset: SslMode) -> Result<Self, TlsError> {
        let system = parameters.sslrootcert.as_deref() == Some(Path::new("system"));
        let mode = match parameters.sslmode.as_deref() {
            None if system => SslMode::VerifyFull,
            None => unset,
            Some(name) => name.parse()?,
        };
        if mode == SslMode::Disable {
            return Ok(Self::DISABLED);
        }
        if system && mode != SslMode::VerifyFull {
            let problem =
                format!("sslmode={mode} is too weak for sslrootcert=system, whose roots sign for anybody");
            return Err(TlsError::new(problem, "write sslmode=verify-full"));
        }
        let default = |name: &str| home.map(|home| home.join(".postgresql").join(name));
        let if_there = |path: PathBuf| path.exists().then_some(path);
        let roots = match &parameters.sslrootcert {
            _ if system => Roots::System,
            Some(path) => Roots::File(path.clone()),
            None => default("root.crt").and_then(if_there).map_or(Roots::None, Roots::File),
        };
        if mode >= SslMode::VerifyCa && roots == Roots::None {
            let problem =
                format!("sslmode={mode} needs to know whose certificates are good, and nothing says so");
            let remedy = "name the authority's certificate with sslrootcert=FILE, or put it into \
                          ~/.postgresql/root.crt; sslrootcert=system takes the roots of this machine";
            return Err(TlsError::new(problem, remedy));
        }
        let certificate = parameters.sslcert.clone().or_else(|| default("postgresql.crt").and_then(if_there));
        let key = || parameters.sslkey.clone().or_else(|| default("postgresql.key"));
        let identity = certificate.and_then(|certificate| Some((certificate, key()?)));
        Ok(Self { mode, roots, identity })
    }

    /// A connector for these settings. Reads their files.
    ///
    /// # Errors
    /// One of the files cannot be read or used.
    #[expect(clippy::expect_used, reason = "ring has suites for the protocols that rustls takes for safe")]
    pub fn connector(&self) -> Result<Connector, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new(&provider, self.root_store()?, self.mode == SslMode::VerifyFull);
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
                    let remedy = "name a certificate with sslcert and its own key with sslkey";
                    TlsError::new(format!("the client's certificate cannot be used: {files}"), remedy)
                        .caused_by(error)
                })?
            }
        };
        Ok(Connector::new(config))
    }

    /// The roots, if a certificate is looked at: libpq does so in every mode where there is a file of roots.
    fn root_store(&self) -> Result<Option<RootCertStore>, TlsError> {
        let mut store = RootCertStore::empty();
        match &self.roots {
            Roots::None => return Ok(None),
            Roots::System => {
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            Roots::File(path) => {
                for certificate in certificates(path)? {
                    store.add(certificate).map_err(|error| {
                        TlsError::new(format!("{} holds what is no root", path.display()), WANTED_ROOTS)
                            .caused_by(error)
                    })?;
                }
            }
        }
        Ok(Some(store))
    }

    /// The settings, as libpq's environment variables.
    /// <https://www.postgresql.org/docs/current/libpq-envars.html>
    pub fn libpq_environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![("PGSSLMODE", self.mode.to_string())];
        match &self.roots {
            Roots::None => {}
            Roots::System => variables.push(("PGSSLROOTCERT", "system".to_owned())),
            Roots::File(path) => variables.push(("PGSSLROOTCERT", path.display().to_string())),
        }
        if let Some((certificate, key)) = &self.identity {
            variables.push(("PGSSLCERT", certificate.display().to_string()));
            variables.push(("PGSSLKEY", key.display().to_string()));
        }
        variables
    }

    /// Which roots a certificate has to be signed by, for people.
    pub fn roots_shown(&self) -> String {
        match &self.roots {
            Roots::None => "nobody".to_owned(),
            Roots::System => "the roots of this machine".to_owned(),
            Roots::File(path) => path.display().to_string(),
        }
    }
}

const WANTED_ROOTS: &str = "name a file of certificates in PEM with sslrootcert";

/// The certificates of a PEM file, of which there has to be one at least.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = || {
        let certificates = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
        if certificates.is_empty() { Err(PemError::NoItemsFound) } else { Ok(certificates) }
    };
    read().map_err(|error| {
        let problem = format!("no certificate can be read from {}", path.display());
        TlsError::new(problem, "name a readable file of certificates in PEM").caused_by(error)
    })
}

/// The private key of a PEM file that only its user may read.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let unreadable = || {
        let problem = format!("no private key can be read from {}", path.display());
        TlsError::new(problem, "name a readable key in PEM with sslkey, without a passphrase")
    };
    let metadata = std::fs::metadata(path).map_err(|error| unreadable().caused_by(error))?;
    refuse_open_key(path, &metadata)?;
    PrivateKeyDer::from_pem_file(path).map_err(|error| unreadable().caused_by(error))
}

/// libpq's rule: nobody else may read the key, but for the group where it is root's.
#[cfg(unix)]
fn refuse_open_key(path: &Path, metadata: &std::fs::Metadata) -> Result<(), TlsError> {
    use std::os::unix::fs::MetadataExt as _;
    let (mode, of_root) = (metadata.mode() & 0o777, metadata.uid() == 0);
    if mode & if of_root { 0o037 } else { 0o077 } == 0 {
        return Ok(());
    }
    let problem = format!("the private key {} is open to others (mode {mode:04o})", path.display());
    Err(TlsError::new(problem, format!("`chmod 600 {}`", path.display())))
}

#[cfg(not(unix))]
fn refuse_open_key(_path: &Path, _metadata: &std::fs::Metadata) -> Result<(), TlsError> {
    Ok(())
}

impl std::str::FromStr for SslMode {
    type Err = TlsError;

    fn from_str(name: &str) -> Result<Self, TlsError> {
        let found = MODES.iter().find(|(known, _)| *known == name);
        found.map(|(_, mode)| *mode).ok_or_else(|| {
            let names = MODES.map(|(name, _)| name).join(", ");
            TlsError::new(format!("sslmode={name} is no mode"), format!("write one of {names}"))
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

    /// One of the certificates of `certificates/`, which have signed themselves until 2126 and name the host `db`:
    /// `openssl req -x509 -newkey ec -keyout /dev/null -addext subjectAltName=DNS:db`.
    pub(super) fn certificate(pem: &[u8]) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem).unwrap()
    }

    fn tls(query: &str) -> Result<Tls, TlsError> {
        let (parameters, _) = Parameters::take(&format!("postgres://h/d?{query}"));
        Tls::new(&parameters, None, SslMode::Prefer)
    }

    #[test]
    fn modes_are_libpq_s() {
        for (name, mode) in MODES {
            assert_eq!((name.parse::<SslMode>().unwrap(), mode.to_string()), (mode, name.to_owned()));
        }
        assert_eq!(tls("").unwrap().mode, SslMode::Prefer);
        assert_eq!(tls("sslmode=disable&sslrootcert=nowhere").unwrap(), Tls::DISABLED);
        assert_eq!(tls("sslrootcert=system").unwrap().mode, SslMode::VerifyFull);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (query, problem) in [
            ("sslmode=verify", "sslmode=verify is no mode"),
            ("sslmode=require&sslrootcert=system", "too weak"),
            ("sslmode=verify-ca", "nothing says so"),
            ("sslmode=verify-full", "nothing says so"),
        ] {
            let error = tls(query).err().unwrap();
            assert!(error.to_string().contains(problem) && !error.remedy().is_empty(), "{error:?}");
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
