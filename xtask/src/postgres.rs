//! Postgres: where it is, and how to connect to it.

pub(crate) mod client;
mod passfile;
pub(crate) mod script;
pub(crate) mod target;
