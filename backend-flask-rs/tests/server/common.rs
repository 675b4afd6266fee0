//! The parts of the `cargo xtask` tests that work for any program.

#![allow(dead_code, unused_imports, reason = "the tests of `cargo xtask` use more of it")]

#[path = "../../../xtask/tests/common/dynamodb.rs"]
pub(crate) mod dynamodb;
#[path = "../../../xtask/tests/common/machine.rs"]
mod machine;

pub(crate) use machine::{PASSWORD, PASSWORD_IN_URL, free_port, say, wait_for};
