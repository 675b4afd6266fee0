//! The driver's encrypted stream.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use postgres::Socket;
use postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;

use super::TlsProblem;

/// Whether a server that has agreed to encrypt is to end the handshake yet.
#[derive(Debug, Clone, Default)]
pub struct Handshake(Arc<AtomicBool>);

impl Handshake {
    /// Whether it is under way at this moment.
    pub fn is_under_way(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Encrypts the driver's connections.
#[derive(Clone)]
pub struct Connector {
    connector: TlsConnector,
    handshake: Handshake,
}

impl Connector {
    pub(super) fn new(config: ClientConfig) -> Self {
        Self { connector: TlsConnector::from(Arc::new(config)), handshake: Handshake::default() }
    }

    /// The same, which tells of its handshake.
    pub fn telling(self, handshake: &Handshake) -> Self {
        Self { handshake: handshake.clone(), ..self }
    }
}

/// Encrypts a connection to one host.
pub struct ToHost {
    connector: TlsConnector,
    handshake: Handshake,
    host: String,
}

/// An encrypted connection.
pub struct Encrypted(tokio_rustls::client::TlsStream<Socket>);

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Encrypted;
    type TlsConnect = ToHost;
    type Error = TlsProblem;

    fn make_tls_connect(&mut self, host: &str) -> Result<ToHost, TlsProblem> {
        // The driver asks before it knows whether it will encrypt: on a Unix socket there is no host.
        let Self { connector, handshake } = self.clone();
        Ok(ToHost { connector, handshake, host: host.to_owned() })
    }
}

impl TlsConnect<Socket> for ToHost {
    type Stream = Encrypted;
    type Error = TlsProblem;
    type Future = Pin<Box<dyn Future<Output = Result<Encrypted, TlsProblem>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let Self { connector, handshake, host } = self;
            let name = ServerName::try_from(host.clone());
            let name = name.map_err(|_| TlsProblem::Other(format!("no certificate can be for `{host}`")))?;
            handshake.0.store(true, Ordering::SeqCst);
            let stream = connector.connect(name, socket).await;
            handshake.0.store(false, Ordering::SeqCst);
            Ok(Encrypted(stream?))
        })
    }
}

impl TlsStream for Encrypted {
    /// The hash of the server's certificate, which SCRAM signs: whoever stands between us and the server has
    /// another one. <https://www.rfc-editor.org/rfc/rfc5929#section-4.1>
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        let hash = certificate.and_then(|certificate| end_point_hash(certificate));
        hash.map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// A certificate's hash, by the algorithm that it is signed with, if that is known.
fn end_point_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    // Where SHA-256 and what is weaker sign, and where SHA-256 is what RFC 5929 says.
    const SHA256: [&[u8]; 4] = [
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04], // md5WithRSAEncryption
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05], // sha1WithRSAEncryption
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b], // sha256WithRSAEncryption
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],       // ecdsa-with-SHA256
    ];
    const SHA384: [&[u8]; 2] = [
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c], // sha384WithRSAEncryption
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],       // ecdsa-with-SHA384
    ];
    const SHA512: [&[u8]; 2] = [
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d], // sha512WithRSAEncryption
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04],       // ecdsa-with-SHA512
    ];
    let algorithm = signature_algorithm(certificate)?;
    if SHA256.contains(&algorithm) {
        return Some(Sha256::digest(certificate).to_vec());
    }
    if SHA384.contains(&algorithm) {
        return Some(Sha384::digest(certificate).to_vec());
    }
    SHA512.contains(&algorithm).then(|| Sha512::digest(certificate).to_vec())
}

/// The object identifier of the algorithm that a certificate is signed with:
/// `SEQUENCE { tbsCertificate, SEQUENCE { algorithm, .. }, .. }`.
/// <https://www.rfc-editor.org/rfc/rfc5280#section-4.1>
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (whole, _) = der_value(certificate)?;
    let (_, behind_tbs) = der_value(whole)?;
    let (algorithm, _) = der_value(behind_tbs)?;
    der_value(algorithm).map(|(identifier, _)| identifier)
}

/// The first value in DER, and what is behind it.
fn der_value(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = der.get(1..)?.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        _ => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = bytes.iter().try_fold(0_usize, |length, byte| {
                length.checked_mul(256).map(|length| length | usize::from(*byte))
            });
            (length?, rest)
        }
    };
    rest.split_at_checked(length)
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::certificate;
    use super::*;

    #[test]
    fn the_signature_s_algorithm_decides_the_hash() {
        let p256 = certificate(include_bytes!("certificates/server.pem"));
        assert_eq!(end_point_hash(&p256), Some(Sha256::digest(&p256).to_vec()));
        let p384 = certificate(include_bytes!("certificates/server-p384.pem"));
        assert_eq!(end_point_hash(&p384), Some(Sha384::digest(&p384).to_vec()));
    }

    #[test]
    fn what_is_no_certificate_has_no_hash() {
        for der in [&[][..], &[0x30], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x30, 0xff], &[0x30, 2, 0x30, 0x80]] {
            assert_eq!(end_point_hash(der), None);
        }
    }
}
