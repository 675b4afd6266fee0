//! End-to-end tests of the server, with a real Postgres and a DynamoDB in process, both started by the tests.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod access;
mod answers;
mod browser;
mod client;
mod cognito;
mod common;
mod connections;
mod container;
mod groups;
mod health;
mod image;
mod live;
mod messages;
mod posts;
mod program;
mod repeats;
mod tls;
mod webdriver;
mod world;

use cruddur_testing::fixtures::{certificates, dynamodb, postgres, proxy};
