//! The external engine: databases that others run, at CONNECTION_URL and AWS_ENDPOINT_URL_DYNAMODB.

use anyhow::Result;

use crate::context::Context;
use crate::environment::Environment;
use crate::error::Failure;
use crate::targets::{DYNAMODB_URL, POSTGRES_URL};

use super::Server;

/// Whether both variables of this engine are set.
pub(crate) fn is_set(environment: &Environment) -> bool {
    environment.get(POSTGRES_URL).is_some() && environment.get(DYNAMODB_URL).is_some()
}

pub(super) fn find() -> [Server; 2] {
    let elsewhere = || Server { runs_in: "elsewhere".to_owned(), missing: None };
    [elsewhere(), elsewhere()]
}

pub(super) fn stop(context: &Context) {
    context.ui.note("engine external: nothing was started here, so there is nothing to stop");
}

pub(super) fn logs() -> Result<()> {
    let remedy = "ask the operator of the servers";
    Err(Failure::new("engine external: its databases' logs are not kept here", remedy).into())
}
