//! End-to-end tests of the embedded engine: this machine's PostgreSQL and the workspace's DynamoDB server, without
//! Docker. Each test has its own checkout and stops its databases.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checkout;
#[path = "../common/mod.rs"]
mod common;
mod crashes;
mod earlier;
mod engine;
mod machine;
mod neighbour;
mod parity;
mod waiting;

use waiting::WAITS;
