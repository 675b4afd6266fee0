//! End to end on a real Docker daemon, with real images. Each test has a compose project of its own and
//! removes it. The images are those that docker-compose.yml names, or POSTGRES_IMAGE and DYNAMODB_IMAGE:
//! `.ci/prepare` makes such images where there is no registry.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod clients;
#[path = "../common/mod.rs"]
mod common;
mod compose;
mod failures;
mod lifecycle;
mod neighbour;
mod project;
