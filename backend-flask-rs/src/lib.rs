//! Cruddur's data layer, used by the tasks and the server, and the server itself behind the feature `server`.
//!
//! Users and their activities live in Postgres ([`sql`], [`users`]), messages in one DynamoDB table
//! ([`messages`]). [`conversation`] reads the text that the table is seeded with, [`time`] knows the one form in
//! which times are written, and [`population`] invents users, groups and messages in any number, for load.
//!
//! None of these opens a connection or sends a request by itself: callers pass in a Postgres client and send the
//! DynamoDB requests that they are given. [`tls`], behind `postgres-tls`, encrypts connections to Postgres.

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
