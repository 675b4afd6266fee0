//! What is looked at in a server's certificate, and what is said of one that is not good.

use std::fmt;
use std::sync::Arc;

use chrono::DateTime;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Looks at a server's certificate as `sslmode` says.
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    /// None where any certificate is good.
    roots: Option<RootCertStore>,
    /// Whether it has to be for the host.
    for_host: bool,
}

impl Verifier {
    pub(super) fn new(provider: &Arc<CryptoProvider>, roots: Option<RootCertStore>, for_host: bool) -> Self {
        Self { provider: Arc::clone(provider), roots, for_host }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(certificate)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
            if self.for_host {
                verify_server_name(&certificate, host)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What webpki says of an authority's certificate in a server's hands.
const AUTHORITY: &str = "CaUsedAsEndEntity";

/// Why no encrypted connection came about.
#[derive(Debug)]
pub enum TlsProblem {
    /// None of the roots has signed the certificate.
    Signer,
    /// The certificate is for other hosts.
    Host {
        /// The host that was connected to.
        wanted: String,
        /// The hosts that it is for.
        presented: Vec<String>,
    },
    /// The certificate is not valid at this time.
    Time(String),
    /// Anything else.
    Other(String),
}

impl From<std::io::Error> for TlsProblem {
    fn from(error: std::io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        let Some(inner) = inner else { return Self::Other(error.to_string()) };
        let Error::InvalidCertificate(certificate) = inner else { return Self::Other(inner.to_string()) };
        match certificate {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Signer,
            CertificateError::NotValidForNameContext { expected, presented } => {
                Self::Host { wanted: expected.to_str().into_owned(), presented: names(presented) }
            }
            CertificateError::ExpiredContext { not_after, .. } => {
                Self::Time(format!("has expired, at {}", shown(*not_after)))
            }
            CertificateError::NotValidYetContext { not_before, .. } => {
                Self::Time(format!("is not valid before {}", shown(*not_before)))
            }
            // rustls keeps webpki's error to itself, but for its text.
            CertificateError::Other(other) if other.to_string().contains(AUTHORITY) => Self::Other(
                "the server's certificate is an authority's own (CA:TRUE), not a server's".to_owned(),
            ),
            other => Self::Other(format!("the server's certificate is not good: {other}")),
        }
    }
}

/// The names in a certificate, without the form that webpki gives them: `DnsName("a")`.
fn names(presented: &[String]) -> Vec<String> {
    let bare = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner.trim_end_matches(')'));
        inner.trim_matches('"').to_owned()
    };
    presented.iter().map(bare).collect()
}

fn shown(time: UnixTime) -> String {
    let time = i64::try_from(time.as_secs()).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.map_or_else(|| "an unknown time".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signer => formatter.write_str("the server's certificate is not signed by any of the roots"),
            Self::Host { wanted, presented } if presented.is_empty() => {
                write!(formatter, "the server's certificate is not for {wanted}: it names no host")
            }
            Self::Host { wanted, presented } => {
                let presented = presented.join(", ");
                write!(formatter, "the server's certificate is not for {wanted}, but for {presented}")
            }
            Self::Time(what) => write!(formatter, "the server's certificate {what}"),
            Self::Other(text) => formatter.write_str(text),
        }
    }
}

impl std::error::Error for TlsProblem {}

#[cfg(test)]
mod tests {
    use super::super::tests::certificate;
    use super::*;

    /// What is said of a server that has the only root's own certificate.
    fn verified(pem: &[u8]) -> Result<(), String> {
        let certificate = certificate(pem);
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new(&provider, Some(roots), true);
        let host = ServerName::try_from("db").unwrap();
        let verified = verifier.verify_server_cert(&certificate, &[], &host, &[], UnixTime::now());
        verified.map(|_| ()).map_err(|error| TlsProblem::from(std::io::Error::other(error)).to_string())
    }

    #[test]
    fn a_certificate_that_signed_itself_is_good_where_it_is_a_server_s() {
        assert_eq!(verified(include_bytes!("certificates/server.pem")), Ok(()));
        let authority = "the server's certificate is an authority's own (CA:TRUE), not a server's";
        assert_eq!(verified(include_bytes!("certificates/authority.pem")), Err(authority.to_owned()));
    }

    #[test]
    fn names_are_shown_bare() {
        let presented = [r#"DnsName("db.internal")"#, "IpAddress(127.0.0.1)", "odd"].map(str::to_owned);
        assert_eq!(names(&presented), ["db.internal", "127.0.0.1", "odd"]);
    }
}
