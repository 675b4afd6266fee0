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
