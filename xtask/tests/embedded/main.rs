//! End to end on the embedded engine: this machine's PostgreSQL and the workspace's own DynamoDB server,
//! no Docker. Each test has a checkout of its own and stops what it started.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checkout;
#[path = "../common/mod.rs"]
mod common;
mod crashes;
mod engine;
mod machine;
mod neighbour;
mod parity;
