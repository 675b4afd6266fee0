//! Where the two databases run. Each engine starts, finds and stops them and shows their logs; nothing else in this
//! program knows which one it is.

pub(crate) mod docker;
pub(crate) mod embedded;
mod external;
pub(crate) mod name;

use anyhow::Result;
use clap::ValueEnum;

use crate::context::Context;
use crate::docker::compose::Compose;
use crate::docker::daemon::{self, Docker};
use crate::docker::port;
use crate::environment::Environment;
use crate::error::Failure;
use crate::state::{Ports, State};
use crate::targets::reach::Reach;
use crate::targets::{self, DYNAMODB_URL, DynamoDbTarget, POSTGRES_URL, PostgresTarget, Targets};

use docker::DockerEngine;
use embedded::EmbeddedEngine;
pub(crate) use external::is_set as is_external;
pub(crate) use name::{EngineChoice, EngineName, VARIABLE};

/// The app's database. Its name is part of the app, not of the service.
const DATABASE: &str = "cruddur";

const REMEDY: &str = "start them with `cargo xtask up`, or start them and set them up with `cargo xtask ddb-setup`, which \
                      deletes what is in them";

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Database {
    #[value(alias = "db")]
    Postgres,
    #[value(name = "dynamodb", alias = "dynamodb-local")]
    DynamoDb,
}

/// What an engine has of one of the two.
pub(crate) struct Server {
    /// Its container or process, as `status` shows it.
    pub(crate) runs_in: String,
    /// Why it is not there, if it is not.
    pub(crate) missing: Option<String>,
}

/// How much of a log is wanted.
#[derive(Clone, Copy)]
pub(crate) struct LogRange {
    /// Only the last lines, this many.
    pub(crate) tail: Option<usize>,
    /// Go on until the database stops.
    pub(crate) follow: bool,
}

/// Takes a log in pieces that end anywhere.
pub(crate) type LogSink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

/// An engine, and what it knows of the two databases once it has looked for them or has started them.
pub(crate) enum Engine {
    Docker(Box<DockerEngine>),
    Embedded(Box<EmbeddedEngine>),
    External,
}

impl Engine {
    /// The engine `name`, with the ports and the project that `state` remembers.
    fn new(name: EngineName, context: &Context, state: &State) -> Result<Self> {
        let compose = || {
            let mut compose = context.compose()?;
            state.apply(name, &mut compose);
            anyhow::Ok(compose)
        };
        Ok(match name {
            EngineName::Docker => Self::Docker(Box::new(DockerEngine::new(compose()?))),
            EngineName::Embedded => Self::Embedded(Box::new(EmbeddedEngine::new(compose()?, context)?)),
            EngineName::External => Self::External,
        })
    }

    pub(crate) fn name(&self) -> EngineName {
        match self {
            Self::Docker(_) => EngineName::Docker,
            Self::Embedded(_) => EngineName::Embedded,
            Self::External => EngineName::External,
        }
    }

    /// Where its databases are, running or not.
    pub(crate) fn targets(&self, context: &Context) -> Result<Targets> {
        match self {
            Self::Docker(docker) => {
                local_targets(&docker.compose, docker.compose.postgres_login(), &context.environment)
            }
            Self::Embedded(embedded) => {
                let (user, password) = embedded.login()?;
                let mut targets = local_targets(&embedded.compose, (user, &password), &context.environment)?;
                targets.dynamodb.is_scanned_in_segments = false;
                Ok(targets)
            }
            Self::External => Targets::external(&context.environment, &context.allowed_hosts),
        }
    }

    fn postgres(&self, context: &Context) -> Result<PostgresTarget> {
        match self {
            Self::External => targets::external_postgres(&context.environment, &context.allowed_hosts),
            Self::Docker(_) | Self::Embedded(_) => Ok(self.targets(context)?.postgres),
        }
    }

    fn dynamodb(&self, context: &Context) -> Result<DynamoDbTarget> {
        match self {
            Self::External => targets::external_dynamodb(&context.environment, &context.allowed_hosts),
            Self::Docker(_) | Self::Embedded(_) => Ok(self.targets(context)?.dynamodb),
        }
    }

    /// Starts what is not running, both at once. Whatever could stop one of them from starting is looked for in both
    /// before either is touched.
    pub(crate) async fn start(&mut self, context: &Context) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.start(context).await,
            Self::Embedded(embedded) => embedded.start(context).await,
            Self::External => Ok(()),
        }
    }

    /// Whether it starts servers, and not somebody else.
    pub(crate) fn starts_servers(&self) -> bool {
        !matches!(self, Self::External)
    }

    /// Whether a database ran before [`Engine::start`].
    pub(crate) fn found_running(&self, database: Database) -> bool {
        let found = match self {
            Self::Docker(docker) => docker.found_running(),
            Self::Embedded(embedded) => embedded.found_running(),
            Self::External => [false; 2],
        };
        found[database as usize]
    }

    /// Why a database that was started is not running any more, if it is not.
    pub(crate) async fn death(&self, database: Database) -> Option<anyhow::Error> {
        match self {
            Self::Docker(docker) => docker.death(database).await,
            Self::Embedded(embedded) => embedded.death(database),
            Self::External => None,
        }
    }

    /// Asks for both of this checkout's databases, Postgres first.
    async fn find(&mut self, context: &Context) -> Result<[Server; 2]> {
        match self {
            Self::Docker(docker) => docker.find(context).await,
            Self::Embedded(embedded) => embedded.find(),
            Self::External => Ok(external::find()),
        }
    }

    /// Stops both databases, and removes their data if so asked.
    async fn stop(&self, context: &Context, with_data: bool) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.stop(context, with_data).await,
            Self::Embedded(embedded) => embedded.stop(context, with_data).await,
            Self::External => {
                external::stop(context);
                Ok(())
            }
        }
    }

    /// Reads a database's log.
    pub(crate) async fn logs(
        &self,
        context: &Context,
        database: Database,
        range: LogRange,
        sink: LogSink<'_>,
    ) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.logs(context, database, range, sink).await,
            Self::Embedded(embedded) => embedded.logs(database, range, sink).await,
            Self::External => external::logs(),
        }
    }

    /// docker-compose.yml with the ports where its databases are, if it starts them.
    pub(crate) fn compose(&self) -> Option<&Compose> {
        match self {
            Self::Docker(docker) => Some(&docker.compose),
            Self::Embedded(embedded) => Some(&embedded.compose),
            Self::External => None,
        }
    }

    /// Puts down what later commands need to find it, once it runs.
    pub(crate) fn remember(&self, context: &Context, state: &mut State) -> Result<()> {
        let Some(compose) = self.compose() else { return Ok(()) };
        let described = context.compose()?;
        let moved = |port: u16, described: u16| (port != described).then_some(port);
        let ports = Ports {
            postgres: moved(compose.postgres.port.host, described.postgres.port.host),
            dynamodb: moved(compose.dynamodb.port.host, described.dynamodb.port.host),
        };
        if let Self::Docker(_) = self {
            state.project = (!compose.project_is_fixed).then(|| compose.project.clone());
        }
        state.engine = Some(self.name());
        state.ports.insert(self.name(), ports);
        context.state.write(state)
    }
}

/// Databases at the ports of `compose`.
fn local_targets(
    compose: &Compose,
    (user, password): (&str, &str),
    environment: &Environment,
) -> Result<Targets> {
    let remedy = || {
        "start the databases with `cargo xtask up`; if one runs and does not answer, see `cargo xtask logs`, and stop \
         them first with `cargo xtask down`"
            .to_owned()
    };
    let endpoint = format!("http://127.0.0.1:{}", compose.dynamodb.port.host);
    Ok(Targets {
        postgres: PostgresTarget::local(compose.postgres.port.host, user, password, DATABASE, remedy())?,
        dynamodb: DynamoDbTarget::local(
            "docker-compose.yml",
            &endpoint,
            targets::table(environment),
            remedy(),
            Reach::Local(&[]),
        )?,
    })
}

/// Who is at the port that a database of ours would be at.
fn who_is_at(port: u16) -> String {
    if port::is_free(port) {
        format!("nobody listens at 127.0.0.1:{port}")
    } else {
        another_s(port, "another process")
    }
}

fn another_s(port: u16, who: &str) -> String {
    format!("what answers at 127.0.0.1:{port} is another's: {who}")
}

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
        if is_external(&context.environment) {
            return Ok(Self { engine: Engine::External, servers: external::find() });
        }
        let mut embedded = Engine::new(EngineName::Embedded, context, &state)?;
        let servers = embedded.find(context).await?;
        if servers.iter().all(|server| server.missing.is_some()) {
            let mut engine = Engine::new(EngineName::Docker, context, &state)?;
            match engine.find(context).await {
                Ok(servers) => return Ok(Self { engine, servers }),
                // Nothing is known to have been started with Docker, and no daemon answers. Settings that name none at
                // all are an error.
                Err(_) => drop(daemon::places(&context.environment, &context.ui)?),
            }
        }
        Ok(Self { engine: embedded, servers })
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
