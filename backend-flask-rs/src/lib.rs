//! Cruddur's data layer: what the data *is*, wherever it is used from.
//!
//! Users and their activities live in Postgres ([`sql`], [`users`]), messages in one DynamoDB table
//! ([`messages`]). [`conversation`] reads the text that the table is seeded with, and [`time`] knows
//! the one form in which points in time are written. [`population`] invents users, groups and messages in
//! any number, for load.
//!
//! Nothing in these opens a connection or sends a request by itself: callers pass a Postgres client in
//! and send the DynamoDB requests that they are given, so that a task and a server can each do it their
//! own way. The server is here too, behind the feature of its name: Cruddur's HTTP API, and a page. [`tls`],
//! behind `postgres-tls`, is how either one's connection to Postgres is encrypted.

pub mod conversation;
mod excerpt;
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
