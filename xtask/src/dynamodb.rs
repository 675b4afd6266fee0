//! DynamoDB: the client, requests, and items as JSON, on the screen and in files.

pub(crate) mod client;
pub(crate) mod error;
pub(crate) mod files;
pub(crate) mod json;
mod limit;
pub(crate) mod number;
pub(crate) mod print;
pub(crate) mod read;
mod request;
pub(crate) mod size;
pub(crate) mod table;
pub(crate) mod target;
pub(crate) mod write;
