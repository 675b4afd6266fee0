//! A server's log, and why the server ended according to its last lines.

use std::path::PathBuf;

use crate::error::Failure;
use crate::process;

use super::super::{LAST_LINES, has_damaged_data};

/// The remedy if the data cannot be used.
pub(super) const START_AFRESH: &str = "start afresh with `cargo xtask down --volumes`, which removes the data of both databases, and `cargo xtask ddb-setup`";

/// Messages of both servers if another program listens on their port.
const LOST_PORT: [&str; 2] = ["could not create any TCP/IP sockets", "cannot listen on "];

/// A server's log, and the offset at which its last start begins.
#[derive(Clone)]
pub(super) struct Log {
    pub(super) path: PathBuf,
    pub(super) from: u64,
}

impl Log {
    /// The log at `path`, to be read from its present end.
    pub(super) fn from_now_on(path: PathBuf) -> Self {
        let from = path.metadata().map_or(0, |file| file.len());
        Self { path, from }
    }
}

/// The beginning of the error if another program listens on the port.
const PORT_LOST: &str = "its process ended: another one had taken";

/// Whether a server ended because another program had its port.
pub(super) fn is_port_lost(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(|failure: &Failure| failure.to_string().starts_with(PORT_LOST))
}

pub(super) fn death(port: u16, log: &Log) -> anyhow::Error {
    let lines = process::last_lines(&log.path, log.from, LAST_LINES);
    let says = |texts: &[&str]| texts.iter().any(|text| lines.contains(text));
    let shown = format!("the last lines of {}:\n{lines}", log.path.display());
    let failure = if says(&LOST_PORT) && says(&["Permission denied"]) {
        let problem = format!("its process ended: it may not listen on 127.0.0.1:{port}; {shown}");
        Failure::new(problem, "ports below 1024 are for root: set a higher one")
    } else if says(&LOST_PORT) {
        let problem = format!("{PORT_LOST} 127.0.0.1:{port}; {shown}");
        Failure::new(problem, "run the command again: it looks for a port that is free")
    } else if has_damaged_data(&lines) {
        Failure::new(format!("its process ended: its data cannot be used; {shown}"), START_AFRESH)
    } else {
        let remedy =
            "look for the cause in these lines, and run the command again; `cargo xtask logs` shows them all";
        Failure::new(format!("its process ended; {shown}"), remedy)
    };
    failure.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of Postgres 15 and of our server if another program listens on their port.
    const POSTGRES_LOST: &str = "\
        LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use\n\
        WARNING:  could not create listen socket for \"127.0.0.1\"\n\
        FATAL:  could not create any TCP/IP sockets\n\
        LOG:  database system is shut down\n";
    const DYNAMODB_LOST: &str = "error: cannot listen on 127.0.0.1:7: Address already in use (os error 98)\n";
    const NO_CLUSTER: &str = "\
        FATAL:  \"postgres\" is not a valid data directory\n\
        DETAIL:  File \"postgres/PG_VERSION\" is missing.\n";
    const IN_USE: &str = "\
        FATAL:  pre-existing shared memory block (key 4325486, ID 3) is still in use\n\
        HINT:  Terminate any old server processes associated with data directory \"postgres\".\n";

    fn failure(before: &str, log: &str) -> Failure {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), before).unwrap();
        let from = Log::from_now_on(file.path().to_owned());
        std::fs::write(file.path(), format!("{before}{log}")).unwrap();
        death(7, &from).downcast().unwrap()
    }

    #[test]
    fn a_port_that_was_lost_is_no_reason_to_remove_data() {
        for log in [POSTGRES_LOST, DYNAMODB_LOST] {
            let lost = failure("", log);
            assert!(is_port_lost(&failure("", log).into()));
            let problem = lost.to_string();
            assert!(
                problem.starts_with("its process ended: another one had taken 127.0.0.1:7; "),
                "{problem}"
            );
            assert_eq!(lost.remedy(), "run the command again: it looks for a port that is free");
        }
    }

    #[test]
    fn a_port_that_is_not_allowed_is_not_taken() {
        for log in [POSTGRES_LOST, DYNAMODB_LOST] {
            let denied = failure("", &log.replace("Address already in use", "Permission denied"));
            assert_eq!(denied.remedy(), "ports below 1024 are for root: set a higher one");
            assert!(!is_port_lost(&denied.into()));
        }
    }

    #[test]
    fn only_data_that_cannot_be_used_are_a_reason_to_remove_them() {
        let damaged = failure("", NO_CLUSTER);
        assert!(damaged.to_string().starts_with("its process ended: its data cannot be used; "), "{damaged}");
        assert_eq!(damaged.remedy(), START_AFRESH);
        for log in [IN_USE, "LOG:  out of memory\n", ""] {
            assert!(!failure("", log).remedy().contains("--volumes"), "{log}");
        }
    }

    #[test]
    fn log_lines_of_an_earlier_run_are_ignored() {
        for earlier in [POSTGRES_LOST, NO_CLUSTER] {
            let failure = failure(earlier, IN_USE);
            assert!(failure.to_string().starts_with("its process ended; "), "{failure}");
            assert!(!failure.to_string().contains(earlier.lines().next().unwrap()), "{failure}");
        }
    }
}
