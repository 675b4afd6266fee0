//! End-to-end tests of the embedded engine: this machine's PostgreSQL and the workspace's DynamoDB server, without
//! Docker. Each test has its own checkout and stops its databases.

pub(crate) mod crashes;
mod earlier;
mod engine;
pub(crate) mod machine;
mod neighbour;
mod parity;
