//! The stream of a connection: encrypted, or plain with protection of the password.
//!
//! The driver sends the password in clear text to any server that asks for it, and no setting prevents that. Another
//! user of this machine could listen at our server's port and ask. Therefore a plain stream checks the server's first
//! message, which may ask for the password.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::{SslMode as DriverMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{Config, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::verify::explain;

/// How the driver connects.
#[derive(Clone)]
pub enum Connector {
    /// Through a Unix socket, which nobody can intercept.
    Socket,
    /// Over TCP, unencrypted.
    Plain,
    /// Over TCP, encrypted.
    Tls {
        /// The TLS connector.
        rustls: MakeRustlsConnect,
        /// How long the handshake may take.
        bound: Duration,
        /// Describes the required signers of the certificate.
        roots: String,
    },
}

impl Connector {
    /// Makes the driver use this connector: with "direct" negotiation it gets the stream before any data is sent.
    pub(super) fn set_up(&self, config: &mut Config) {
        let (mode, negotiation) = match self {
            Self::Socket => (DriverMode::Disable, SslNegotiation::Postgres),
            Self::Plain => (DriverMode::Require, SslNegotiation::Direct),
            Self::Tls { .. } => (DriverMode::Require, SslNegotiation::Postgres),
        };
        config.ssl_mode(mode).ssl_negotiation(negotiation);
    }
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Stream;
    type TlsConnect = ToHost;
    type Error = Infallible;

    fn make_tls_connect(&mut self, host: &str) -> Result<ToHost, Infallible> {
        Ok(ToHost { connector: self.clone(), host: host.to_owned() })
    }
}

/// Connects to one host.
pub struct ToHost {
    connector: Connector,
    host: String,
}

impl TlsConnect<Socket> for ToHost {
    type Stream = Stream;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Self::Error>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let Connector::Tls { mut rustls, bound, roots } = self.connector else {
                return Ok(Stream::Plain { socket, first: Vec::new() });
            };
            let to_host = MakeTlsConnect::<Socket>::make_tls_connect(&mut rustls, &self.host)?;
            match tokio::time::timeout(bound, to_host.connect(socket)).await {
                Ok(Ok(encrypted)) => Ok(Stream::Tls(Box::new(encrypted))),
                Ok(Err(error)) => Err(explain(&error, &roots).into()),
                Err(_) => {
                    let bound = bound.as_secs_f64();
                    let text = format!(
                        "the server agreed to encrypt, but did not end the TLS handshake within {bound:.1} s"
                    );
                    Err(io::Error::new(io::ErrorKind::TimedOut, text).into())
                }
            }
        })
    }
}

/// A connection's stream.
pub enum Stream {
    /// Unencrypted. The server's first bytes are kept until they show what it asks for.
    Plain {
        /// The socket.
        socket: Socket,
        /// The first bytes that were read.
        first: Vec<u8>,
    },
    /// Encrypted.
    Tls(Box<<MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>),
}

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        match self {
            Self::Plain { .. } => ChannelBinding::none(),
            Self::Tls(stream) => stream.channel_binding(),
        }
    }
}

/// The message `AuthenticationCleartextPassword`, when it is the server's first.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html>
const ASKS_FOR_CLEAR_TEXT: [u8; 9] = [b'R', 0, 0, 0, 8, 0, 0, 0, 3];

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (socket, first) = match &mut *self {
            Self::Plain { socket, first } => (socket, first),
            Self::Tls(stream) => return Pin::new(stream).poll_read(context, buffer),
        };
        let before = buffer.filled().len();
        ready!(Pin::new(socket).poll_read(context, buffer))?;
        let missing = ASKS_FOR_CLEAR_TEXT.len() - first.len();
        first.extend(buffer.filled()[before..].iter().take(missing));
        if *first == ASKS_FOR_CLEAR_TEXT {
            let text =
                "the server asks for the password in clear text, on a connection that is not encrypted";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::PermissionDenied, text)));
        }
        Poll::Ready(Ok(()))
    }
}

impl Stream {
    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        match self {
            Self::Plain { socket, .. } => Pin::new(socket),
            Self::Tls(stream) => Pin::new(stream),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writer().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_shutdown(context)
    }
}
