//! Explains why Postgres could not be reached or refused a request, and what to do.

use std::error::Error as _;
use std::io::ErrorKind;

use crate::error::{Failure, PREPARE};
use anyhow::anyhow;
use backend_flask::tls::{self, SettingError, SslMode};
use postgres::error::SqlState;

use super::{MAINTENANCE_DATABASE, PostgresTarget};

/// The remedy if a server cannot open its own files.
pub(super) const UNUSABLE_DATA: &str = "see the server's log, or tell its operator";

/// The same for one of this checkout's servers.
pub(super) const UNUSABLE_DATA_OF_OURS: &str = "recreate this checkout's own with `cargo xtask down --volumes`, which removes the \
                                        data of both databases, and `cargo xtask ddb-setup`";

/// The remedy if the server wants a password and there is none.
const NO_PASSWORD: &str = "write the password into the URL, PGPASSWORD or ~/.pgpass";

impl PostgresTarget {
    /// Explains why the connection failed.
    pub(super) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let error = match error.downcast::<postgres::Error>() {
            Ok(error) => error,
            Err(error) => {
                return error.downcast().map_or_else(|error| error, |error| of_setting(error).into());
            }
        };
        let remedy = match error.code() {
            Some(&SqlState::UNDEFINED_DATABASE) if self.database() == MAINTENANCE_DATABASE => {
                format!(
                    "other databases are created and dropped from it: create it with `create database {}` in psql",
                    self.database()
                )
            }
            Some(&SqlState::UNDEFINED_DATABASE) if self.prod.is_empty() => PREPARE.to_owned(),
            Some(&SqlState::UNDEFINED_DATABASE) => {
                format!("create it with `cargo xtask db create{}`", self.prod)
            }
            Some(&SqlState::INVALID_PASSWORD) => self.wrong_password.clone(),
            Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) if self.tls.mode == SslMode::Disable => {
                self.wrong_password.clone()
            }
            _ if is_caused_by(&error, "password missing") => match &self.passfile_problem {
                Some(problem) => format!("{NO_PASSWORD}; {problem}"),
                None => NO_PASSWORD.to_owned(),
            },
            Some(code) if let Some(remedy) = remedy(code) => remedy.to_owned(),
            _ => self.tls_remedy(&error).unwrap_or_else(|| self.remedy.clone()),
        };
        let problem = format!("cannot connect to Postgres at {self}");
        Failure::unreachable(problem, remedy).caused_by(readable(error)).into()
    }

    /// The remedy if the connection could not be encrypted as `sslmode` demands.
    pub(super) fn tls_remedy(&self, error: &postgres::Error) -> Option<String> {
        if tls::lacks_tls(error) {
            let mode = self.tls.mode;
            return Some(format!(
                "sslmode={mode} wants it encrypted: turn `ssl` on in the server, or give up encryption with \
                 sslmode=disable"
            ));
        }
        tls::problem(error).map(|problem| problem.remedy.clone())
    }
}

/// Whether nobody listens at the address.
pub(crate) fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == ErrorKind::ConnectionRefused) || error.source().is_some_and(is_refused)
}

/// The remedy for an error code of the server.
pub(crate) fn remedy(code: &SqlState) -> Option<&'static str> {
    match *code {
        SqlState::CANNOT_CONNECT_NOW => {
            Some("wait until it has started or recovered, and run the command again")
        }
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            Some("it is a standby, or set to be read only: name the server that takes writes")
        }
        SqlState::DISK_FULL => Some("make room on the server's disk, and run the command again"),
        SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => {
            Some("the server ends the connection: see its log, and run the command again")
        }
        _ => None,
    }
}

/// An error with the server's own message, if the server sent one.
pub(crate) fn readable(error: postgres::Error) -> anyhow::Error {
    match error.as_db_error() {
        Some(database) => {
            let more = [database.detail(), database.hint()].into_iter().flatten();
            let text = more.fold(database.message().to_owned(), |text, more| format!("{text}; {more}"));
            let text = format!("{text} (SQLSTATE {})", database.code().code());
            match remedy(database.code()) {
                Some(remedy) => Failure::new(text, remedy).into(),
                None => anyhow!(text),
            }
        }
        None => error.into(),
    }
}

fn is_caused_by(error: &postgres::Error, text: &str) -> bool {
    error.source().is_some_and(|cause| cause.to_string() == text)
}

/// The error of a setting that cannot be used.
pub(super) fn of_setting(error: SettingError) -> Failure {
    Failure::usage(error.problem, error.remedy)
}
