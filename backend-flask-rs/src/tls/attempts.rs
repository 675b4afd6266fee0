//! What libpq tries where a server does not take the first way to connect.

use std::error::Error as _;

use postgres::Error;
use postgres::config::SslMode as Mode;
use postgres::error::SqlState;

use super::{SslMode, TlsProblem};

impl SslMode {
    /// How the driver is to try it first.
    pub fn first(self) -> Mode {
        match self {
            Self::Disable | Self::Allow => Mode::Disable,
            Self::Prefer => Mode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => Mode::Require,
        }
    }

    /// How the driver is to try it once more, after an attempt that ended with `error`, if at all.
    pub fn second(self, error: &Error) -> Option<Mode> {
        match self {
            Self::Allow if refuses_this_way(error) => Some(Mode::Require),
            Self::Prefer if is_of_tls(error) || refuses_this_way(error) => Some(Mode::Disable),
            _ => None,
        }
    }
}

/// Of the errors of two attempts the one that tells why: a server that has no TLS has said already why it
/// refuses a connection without it.
pub fn telling(first: Error, second: Error) -> Error {
    if is_of_tls(&second) { first } else { second }
}

/// Whether the server may take the same user encrypted, or not encrypted: its pg_hba.conf tells them apart.
fn refuses_this_way(error: &Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

/// Whether it was the encryption that failed.
fn is_of_tls(error: &Error) -> bool {
    lacks_tls(error) || problem(error).is_some()
}

/// Whether the server does not know TLS, which the driver says in these words only.
pub fn lacks_tls(error: &Error) -> bool {
    error.source().is_some_and(|cause| cause.to_string() == "server does not support TLS")
}

/// Why encryption failed.
pub fn problem(error: &Error) -> Option<&TlsProblem> {
    error.source().and_then(|cause| cause.downcast_ref())
}
