//! DynamoDB: the client, what is asked of it, and items as text.

pub(crate) mod aws;
pub(crate) mod files;
pub(crate) mod items;
pub(crate) mod json;
pub(crate) mod pace;
pub(crate) mod read;
pub(crate) mod table;
pub(crate) mod target;
mod throttling;
pub(crate) mod wire;
pub(crate) mod write;
