//! Verifies a server's certificate, and explains what is wrong with one.

use std::io;
use std::sync::Arc;

use chrono::DateTime;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::SettingError;

/// Verifies a server's certificate as `sslmode` demands.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) provider: Arc<CryptoProvider>,
    /// `None` if any certificate is accepted.
    pub(super) roots: Option<RootCertStore>,
    /// Whether the certificate must be for the host.
    pub(super) for_host: bool,
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

/// webpki's word for an authority's certificate that a server uses as its own.
const AUTHORITY: &str = "CaUsedAsEndEntity";

/// Explains why encryption failed. `roots` describes the required signers of the certificate.
pub(super) fn explain(error: &io::Error, roots: &str) -> SettingError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(Error::InvalidCertificate(certificate)) = inner else {
        let problem = inner.map_or_else(|| error.to_string(), ToString::to_string);
        return SettingError::new(problem, "see the server's log, and check that it is the server you mean");
    };
    let renew = "have the certificate renewed, and check this machine's clock";
    let (problem, remedy) = match certificate {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            "is not signed by any of the roots".to_owned(),
            format!(
                "it is not the server you mean, or its authority's certificate is missing in {roots}: name the file \
                 with sslrootcert"
            ),
        ),
        CertificateError::NotValidForNameContext { expected, presented } => (
            format!("is not for {}, but for {}", expected.to_str(), names(presented)),
            "connect by a name that the certificate is for; sslmode=verify-ca does not look at the name"
                .to_owned(),
        ),
        CertificateError::ExpiredContext { not_after, .. } => {
            (format!("has expired, at {}", shown(*not_after)), renew.to_owned())
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            (format!("is not valid before {}", shown(*not_before)), renew.to_owned())
        }
        // rustls passes on only the text of webpki's error.
        CertificateError::Other(other) if other.to_string().contains(AUTHORITY) => (
            "is an authority's own (CA:TRUE), not a server's".to_owned(),
            "have one made for the server".to_owned(),
        ),
        other => (format!("is invalid: {other}"), "have another one made for the server".to_owned()),
    };
    SettingError::new(format!("the server's certificate {problem}"), remedy)
}

/// The names in a certificate without webpki's notation, `DnsName("a")`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner.trim_end_matches(')'));
        inner.trim_matches('"').to_owned()
    };
    match presented {
        [] => "none".to_owned(),
        names => names.iter().map(bare).collect::<Vec<_>>().join(", "),
    }
}

fn shown(time: UnixTime) -> String {
    let time = i64::try_from(time.as_secs()).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.map_or_else(|| "an unknown time".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::super::tests::certificate;
    use super::*;

    /// Verifies the certificate of a server when that certificate is also the only root.
    fn verified(pem: &[u8]) -> Result<(), String> {
        let certificate = certificate(pem);
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier { provider, roots: Some(roots), for_host: true };
        let host = ServerName::try_from("db").unwrap();
        let verified = verifier.verify_server_cert(&certificate, &[], &host, &[], UnixTime::now());
        verified.map(|_| ()).map_err(|error| explain(&io::Error::other(error), "r").problem)
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
        assert_eq!(names(&presented), "db.internal, 127.0.0.1, odd");
    }
}
