//! Servers under a test's full control, for the workspace's own tests: a private Postgres and DynamoDB, proxies that
//! fail like networks and busy servers, and a certificate authority.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that panics has failed"
)]

pub mod certificates;
pub mod dynamodb;
pub mod machine;
pub mod postgres;
pub mod proxy;
pub mod throttle;
pub mod wire;

/// Rows of the tests' own, in place of `db/seed.sql`: a test that counts them must not fail if somebody edits that file.
pub const SEED: &str = include_str!("../seed/seed.sql");

/// A conversation of the tests' own, in place of `ddb/conversation.txt`.
pub const CONVERSATION: &str = include_str!("../seed/conversation.txt");
