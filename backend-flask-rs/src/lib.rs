//! Cruddur's data layer, used by the tasks and the server, and the server itself behind the feature `server`.
//!
//! Users and their activities are in Postgres ([`sql`], [`users`]), messages in one DynamoDB table ([`messages`]).
//! [`conversation`] parses the text that the table is seeded with, [`time`] defines the one form of times, and
//! [`population`] generates any number of users, groups and messages for load tests.
//!
//! These modules open no connection and send no request: callers pass a Postgres client, and send the DynamoDB
//! requests themselves. [`hosts`] tells hosts of this machine and its networks from others. [`tls`], with the feature
//! `postgres-tls`, encrypts connections to Postgres.

pub mod conversation;
mod excerpt;
pub mod hosts;
pub mod http;
pub mod messages;
pub mod population;
#[cfg(feature = "server")]
pub mod server;
pub mod sql;
pub mod time;
#[cfg(feature = "postgres-tls")]
pub mod tls;
pub mod users;
