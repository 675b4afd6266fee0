//! Postgres: where it is, and how to connect to it.

mod passfile;
pub(crate) mod script;
pub(crate) mod target;
