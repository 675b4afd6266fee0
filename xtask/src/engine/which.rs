//! Decides which engine a command uses: the chosen one, the running one, or the first that is usable.

use anyhow::Result;

use crate::context::Context;
use crate::docker::daemon::{self, Docker};
use crate::error::Failure;
use crate::state::State;
use crate::targets::{self, DYNAMODB_URL, DynamoDbTarget, POSTGRES_URL, PostgresTarget, Targets};

use super::docker::DockerEngine;
use super::{Database, Engine, EngineName, Server, is_external};

const REMEDY: &str = "`cargo xtask prepare` starts both databases, at other ports if theirs are taken, and sets \
                      them up if that is needed";

/// The engine to start, and why.
pub(crate) async fn choose(context: &Context, state: &State) -> Result<(Engine, String)> {
    let (name, why) = choice(context, state).await?;
    context.warn_of_unused_settings(name);
    Ok((Engine::new(name, context, state)?, why))
}

/// In this order: the chosen engine, the one that runs, external if its variables are set, embedded if it was used last,
/// Docker if it has the images or can pull them, embedded.
async fn choice(context: &Context, state: &State) -> Result<(EngineName, String)> {
    let find = async |name| Engine::new(name, context, state)?.find(context).await;
    if let Some(name) = context.engine {
        return Ok((name, "as chosen".to_owned()));
    }
    if state.engine != Some(EngineName::Docker) {
        // One running server is enough: the other may have died.
        if find(EngineName::Embedded).await?.iter().any(Server::runs) {
            return Ok((EngineName::Embedded, "it is running".to_owned()));
        }
    } else if find(EngineName::Docker).await.map_err(docker_is_missed)?.iter().all(Server::runs) {
        return Ok((EngineName::Docker, "its containers are running".to_owned()));
    }
    if is_external(&context.environment) {
        return Ok((EngineName::External, format!("{POSTGRES_URL} and {DYNAMODB_URL} are set")));
    }
    if state.last == Some(EngineName::Embedded) {
        return Ok((EngineName::Embedded, "it was used last and has this checkout's data".to_owned()));
    }
    let docker = DockerEngine::new(state.apply(EngineName::Docker, context.compose()?));
    match docker.pull_missing(context).await {
        Ok(()) => Ok((EngineName::Docker, "a daemon answers and has the images".to_owned())),
        // Do not fall back to another engine: the data would seem to be lost.
        Err(error) if state.last == Some(EngineName::Docker) => Err(docker_is_missed(error)),
        Err(error) => {
            // If the settings name no valid place for a daemon, fail: containers may be running that cannot be found.
            daemon::places(&context.environment, &context.ui)?;
            // The list of places becomes part of one line.
            let why = format!("Docker cannot be used: {error:#}").replace(":\n", ": ").replace('\n', "; ");
            Ok((EngineName::Embedded, why))
        }
    }
}

fn docker_is_missed(error: anyhow::Error) -> anyhow::Error {
    let remedy = "fix that, or choose another engine, which has its own data: `--engine embedded`";
    Failure::unreachable("engine docker was used last, and cannot be used now", remedy)
        .caused_by(error)
        .into()
}

/// The databases of a command that starts nothing.
pub(crate) struct Found {
    pub(crate) engine: Engine,
    /// Postgres's server, then DynamoDB's.
    pub(crate) servers: [Server; 2],
}

impl Found {
    /// Asks the chosen engine, else the one that was started last, else each for running servers.
    pub(crate) async fn ask(context: &Context) -> Result<Self> {
        let state = context.state.read(&context.ui)?;
        let find = async |name| {
            let mut engine = Engine::new(name, context, &state)?;
            let servers = engine.find(context).await?;
            anyhow::Ok(Self { engine, servers })
        };
        if let Some(name) = context.engine.or(state.engine) {
            return find(name).await;
        }
        let embedded = find(EngineName::Embedded).await?;
        if embedded.servers.iter().any(Server::runs) {
            return Ok(embedded);
        }
        if is_external(&context.environment) {
            return find(EngineName::External).await;
        }
        if state.last == Some(EngineName::Embedded) {
            return Ok(embedded);
        }
        match find(EngineName::Docker).await {
            Ok(docker) => Ok(docker),
            Err(error) if state.last == Some(EngineName::Docker) => Err(docker_is_missed(error)),
            Err(_) => {
                // Docker was not used last, and no daemon answers. Settings without a valid place
                // for a daemon are an error.
                daemon::places(&context.environment, &context.ui)?;
                Ok(embedded)
            }
        }
    }

    /// Both databases. Fails if one does not run.
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
                Err(Failure::unreachable(problem, REMEDY).caused_by(why.as_str()).into())
            }
        }
    }
}

impl Context {
    /// Both databases.
    pub(crate) async fn databases(&self, production: bool) -> Result<Targets> {
        if !production {
            return self.found().await?.targets(self);
        }
        let postgres = targets::production_postgres(self)?;
        Ok(Targets { postgres, dynamodb: targets::production_dynamodb(&self.environment) })
    }

    pub(crate) async fn postgres(&self, production: bool) -> Result<PostgresTarget> {
        if production {
            return targets::production_postgres(self);
        }
        let found = self.found().await?;
        found.check(Database::Postgres)?;
        found.engine.postgres(self)
    }

    pub(crate) async fn dynamodb(&self, production: bool) -> Result<DynamoDbTarget> {
        if production {
            return Ok(targets::production_dynamodb(&self.environment));
        }
        let found = self.found().await?;
        found.check(Database::DynamoDb)?;
        found.engine.dynamodb(self)
    }

    /// The local databases. Warns of exported settings that name others.
    pub(crate) async fn found(&self) -> Result<Found> {
        let found = Found::ask(self).await?;
        self.warn_of_unused_settings(found.engine.name());
        Ok(found)
    }

    /// Warns of exported settings that name other databases than those of `engine`, which was not chosen by the user.
    fn warn_of_unused_settings(&self, engine: EngineName) {
        if self.engine.is_some() || engine == EngineName::External {
            return;
        }
        let names = [POSTGRES_URL, DYNAMODB_URL];
        let set: Vec<_> =
            names.into_iter().filter(|name| self.environment.process_only(name).is_some()).collect();
        if !set.is_empty() {
            let are = if set.len() == 1 { "is" } else { "are" };
            self.ui.warn(format_args!(
                "{} {are} set, but this checkout's own databases are used (engine {engine}); `--engine external` uses \
                 the settings",
                set.join(" and ")
            ));
        }
    }
}

/// The engine, by settings and state alone: the chosen one, or the one that was started last. Asks no server.
pub(crate) fn by_settings(context: &Context) -> Result<Engine> {
    let state = context.state.read(&context.ui)?;
    let name = match context.engine.or(state.engine) {
        Some(name) => name,
        None if is_external(&context.environment) => EngineName::External,
        None => state.last.unwrap_or(EngineName::Docker),
    };
    Engine::new(name, context, &state)
}

/// The databases of this checkout that another engine than `found` runs too. Docker is asked only if this checkout has
/// used it; a daemon that cannot be asked runs nothing.
pub(crate) async fn running_beside(
    context: &Context,
    found: EngineName,
) -> Result<Vec<(EngineName, String)>> {
    let state = context.state.read(&context.ui)?;
    let mut running = Vec::new();
    for name in [EngineName::Docker, EngineName::Embedded] {
        if name == found || (name == EngineName::Docker && !state.ports.contains_key(&name)) {
            continue;
        }
        let Ok(servers) = Engine::new(name, context, &state)?.find(context).await else { continue };
        let runs = ["Postgres", "DynamoDB"].into_iter().zip(servers).filter(|(_, server)| server.runs());
        let runs: Vec<_> = runs.map(|(database, _)| database).collect();
        if !runs.is_empty() {
            running.push((name, runs.join(" and ")));
        }
    }
    Ok(running)
}

/// Stops the databases of these engines and, `with_data`, removes their data.
pub(crate) async fn stop(context: &Context, names: &[EngineName], with_data: bool) -> Result<()> {
    let mut state = context.state.read(&context.ui)?;
    for &name in names {
        stop_one(context, &mut state, name, with_data).await?;
    }
    Ok(())
}

/// Finishes a stop whose command was killed: its servers may have been told to end, and still answer. `keep` saves what
/// was written since.
pub(crate) async fn finish_stop(
    context: &Context,
    state: &mut State,
    keep: impl AsyncFn(EngineName) -> Result<()>,
) -> Result<()> {
    let Some(name) = state.stopping else { return Ok(()) };
    if context.engine.is_some_and(|chosen| chosen != name) {
        return Ok(());
    }
    context.ui.note(format_args!("engine {name}: a `down` was interrupted, and is finished first"));
    if let Err(error) = keep(name).await {
        // The stop is given up: what cannot be saved must not be lost, and without a daemon nothing runs.
        state.stopping = None;
        context.state.write(state)?;
        return Err(error);
    }
    stop_one(context, state, name, false).await
}

async fn stop_one(context: &Context, state: &mut State, name: EngineName, with_data: bool) -> Result<()> {
    let engine = Engine::new(name, context, state)?;
    state.stopping = Some(name);
    // On a full disk data can still be removed. Then nothing says that the stop was interrupted, if it is.
    _ = context.state.write(state);
    let stopped = engine.stop(context, with_data).await;
    state.stopping = None;
    if stopped.is_ok() {
        state.forget(name, with_data);
    }
    context.state.write(state)?;
    stopped
}

/// What [`stop`] would do, one line for each server and for each place with data.
pub(crate) async fn rehearse_stop(
    context: &Context,
    names: &[EngineName],
    with_data: bool,
) -> Result<Vec<String>> {
    let state = context.state.read(&context.ui)?;
    let mut deeds = Vec::new();
    for &name in names {
        deeds.extend(Engine::new(name, context, &state)?.rehearse_stop(context, with_data).await?);
    }
    Ok(deeds)
}

/// The engines to stop: the chosen one. If none was chosen, the one that was started last, any other that still runs,
/// and `with_data` any other that has data.
pub(crate) async fn to_stop(context: &Context, with_data: bool) -> Result<Vec<EngineName>> {
    let state = context.state.read(&context.ui)?;
    if let Some(chosen) = context.engine {
        return Ok(vec![chosen]);
    }
    let mut names = Vec::new();
    if let Some(last) = state.engine {
        names.extend(running_beside(context, last).await?.into_iter().map(|(name, _)| name));
        names.push(last);
    } else if is_external(&context.environment) {
        names.push(EngineName::External);
    } else {
        names.push(EngineName::Embedded);
        // No command has started anything with Docker, and it may not be installed.
        if Docker::find(&context.environment, &context.ui).await.is_ok() {
            names.push(EngineName::Docker);
        }
    }
    let used = state.ports.keys().filter(|_| with_data);
    names.extend(used.filter(|name| !names.contains(name)).copied().collect::<Vec<_>>());
    Ok(names)
}
