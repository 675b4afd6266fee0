//! The two databases: which of them a command means, and how to speak with each.

pub mod attribute;
pub mod facts;
pub mod pace;
pub mod read;
pub mod table;
pub mod target;
mod throttling;
pub mod wire;
pub mod write;
