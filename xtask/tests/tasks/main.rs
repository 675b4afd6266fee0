//! End-to-end tests: the built program against real servers. They are one program, so that tests that wait in the
//! background run beside all others.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod common;
mod docker;
mod embedded;
mod external;
mod faults;
mod waiting;
