//! The Docker daemon, through bollard. Only this module talks to it. Every error names the operation that failed.

mod cli;
mod container;
mod credentials;
mod description;
mod exec;
mod find;
mod image;
mod network;

use std::time::Duration;

use crate::error::Failure;
use crate::ui::seconds;
use anyhow::{Result, anyhow};
use bollard::errors::Error as ApiError;
use chrono::{DateTime, Utc};

pub(crate) use container::{Container, ContainerState, is_port_taken};
pub(crate) use credentials::credentials;
pub(crate) use description::{container_name, label, volume_name};
pub(crate) use find::places;

/// How long the daemon may take to answer. It may take ten seconds to stop a container.
const DAEMON_BOUND: Duration = Duration::from_secs(30);

/// A connection to a daemon that has answered.
pub(crate) struct Docker {
    api: bollard::Docker,
}

impl Docker {
    /// The server's version, such as `28.5.2`, and the time on its machine, which may be a virtual one.
    pub(crate) async fn version_and_time(&self) -> Result<(String, Option<DateTime<Utc>>)> {
        let info = answer(self.api.info()).await.map_err(failed("cannot ask the daemon about itself"))?;
        let time = info.system_time.and_then(|time| DateTime::parse_from_rfc3339(&time.to_string()).ok());
        Ok((info.server_version.unwrap_or_default(), time.map(|time| time.to_utc())))
    }
}

/// Bounds the time of a call to the daemon.
async fn answer<T>(asked: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    tokio::time::timeout(DAEMON_BOUND, asked).await.unwrap_or(Err(ApiError::RequestTimeoutError))
}

/// Makes the error of a failed operation, with a remedy if the daemon itself does not answer.
fn failed(what: impl Into<String>) -> impl FnOnce(ApiError) -> anyhow::Error {
    let remedy = "the Docker daemon answers no more: see what is wrong with `docker info`, and run the command \
                  again";
    move |error| match error {
        ApiError::DockerResponseServerError { .. } => anyhow!(error).context(what.into()),
        ApiError::RequestTimeoutError => {
            let waited = format!("no answer within {}", seconds(DAEMON_BOUND));
            Failure::new(what, remedy).caused_by(waited).into()
        }
        error => {
            // The errors in between only name parts of the HTTP client.
            let error = anyhow!(error);
            Failure::new(what, remedy).caused_by(error.root_cause().to_string()).into()
        }
    }
}

/// Turns a 404 answer into `None`.
fn found<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}
