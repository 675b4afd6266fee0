//! The names of the engines, for choosing one and for the state folder.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The environment variable that chooses the engine. The flag takes precedence.
pub(crate) const VARIABLE: &str = "CRUDDUR_ENGINE";

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum EngineChoice {
    /// The running engine; else external if both its variables are set; else Docker; else embedded
    Auto,
    /// Containers, as docker-compose.yml defines them
    Docker,
    /// Processes: this machine's PostgreSQL and the workspace's DynamoDB server, without Docker
    Embedded,
    /// Running servers: CONNECTION_URL and AWS_ENDPOINT_URL_DYNAMODB name them
    External,
}

impl EngineChoice {
    /// The engine that was chosen; `None` for `auto`.
    pub(crate) fn named(self) -> Option<EngineName> {
        match self {
            Self::Auto => None,
            Self::Docker => Some(EngineName::Docker),
            Self::Embedded => Some(EngineName::Embedded),
            Self::External => Some(EngineName::External),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EngineName {
    Docker,
    Embedded,
    External,
}

impl fmt::Display for EngineName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Docker => "docker",
            Self::Embedded => "embedded",
            Self::External => "external",
        })
    }
}
