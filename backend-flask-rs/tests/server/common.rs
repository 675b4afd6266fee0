//! Helpers shared with the tests of `cargo xtask`.

pub(crate) use cruddur_testing::fixtures::machine::{free_port, say, wait_for};
pub(crate) use cruddur_testing::fixtures::wire as dynamodb;
