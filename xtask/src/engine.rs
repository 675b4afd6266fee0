//! The engines, which run the two databases. Each engine starts, finds and stops them and reads their logs. Nothing
//! outside this module depends on which engine it is.

pub(crate) mod docker;
pub(crate) mod embedded;
pub(crate) mod name;
mod which;

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;

use crate::context::Context;
use crate::docker::compose::{self, Compose};
use crate::docker::port;
use crate::environment::Environment;
use crate::error::Failure;
use crate::postgres::client::PostgresClient;
use crate::state::{Ports, State};
use crate::targets::reach::Reach;
use crate::targets::{self, DYNAMODB_URL, DynamoDbTarget, POSTGRES_URL, PostgresTarget, Targets};

use docker::DockerEngine;
use embedded::EmbeddedEngine;
pub(crate) use name::{EngineChoice, EngineName, VARIABLE};
pub(crate) use which::{
    Found, by_settings, choose, finish_stop, rehearse_stop, running_beside, stop, to_stop,
};

/// The app's database. The app chooses its name, not the compose file.
const DATABASE: &str = "cruddur";

/// What to do if one of this checkout's databases cannot be reached.
const REMEDY: &str = "start the databases with `cargo xtask up`; if one runs and does not answer, see `cargo xtask logs`, \
                      and stop them first with `cargo xtask down`";

/// Messages of Postgres, its image and SQLite (which both DynamoDB servers use) about unusable data. The paths are
/// relative to the data directory.
const DAMAGE: [&str; 16] = [
    "could not find the database system",
    "exists but is not empty",
    "is not a valid data directory",
    "is not a database cluster directory",
    "could not access the server configuration file",
    "could not load pg_hba.conf",
    "database files are incompatible with server",
    "checkpoint record",
    "pg_control",
    "could not open file \"global/",
    "could not open file \"base/",
    "could not open file \"pg_",
    "could not open directory \"pg_",
    "database disk image is malformed",
    "file is not a database",
    "not a valid SQLite database",
];

/// How many lines of the log of a server that ended are shown.
const LAST_LINES: usize = 15;

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Database {
    #[value(alias = "db")]
    Postgres,
    #[value(name = "dynamodb", alias = "dynamodb-local")]
    DynamoDb,
}

/// What an engine knows about one database's server.
pub(crate) struct Server {
    /// The container or process, as `status` shows it.
    pub(crate) runs_in: String,
    /// Why the server does not run; `None` if it runs.
    pub(crate) missing: Option<String>,
}

/// The place of a server without a container or a process.
const NOWHERE: &str = "none";

impl Server {
    fn runs(&self) -> bool {
        self.missing.is_none()
    }

    /// Whether the server has a container or a process, which may be paused or still starting.
    pub(crate) fn is_there(&self) -> bool {
        self.runs_in != NOWHERE
    }
}

#[derive(Clone, Copy)]
pub(crate) struct LogRange {
    /// Only this many lines from the end.
    pub(crate) tail: Option<usize>,
    /// Continue until the database stops.
    pub(crate) follow: bool,
}

/// Receives a log in chunks that end anywhere.
pub(crate) type LogSink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

/// An engine, with what it learned when it found or started the databases.
pub(crate) enum Engine {
    Docker(Box<DockerEngine>),
    Embedded(Box<EmbeddedEngine>),
    External,
}

impl Engine {
    /// The engine `name`, with the ports and the compose project from `state`.
    fn new(name: EngineName, context: &Context, state: &State) -> Result<Self> {
        let compose = || anyhow::Ok(state.apply(name, context.compose()?));
        Ok(match name {
            EngineName::Docker => Self::Docker(Box::new(DockerEngine::new(compose()?))),
            EngineName::Embedded => Self::Embedded(Box::new(EmbeddedEngine::new(compose()?, context))),
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

    /// The addresses of its databases, running or not.
    pub(crate) fn targets(&self, context: &Context) -> Result<Targets> {
        Ok(Targets { postgres: self.postgres(context)?, dynamodb: self.dynamodb(context)? })
    }

    fn postgres(&self, context: &Context) -> Result<PostgresTarget> {
        let (compose, (user, password), wrong_password) = match self {
            Self::Docker(docker) => {
                (&docker.compose, docker.compose.postgres_login(), docker::WRONG_PASSWORD)
            }
            Self::Embedded(embedded) => (&embedded.compose, embedded.login()?, embedded::WRONG_PASSWORD),
            Self::External => return targets::external_postgres(context),
        };
        PostgresTarget::local(compose.postgres.port.host, &user, &password, DATABASE, REMEDY, wrong_password)
    }

    pub(crate) fn dynamodb(&self, context: &Context) -> Result<DynamoDbTarget> {
        let Some(compose) = self.compose() else { return targets::external_dynamodb(context) };
        let endpoint = format!("http://127.0.0.1:{}", compose.dynamodb.port.host);
        let (table, remedy) = (targets::table(&context.environment), REMEDY.to_owned());
        let mut target = DynamoDbTarget::local(compose::FILE, &endpoint, table, remedy, Reach::Local(&[]))?;
        target.is_scanned_in_segments = matches!(self, Self::Docker(_));
        Ok(target)
    }

    /// Starts the databases that do not run, both at once. The engine checks both for obstacles before it starts
    /// either.
    pub(crate) async fn start(&mut self, context: &Context) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.start(context).await,
            Self::Embedded(embedded) => embedded.start(context).await,
            Self::External => Ok(()),
        }
    }

    pub(crate) fn starts_servers(&self) -> bool {
        !matches!(self, Self::External)
    }

    /// Whether a database ran before [`Engine::start`].
    pub(crate) fn found_running(&self, database: Database) -> bool {
        let found = match self {
            Self::Docker(docker) => docker.found_running,
            Self::Embedded(embedded) => embedded.found_running,
            Self::External => [false; 2],
        };
        found[database as usize]
    }

    /// Why a started database no longer runs; `None` if it runs.
    pub(crate) async fn death(&self, database: Database) -> Option<anyhow::Error> {
        match self {
            Self::Docker(docker) => docker.death(database).await,
            Self::Embedded(embedded) => embedded.death(database),
            Self::External => None,
        }
    }

    /// Finds this checkout's two databases, Postgres first.
    async fn find(&mut self, context: &Context) -> Result<[Server; 2]> {
        match self {
            Self::Docker(docker) => docker.find(context).await,
            Self::Embedded(embedded) => embedded.find(),
            Self::External => {
                let elsewhere = || Server { runs_in: "elsewhere".to_owned(), missing: None };
                Ok([elsewhere(), elsewhere()])
            }
        }
    }

    /// Stops both databases and, with `with_data`, removes their data.
    async fn stop(&self, context: &Context, with_data: bool) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.stop(context, with_data).await,
            Self::Embedded(embedded) => embedded.stop(context, with_data).await,
            Self::External => {
                context.ui.note("engine external: nothing was started here, so there is nothing to stop");
                Ok(())
            }
        }
    }

    /// What [`Engine::stop`] would do.
    async fn rehearse_stop(&self, context: &Context, with_data: bool) -> Result<Vec<String>> {
        match self {
            Self::Docker(docker) => docker.rehearse_stop(context, with_data).await,
            Self::Embedded(embedded) => embedded.rehearse_stop(with_data),
            Self::External => Ok(Vec::new()),
        }
    }

    /// Reads a database's log into `sink`.
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
            Self::External => {
                let problem = "engine external: its databases' logs are not kept here";
                Err(Failure::new(problem, "ask the operator of the servers").into())
            }
        }
    }

    /// Runs one of Postgres's client programs, of the server's own version, on the database at `target`.
    pub(crate) async fn run_client(
        &self,
        context: &Context,
        target: &PostgresTarget,
        client: PostgresClient,
    ) -> Result<()> {
        match self {
            Self::Docker(docker) => docker.run_client(context, target, client).await,
            Self::Embedded(_) => {
                let program = embedded::postgres_binaries(context)?.neighbour(client.program);
                client.run(&program, target, &context.ui).await
            }
            Self::External => {
                let program = Path::new(client.program);
                client.run(program, target, &context.ui).await
            }
        }
    }

    /// docker-compose.yml with the actual ports, if this engine starts the databases.
    pub(crate) fn compose(&self) -> Option<&Compose> {
        match self {
            Self::Docker(docker) => Some(&docker.compose),
            Self::Embedded(embedded) => Some(&embedded.compose),
            Self::External => None,
        }
    }

    /// Whether the start would replace a DynamoDB that keeps its tables in memory.
    pub(crate) async fn start_loses_tables(&self, context: &Context) -> Result<bool> {
        match self {
            Self::Docker(docker) => docker.start_loses_tables(context).await,
            Self::Embedded(_) | Self::External => Ok(false),
        }
    }

    /// Whether the DynamoDB that was found keeps its tables in memory, and loses them when it stops.
    pub(crate) fn keeps_tables_in_memory(&self) -> bool {
        match self {
            Self::Docker(docker) => docker.keeps_tables_in_memory,
            Self::Embedded(_) | Self::External => false,
        }
    }

    /// After a failed change to this engine: stores in `state` that it was used, if one of its databases runs. Later
    /// commands look for them then.
    pub(crate) async fn remember_leftovers(&mut self, context: &Context, state: &mut State) -> Result<()> {
        let is_change = state.engine.is_some_and(|last| last != self.name());
        if !is_change || !self.starts_servers() {
            return Ok(());
        }
        let found = self.find(context).await;
        if found.is_ok_and(|found| found.iter().any(Server::runs)) {
            state.ports.entry(self.name()).or_default();
            context.state.write(state)?;
        }
        Ok(())
    }

    /// Stores in `state` what later commands need to find the databases.
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
        state.last = state.engine;
        state.ports.insert(self.name(), ports);
        context.state.write(state)
    }
}

/// Whether both variables of the external engine are set: databases that others run.
pub(crate) fn is_external(environment: &Environment) -> bool {
    environment.get(POSTGRES_URL).is_some() && environment.get(DYNAMODB_URL).is_some()
}

/// Whether a server ended because it cannot use its data, by the last lines of its log.
fn has_damaged_data(log: &str) -> bool {
    // The error of a query does not stop a server.
    let mut lines = log.lines().filter(|line| !line.contains("ERROR:  "));
    lines.any(|line| DAMAGE.iter().any(|sign| line.contains(sign)))
}

/// Says whether another program listens at the port of a database that does not run.
fn who_is_at(port: u16) -> String {
    if port::is_free(port) {
        format!("nobody listens at 127.0.0.1:{port}")
    } else {
        taken_by(port, "another process")
    }
}

fn taken_by(port: u16, who: &str) -> String {
    format!("127.0.0.1:{port} is used by {who}")
}
