//! Servers that a test controls whole, for the workspace's own tests: a Postgres and a DynamoDB that only the test's
//! program uses, proxies that fail as networks and busy servers do, and a certificate authority.

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
