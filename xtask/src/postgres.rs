//! Postgres: its address, connections, SQL scripts and client programs.

pub(crate) mod client;
mod passfile;
pub(crate) mod script;
pub(crate) mod target;
