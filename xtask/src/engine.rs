//! Where the two databases run: in Docker, in processes of this machine, or somewhere else.

pub(crate) mod docker;
pub(crate) mod embedded;
pub(crate) mod own;

use std::fmt;

use crate::docker::compose::Compose;
use crate::environment::Environment;
use crate::targets::reach::Reach;
use crate::targets::{self, DYNAMODB_URL, DynamoDbTarget, POSTGRES_URL, PostgresTarget, Targets};
use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::state::State;

/// The variable that chooses the engine where no flag does.
pub(crate) const VARIABLE: &str = "CRUDDUR_ENGINE";

/// The app's database. Its name is part of the app, not of the service.
const DATABASE: &str = "cruddur";

/// What the user may choose.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum EngineChoice {
    /// What is running; else external where both its variables are set; else Docker; else embedded
    Auto,
    /// Containers, as docker-compose.yml defines them
    Docker,
    /// No Docker: this machine's PostgreSQL and a DynamoDB of our own, as processes
    Embedded,
    /// Nothing is started: CONNECTION_URL and AWS_ENDPOINT_URL_DYNAMODB say where
    External,
}

/// An engine's name.
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

impl EngineChoice {
    /// The engine that was chosen by name.
    pub(crate) fn named(self) -> Option<EngineName> {
        match self {
            Self::Auto => None,
            Self::Docker => Some(EngineName::Docker),
            Self::Embedded => Some(EngineName::Embedded),
            Self::External => Some(EngineName::External),
        }
    }

    /// The engine that a command means which starts nothing: the one that was started last.
    ///
    /// # Errors
    /// See [`is_external`].
    pub(crate) fn for_reading(self, environment: &Environment, state: &State) -> Result<EngineName> {
        if let Some(name) = self.named().or(state.engine) {
            return Ok(name);
        }
        Ok(if is_external(environment)? { EngineName::External } else { EngineName::Docker })
    }
}

/// Whether both variables of the external engine are set.
///
/// # Errors
/// See [`Environment::get`].
pub(crate) fn is_external(environment: &Environment) -> Result<bool> {
    Ok(environment.get(POSTGRES_URL).is_some() && environment.get(DYNAMODB_URL).is_some())
}

/// An engine with what it needs to know.
#[derive(Debug)]
pub(crate) enum Engine {
    /// Containers of this project.
    Docker(Box<Compose>),
    /// Processes, at the ports and with the user and password that docker-compose.yml names.
    Embedded(Box<Compose>),
    /// Databases that somebody else runs.
    External,
}

impl Engine {
    /// The engine `name`. `compose` is only read where it is needed; what `state` remembers of ports and
    /// project is put into it, but for what the user has set.
    ///
    /// # Errors
    /// docker-compose.yml cannot be used.
    pub(crate) fn new(
        name: EngineName,
        state: &State,
        compose: impl FnOnce() -> Result<Compose>,
    ) -> Result<Self> {
        if name == EngineName::External {
            return Ok(Self::External);
        }
        let mut compose = Box::new(compose()?);
        state.apply(name, &mut compose);
        Ok(if name == EngineName::Docker { Self::Docker(compose) } else { Self::Embedded(compose) })
    }

    /// Its name.
    pub(crate) fn name(&self) -> EngineName {
        match self {
            Self::Docker(_) => EngineName::Docker,
            Self::Embedded(_) => EngineName::Embedded,
            Self::External => EngineName::External,
        }
    }

    /// Where its databases are, running or not.
    ///
    /// # Errors
    /// For the external engine: a variable is missing or not a URL.
    pub(crate) fn targets(&self, context: &Context) -> Result<Targets> {
        match self {
            Self::External => Targets::external(&context.environment, &context.allowed_hosts),
            Self::Docker(compose) | Self::Embedded(compose) => local_targets(compose, &context.environment),
        }
    }
}

/// The addresses that docker-compose.yml publishes, with the user and password it gives the server.
fn local_targets(compose: &Compose, environment: &Environment) -> Result<Targets> {
    let remedy = || "start the databases with `cargo xtask up`".to_owned();
    let endpoint = format!("http://127.0.0.1:{}", compose.dynamodb.port.host);
    let (user, password) = compose.postgres_login();
    Ok(Targets {
        postgres: PostgresTarget::local(compose.postgres.port.host, user, password, DATABASE, remedy()),
        dynamodb: DynamoDbTarget::local(
            "docker-compose.yml",
            &endpoint,
            targets::table(environment)?,
            remedy(),
            Reach::Local(&[]),
        )?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_starts_nothing_means_what_was_started_last() {
        let both = Environment::from([(POSTGRES_URL, "postgres://h/d"), (DYNAMODB_URL, "http://h")]);
        let one = Environment::from([(DYNAMODB_URL, "http://h")]);
        let nothing = State::default();
        let embedded = State { engine: Some(EngineName::Embedded), ..State::default() };
        let cases = [
            (EngineChoice::Auto, &both, &nothing, EngineName::External),
            (EngineChoice::Auto, &one, &nothing, EngineName::Docker),
            (EngineChoice::Auto, &both, &embedded, EngineName::Embedded),
            (EngineChoice::Docker, &both, &embedded, EngineName::Docker),
            (EngineChoice::External, &one, &embedded, EngineName::External),
        ];
        for (choice, environment, state, expected) in cases {
            assert_eq!(choice.for_reading(environment, state).unwrap(), expected, "{choice:?}");
        }
    }
}
