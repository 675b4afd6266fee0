//! Which engine a command means: the one that was chosen, that runs, or that fits.

use anyhow::Result;

use crate::context::Context;
use crate::docker::daemon::{self, Docker};
use crate::error::Failure;
use crate::state::State;
use crate::targets::{self, DYNAMODB_URL, DynamoDbTarget, POSTGRES_URL, PostgresTarget, Targets};

use super::docker::DockerEngine;
use super::external::{self, is_set as is_external};
use super::{Database, Engine, EngineName, Server};

const REMEDY: &str = "start them with `cargo xtask up`, or start them and set them up with `cargo xtask ddb-setup`, which \
                      deletes what is in them";

/// The engine to start, and why it: the one named; else what is running; else external, if it is set; else Docker, if
/// it has the images; else embedded.
pub(crate) async fn choose(context: &Context, state: &State) -> Result<(Engine, String)> {
    let new = |name| Engine::new(name, context, state);
    if let Some(name) = context.engine.named() {
        return Ok((new(name)?, "as chosen".to_owned()));
    }
    if state.engine != Some(EngineName::Docker) {
        let mut embedded = new(EngineName::Embedded)?;
        // One is enough: the other has died.
        if embedded.find(context).await?.iter().any(|server| server.missing.is_none()) {
            return Ok((new(EngineName::Embedded)?, "it is running".to_owned() + &unused_settings(context)));
        }
    } else {
        let mut docker = new(EngineName::Docker)?;
        let found = docker.find(context).await.map_err(|error| {
            let remedy =
                "start Docker again, or choose another engine, whose data are its own: `--engine embedded`";
            Failure::new("engine docker was used last, and cannot be asked now", remedy).caused_by(error)
        })?;
        if found.iter().all(|server| server.missing.is_none()) {
            // Not the one that was asked: it has the ports of what runs, whatever the user has set.
            return Ok((
                new(EngineName::Docker)?,
                "its containers are running".to_owned() + &unused_settings(context),
            ));
        }
    }
    if is_external(&context.environment) {
        return Ok((new(EngineName::External)?, format!("{POSTGRES_URL} and {DYNAMODB_URL} are set")));
    }
    let docker = DockerEngine::new({
        let mut compose = context.compose()?;
        state.apply(EngineName::Docker, &mut compose);
        compose
    });
    match docker.pull_missing(context).await {
        Ok(()) => Ok((Engine::Docker(Box::new(docker)), "a daemon answers and has the images".to_owned())),
        Err(error) => {
            // Settings that name no daemon at all are an error: what runs cannot be asked.
            daemon::places(&context.environment, &context.ui)?;
            // The places tried are lines of their own if nothing else is told.
            let why = format!("Docker cannot be used: {error:#}").replace(":\n", ": ").replace('\n', "; ");
            Ok((new(EngineName::Embedded)?, why))
        }
    }
}

/// Settings of the process environment that name other databases than those that are running.
fn unused_settings(context: &Context) -> String {
    let names = [POSTGRES_URL, DYNAMODB_URL];
    let set: Vec<&str> =
        names.into_iter().filter(|name| context.environment.process_only(name).is_some()).collect();
    if set.is_empty() {
        return String::new();
    }
    let are = if set.len() == 1 { "is" } else { "are" };
    format!(" ({} {are} set, and used by `--engine external` only)", set.join(" and "))
}

/// The databases of a command that starts nothing.
pub(crate) struct Found {
    pub(crate) engine: Engine,
    /// Postgres's, then DynamoDB's.
    pub(crate) servers: [Server; 2],
}

impl Found {
    /// Asks the engine that was chosen, or that was started last, or that has something running.
    pub(crate) async fn ask(context: &Context) -> Result<Self> {
        let state = context.state.read(&context.ui)?;
        if let Some(name) = context.engine.named().or(state.engine) {
            let mut engine = Engine::new(name, context, &state)?;
            let servers = engine.find(context).await?;
            return Ok(Self { engine, servers });
        }
        let mut embedded = Engine::new(EngineName::Embedded, context, &state)?;
        let servers = embedded.find(context).await?;
        if servers.iter().any(|server| server.missing.is_none()) {
            return Ok(Self { engine: embedded, servers });
        }
        if is_external(&context.environment) {
            return Ok(Self { engine: Engine::External, servers: external::find() });
        }
        let mut docker = Engine::new(EngineName::Docker, context, &state)?;
        match docker.find(context).await {
            Ok(servers) => Ok(Self { engine: docker, servers }),
            Err(_) => {
                // Nothing is known to have been started with Docker, and no daemon answers. Settings that name none at
                // all are an error.
                daemon::places(&context.environment, &context.ui)?;
                Ok(Self { engine: embedded, servers })
            }
        }
    }

    /// Both databases; an error if one does not run.
    pub(crate) fn targets(&self, context: &Context) -> Result<Targets> {
        self.check(Database::Postgres)?;
        self.check(Database::DynamoDb)?;
        self.engine.targets(context)
    }

    fn check(&self, database: Database) -> Result<()> {
        let (name, server) = match database {
            Database::Postgres => ("Postgres", &self.servers[0]),
            Database::DynamoDb => ("DynamoDB", &self.servers[1]),
        };
        match &server.missing {
            None => Ok(()),
            Some(why) => {
                let problem = format!("this checkout's {name} is not running");
                Err(Failure::new(problem, REMEDY).caused_by(why.as_str()).into())
            }
        }
    }
}

/// The databases that a command means.
impl Context {
    /// Both.
    pub(crate) async fn databases(&self, production: bool) -> Result<Targets> {
        let targets = match production {
            true => Targets::production(&self.environment)?,
            false => Found::ask(self).await?.targets(self)?,
        };
        self.warn_of_passfile(&targets.postgres);
        Ok(targets)
    }

    /// Both local ones, and the engine that has them.
    pub(crate) async fn engine_and_databases(&self) -> Result<(Engine, Targets)> {
        let found = Found::ask(self).await?;
        let targets = found.targets(self)?;
        self.warn_of_passfile(&targets.postgres);
        Ok((found.engine, targets))
    }

    /// The engine that has the local ones.
    pub(crate) async fn engine_that_runs(&self) -> Result<Engine> {
        Ok(Found::ask(self).await?.engine)
    }

    pub(crate) async fn postgres(&self, production: bool) -> Result<PostgresTarget> {
        let target = if production {
            targets::production_postgres(&self.environment)?
        } else {
            let found = Found::ask(self).await?;
            found.check(Database::Postgres)?;
            found.engine.postgres(self)?
        };
        self.warn_of_passfile(&target);
        Ok(target)
    }

    pub(crate) async fn dynamodb(&self, production: bool) -> Result<DynamoDbTarget> {
        if production {
            return Ok(targets::production_dynamodb(&self.environment));
        }
        let found = Found::ask(self).await?;
        found.check(Database::DynamoDb)?;
        found.engine.dynamodb(self)
    }

    fn warn_of_passfile(&self, postgres: &PostgresTarget) {
        if let Some(problem) = postgres.passfile_problem() {
            self.ui.warn(problem);
        }
    }
}

/// The engine that a command means which asks no server: the one chosen, or started last.
pub(crate) fn by_settings(context: &Context) -> Result<Engine> {
    let state = context.state.read(&context.ui)?;
    let name = match context.engine.named().or(state.engine) {
        Some(name) => name,
        None if is_external(&context.environment) => EngineName::External,
        None => EngineName::Docker,
    };
    Engine::new(name, context, &state)
}

/// Stops the databases of the engine that was chosen; else of the one that was started last, and of one that was
/// started before it and still runs.
pub(crate) async fn stop(context: &Context, with_data: bool) -> Result<()> {
    let mut state = context.state.read(&context.ui)?;
    let chosen = match context.engine.named().or(state.engine) {
        None if is_external(&context.environment) => Some(EngineName::External),
        chosen => chosen,
    };
    let mut names = Vec::new();
    if context.engine.named().is_none()
        && !matches!(chosen, Some(EngineName::Embedded | EngineName::External))
    {
        let mut embedded = Engine::new(EngineName::Embedded, context, &state)?;
        let runs = embedded.find(context).await?.iter().any(|server| server.missing.is_none());
        if chosen.is_none() || runs {
            names.push(EngineName::Embedded);
        }
    }
    names.push(chosen.unwrap_or(EngineName::Docker));
    for name in names {
        // Nothing is known to have been started with Docker, and it may not be there.
        if chosen.is_none()
            && name == EngineName::Docker
            && Docker::find(&context.environment, &context.ui).await.is_err()
        {
            continue;
        }
        Engine::new(name, context, &state)?.stop(context, with_data).await?;
        state.forget(name, with_data);
        context.state.write(&state)?;
    }
    Ok(())
}
