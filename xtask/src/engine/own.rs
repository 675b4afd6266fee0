//! Which databases are this checkout's, for a command that starts nothing: at the ports that docker-compose.yml
//! names may be another checkout's, or anybody's.

use crate::docker::compose::Compose;
use crate::docker::daemon::{Docker, State as ContainerState};
use crate::docker::port;
use crate::error::Failure;
use crate::sighting::Sighting;
use crate::targets::{DynamoDbTarget, PostgresTarget, Targets};
use anyhow::Result;

use super::Engine;
use super::docker;
use super::embedded::{self, Running};
use crate::context::Context;
use crate::state::{Seen, State, mark_of_postgres};

const REMEDY: &str =
    "set both databases up with `cargo xtask ddb-setup`; `cargo xtask up` starts them as they are";

/// By what a command takes a database for this checkout's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Evidence {
    /// It was started here, and its process is there still, or this machine does not show that: enough to read,
    /// where the user waits for each question to the daemon.
    Memory,
    /// The engine says that it runs: since it was started it may have ended, and another have taken its port.
    Sight,
}

/// The engine that a command means which starts nothing, with the ports of what runs.
pub(crate) struct Own {
    pub(crate) engine: Engine,
    /// Why a database of this checkout's is not there, where it is not; Postgres's first.
    pub(crate) missing: [Option<String>; 2],
    /// What was seen of both, to be remembered.
    seen: Option<[Option<Sighting>; 2]>,
}

impl Own {
    /// Looks for what runs, where nothing is remembered of it: `docker compose` may have started it.
    ///
    /// # Errors
    /// Settings, docker-compose.yml or the state folder cannot be used; or Docker, where it was chosen by name.
    pub(crate) async fn find(context: &Context, evidence: Evidence) -> Result<Self> {
        let mut state = context.state.read(&context.ui)?;
        let own = Self::look(context, evidence, &state).await?;
        let engine = own.engine.name();
        if let (Some(servers), true) = (&own.seen, state.engine == Some(engine)) {
            let seen = Some(Seen { engine, servers: servers.clone() });
            if context.state.seen() != seen {
                context.state.note_seen(seen.as_ref());
            }
        }
        if let Some(unproven) = &state.unproven_postgres
            && own.has_working_postgres(context, unproven).await
        {
            state.unproven_postgres = None;
            context.state.write(&state)?;
        }
        Ok(own)
    }

    /// Whether Docker's is that of this mark and answers: then its first start has come to its end, whoever waited
    /// for that.
    async fn has_working_postgres(&self, context: &Context, mark: &str) -> bool {
        match (&self.engine, self.postgres(context)) {
            (Engine::Docker(compose), Ok(postgres)) if mark_of_postgres(compose) == mark => {
                postgres.maintenance().connect().await.is_ok()
            }
            _ => false,
        }
    }

    async fn look(context: &Context, evidence: Evidence, state: &State) -> Result<Self> {
        let engine = context.engine_by(state)?;
        let is_remembered = state.engine == Some(engine.name());
        let run_still = |seen: Seen| seen.engine == engine.name() && seen.run_still();
        if is_remembered && evidence == Evidence::Memory && context.state.seen().is_some_and(run_still) {
            return Ok(Self::all_there(engine));
        }
        let is_guess = !is_remembered && context.engine.named().is_none();
        match engine {
            Engine::External => Ok(Self::all_there(engine)),
            Engine::Embedded(compose) => Ok(Self::embedded(&running(context), compose).await),
            Engine::Docker(compose) => {
                if is_guess && running(context).any() {
                    return Ok(Self::embedded(&running(context), Box::new(context.compose()?)).await);
                }
                match Docker::find(&context.environment).await {
                    Ok(docker) => Self::docker(&docker, compose).await,
                    // Without a daemon nobody can tell; what does not run does not answer either.
                    Err(_) if is_remembered => Ok(Self::all_there(Engine::Docker(compose))),
                    Err(_) if is_guess => Ok(Self::embedded(&running(context), compose).await),
                    Err(error) => Err(error),
                }
            }
        }
    }

    fn all_there(engine: Engine) -> Self {
        Self { engine, missing: [None, None], seen: None }
    }

    async fn embedded(running: &Running, mut compose: Box<Compose>) -> Self {
        let mut missing = [None, None];
        let services = [&mut compose.postgres, &mut compose.dynamodb];
        for ((service, port), missing) in services.into_iter().zip(running.ports()).zip(&mut missing) {
            match port {
                Some(port) => service.port.host = port,
                None => *missing = Some(instead(service.port.host, None).await),
            }
        }
        Self { engine: Engine::Embedded(compose), missing, seen: running.sightings() }
    }

    async fn docker(docker: &Docker, mut compose: Box<Compose>) -> Result<Self> {
        let containers = docker::find(docker, &compose).await?;
        let containers = containers.map(|found| found.filter(|found| found.check_owner(&compose).is_ok()));
        let seen = docker::sightings(&containers);
        let mut missing = [None, None];
        let services = [&mut compose.postgres, &mut compose.dynamodb];
        for ((service, container), missing) in services.into_iter().zip(containers).zip(&mut missing) {
            match container {
                Some(container) if container.state == ContainerState::Running => {
                    service.port.host = container.port.unwrap_or(service.port.host);
                }
                Some(container) => *missing = Some(format!("its container {} does not run", container.name)),
                None => *missing = Some(instead(service.port.host, Some(docker)).await),
            }
        }
        // Who is paused has a process, and is not there.
        let seen = seen.filter(|_| missing.iter().all(Option::is_none));
        Ok(Self { engine: Engine::Docker(compose), missing, seen })
    }

    /// Both databases.
    ///
    /// # Errors
    /// One is not there; or see [`Engine::targets`].
    pub(crate) fn targets(&self, context: &Context) -> Result<Targets> {
        self.check_postgres()?;
        self.check_dynamodb()?;
        self.engine.targets(context)
    }

    /// Postgres.
    ///
    /// # Errors
    /// It is not there; or see [`Engine::targets`].
    pub(crate) fn postgres(&self, context: &Context) -> Result<PostgresTarget> {
        self.check_postgres()?;
        Ok(self.engine.targets(context)?.postgres)
    }

    /// DynamoDB.
    ///
    /// # Errors
    /// It is not there; or see [`Engine::targets`].
    pub(crate) fn dynamodb(&self, context: &Context) -> Result<DynamoDbTarget> {
        self.check_dynamodb()?;
        Ok(self.engine.targets(context)?.dynamodb)
    }

    fn check_postgres(&self) -> Result<()> {
        check("Postgres", self.missing[0].as_deref())
    }

    fn check_dynamodb(&self) -> Result<()> {
        check("DynamoDB", self.missing[1].as_deref())
    }
}

fn check(what: &str, missing: Option<&str>) -> Result<()> {
    match missing {
        None => Ok(()),
        Some(why) => {
            Err(Failure::new(format!("this checkout's {what} is not running"), REMEDY).caused_by(why).into())
        }
    }
}

/// The embedded servers of this checkout that run.
fn running(context: &Context) -> Running {
    context.state.canonical().map_or(Running::NOTHING, |folder| Running::find(&folder))
}

/// Who is at the port that ours would be at.
async fn instead(port: u16, docker: Option<&Docker>) -> String {
    if port::is_free(port) {
        return format!("nobody listens at 127.0.0.1:{port}");
    }
    let publisher = match docker {
        Some(docker) => docker.publisher_of(port).await.ok().flatten(),
        None => None,
    };
    let other = match publisher {
        Some(name) => format!("container {name}"),
        None => match embedded::data_served_at(port) {
            Some(data) if !data.exists() => {
                let data = data.display();
                return format!("the server at 127.0.0.1:{port} has lost its data: {data} was removed");
            }
            Some(data) => format!("the server of {}", data.display()),
            None => "another process".to_owned(),
        },
    };
    format!("what answers at 127.0.0.1:{port} is another's: {other}")
}
