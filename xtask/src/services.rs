//! Starting the two databases on the engine that fits, and waiting until they really answer.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::docker::compose::Compose;
use crate::docker::daemon::Docker;
use crate::dynamodb::wire::Wire;
use crate::error::{Failure, Report};
use crate::poll::{self, Look};
use crate::postgres::target::{Connection, EarlyConnection};
use crate::targets::Targets;
use crate::ui::seconds;
use anyhow::{Result, anyhow};

use crate::context::Context;
use crate::engine::docker::{self, Containers, Found, Plan};
use crate::engine::embedded::{self, Servers};
use crate::engine::{Engine, EngineName, is_external};
use crate::state::{self, Lock, Ports, State};

/// How long a database may take from its start to its first answer.
const READY_BOUND: Duration = Duration::from_secs(60);

/// How often it is asked. A look costs about a millisecond.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How long one look may take.
const LOOK_BOUND: Duration = Duration::from_secs(10);

/// How long one that somebody else runs may have nobody listen where it should be.
const NOBODY_BOUND: Duration = Duration::from_secs(3);

/// How often one that does not answer is looked at whether it lives.
const LIFE_INTERVAL: Duration = Duration::from_millis(300);

/// How much of each database's log a failure shows in CI.
const CI_LOG_LINES: usize = 30;

/// The two databases, started but perhaps not ready. No other command of this checkout changes them
/// while this lives.
pub(crate) struct Services {
    pub(crate) targets: Targets,
    running: Running,
    /// Postgres's first connection.
    early: RefCell<Option<EarlyConnection>>,
    /// What is remembered; written whenever it changes.
    state: RefCell<State>,
    /// Which Postgres it is, on Docker.
    begun: Option<String>,
    /// Postgres's data comes from a first start that was interrupted.
    postgres_is_suspect: bool,
    /// One that was found running ended before it answered: it was being stopped.
    was_being_stopped: Cell<bool>,
    _lock: Lock,
}

/// What runs them.
enum Running {
    Docker(Box<Containers>),
    Embedded(Servers),
    /// Somebody else.
    External,
}

impl Running {
    /// Which of them ran before they were started, Postgres's first.
    fn found_running(&self) -> [bool; 2] {
        match self {
            Self::Docker(containers) => containers.found_running(),
            Self::Embedded(servers) => servers.found_running(),
            Self::External => [false; 2],
        }
    }
}

impl Services {
    /// Starts what is not running, and does `work` with both; in CI a failure shows what the databases logged last.
    /// Where one of them is being stopped at this moment, by a run that was interrupted, say, both are started again
    /// behind that. `doing` is the command, for others that have to wait.
    ///
    /// # Errors
    /// See [`Services::start`]; or the work's.
    pub(crate) async fn with<T>(
        context: &Context,
        doing: &str,
        work: impl AsyncFn(&Self) -> Result<T>,
    ) -> Result<(Self, T)> {
        // Each of the two may still be there when the other one has ended.
        let mut again = 2;
        loop {
            let services = {
                let _group = context.ui.group("Start the databases");
                Self::start(context, doing).await?
            };
            let done = work(&services).await;
            if done.is_err() && again > 0 && services.was_being_stopped.get() {
                context.ui.line("it was being stopped, and is started again");
                again -= 1;
                continue;
            }
            let done = services.explain_failure(context, done).await?;
            return Ok((services, done));
        }
    }

    /// Starts what is not running, both at once. Whatever could stop one of them from starting is looked
    /// for in both before either is touched. `doing` is the command, for others that have to wait.
    ///
    /// # Errors
    /// No engine is usable; a taken port or name; an image that cannot be had; or the daemon refused.
    async fn start(context: &Context, doing: &str) -> Result<Self> {
        let ui = &context.ui;
        let lock = context.state.lock(ui, doing).await?;
        let mut state = context.state.read(ui)?;
        let (mut begun, mut postgres_is_suspect) = (None, false);
        // Mostly both run already: then the first connection is made while that is found out.
        let usual = context.engine_by(&state)?.targets(context).ok();
        let early = RefCell::new(usual.map(|targets| EarlyConnection::begin(&targets.postgres)));
        let choice = choose(context, &state).await?;
        ui.line(format_args!("engine {}: {}", choice.name, choice.why));

        let engine = Engine::new(choice.name, &state, || context.compose())?;
        let (engine, running) = match engine {
            Engine::External => (Engine::External, Running::External),
            Engine::Docker(compose) => {
                let docker = match choice.docker {
                    Some(docker) => docker,
                    None => Docker::find(&context.environment).await?,
                };
                let plan = Plan::make(docker, *compose, choice.containers, ui).await?;
                let compose = Box::new(plan.compose.clone());
                state.project = (!compose.project_is_fixed).then(|| compose.project.clone());
                begun = Some(state::mark_of_postgres(&compose));
                postgres_is_suspect = state.unproven_postgres == begun;
                if plan.begins_postgres {
                    state.unproven_postgres.clone_from(&begun);
                }
                let engine = Engine::Docker(compose);
                remember(context, &mut state, &engine)?;
                (engine, Running::Docker(Box::new(plan.carry_out(ui).await?)))
            }
            Engine::Embedded(compose) => {
                let plan = embedded::Plan::make(&context.environment, &context.state, *compose, ui).await?;
                let (servers, compose) = plan.carry_out(ui).await?;
                let engine = Engine::Embedded(Box::new(compose));
                remember(context, &mut state, &engine)?;
                (engine, Running::Embedded(servers))
            }
        };
        if running.found_running() != [true; 2] {
            context.state.note_seen(None);
        }
        let targets = engine.targets(context)?;
        let state = RefCell::new(state);
        Ok(Self {
            targets,
            running,
            early,
            state,
            begun,
            postgres_is_suspect,
            was_being_stopped: Cell::new(false),
            _lock: lock,
        })
    }

    /// Waits until Postgres answers a query; returns the connection, to the maintenance database.
    ///
    /// # Errors
    /// It died, refuses its user, or did not answer in time.
    pub(crate) async fn postgres_ready(&self, context: &Context) -> Result<Connection> {
        let ui = &context.ui;
        let waited = self.wait_for_postgres(context).await;
        let connection = match (waited, &self.running) {
            (Err(error), Running::Docker(containers)) if self.postgres_is_suspect => {
                ui.warn(format_args!("its first start was interrupted, it begins again\n{}", Report(&error)));
                let again = containers.begin_postgres_again();
                ui.run_whole("Docker: begin Postgres again, with an empty volume", again).await?;
                self.wait_for_postgres(context).await?
            }
            (waited, _) => waited?,
        };
        if self.begun.is_some() && self.state.borrow().unproven_postgres == self.begun {
            self.state.borrow_mut().unproven_postgres = None;
            context.state.write(&self.state.borrow())?;
        }
        Ok(connection)
    }

    /// Hands a result on. In CI, where nobody can look later, a failure shows what the databases logged last.
    ///
    /// # Errors
    /// The one it was given.
    async fn explain_failure<T>(&self, context: &Context, result: Result<T>) -> Result<T> {
        if result.is_err() && context.environment.is_ci() {
            let _group = context.ui.group("The databases' last logs");
            let logs = match &self.running {
                Running::Docker(containers) => containers.last_logs(CI_LOG_LINES).await,
                Running::Embedded(servers) => servers.last_logs(CI_LOG_LINES),
                Running::External => "they are kept by whoever runs the databases".to_owned(),
            };
            context.ui.line(logs.trim_end());
        }
        result
    }

    async fn wait_for_postgres(&self, context: &Context) -> Result<Connection> {
        let target = &self.targets.postgres;
        let death = async || {
            let death = match &self.running {
                Running::Docker(containers) => containers.postgres_death().await,
                Running::Embedded(servers) => servers.postgres_death(),
                Running::External => None,
            };
            self.noted(death, 0)
        };
        let look = async || {
            let looked = match self.early.take() {
                // It may be to whoever was there before ours was started.
                Some(early) => match early.look(target).await {
                    Look::Failed(error) => Look::NotYet(format!("{error:#}")),
                    looked => looked,
                },
                None => target.look().await,
            };
            match (looked, &self.running) {
                (Look::Ready(connection), Running::Embedded(servers)) => {
                    connection.serves(servers.postgres_data()).await
                }
                (looked, _) => looked,
            }
        };
        let wait = self.wait(look, death, target.remedy());
        context.ui.run(format!("Postgres: wait for {target}"), wait).await
    }

    /// Waits until DynamoDB answers a signed request; returns what asked.
    ///
    /// # Errors
    /// It died, refuses the request, or did not answer in time.
    pub(crate) async fn dynamodb_ready(&self, context: &Context) -> Result<Wire> {
        let target = &self.targets.dynamodb;
        let wire = target.wire(&context.ui).await?;
        let death = async || {
            let death = match &self.running {
                Running::Docker(containers) => containers.dynamodb_death().await,
                Running::Embedded(servers) => servers.dynamodb_death(),
                Running::External => None,
            };
            self.noted(death, 1)
        };
        let look = async || match (wire.look().await, &self.running) {
            // Ours has ended and another checkout's has taken its port meanwhile: that one is not ours.
            (Look::Ready(()), Running::Embedded(servers)) => {
                servers.dynamodb_death().map_or(Look::Ready(()), Look::Failed)
            }
            (looked, _) => looked,
        };
        let wait = self.wait(look, death, target.remedy());
        context.ui.run(format!("DynamoDB: wait for {target}"), wait).await?;
        Ok(wire)
    }

    /// Notes the death of one that ran before it was started. Postgres is the first.
    fn noted(&self, death: Option<anyhow::Error>, place: usize) -> Option<anyhow::Error> {
        if death.is_some() && self.running.found_running()[place] {
            self.was_being_stopped.set(true);
        }
        death
    }

    /// Looks until the database answers, and now and then whether it lives.
    async fn wait<T>(
        &self,
        look: impl AsyncFn() -> Look<T>,
        death: impl AsyncFn() -> Option<anyhow::Error>,
        remedy: &str,
    ) -> Result<T> {
        let nobody_bound = matches!(self.running, Running::External).then_some(NOBODY_BOUND);
        let waited = wait(look, death, nobody_bound).await;
        // Where something of ours died, the error says what helps.
        waited.map_err(|error| match &self.running {
            Running::External if !error.is::<Failure>() => {
                Failure::new("it does not answer", remedy).caused_by(error).into()
            }
            _ => error,
        })
    }
}

/// Writes down what later commands need. What an interrupted run has started is found all the same: a
/// container by its labels, a process by its command line.
fn remember(context: &Context, state: &mut State, engine: &Engine) -> Result<()> {
    let (Engine::Docker(compose) | Engine::Embedded(compose)) = engine else { return Ok(()) };
    let described = context.compose()?;
    let moved = |port: u16, described: u16| (port != described).then_some(port);
    let ports = Ports {
        postgres: moved(compose.postgres.port.host, described.postgres.port.host),
        dynamodb: moved(compose.dynamodb.port.host, described.dynamodb.port.host),
    };
    state.engine = Some(engine.name());
    state.ports.insert(engine.name(), ports);
    context.state.write(state)
}

/// See [`Services::wait`]; `nobody_bound` is how long nobody may listen there.
async fn wait<T>(
    look: impl AsyncFn() -> Look<T>,
    death: impl AsyncFn() -> Option<anyhow::Error>,
    nobody_bound: Option<Duration>,
) -> Result<T> {
    let started = Instant::now();
    let life_seen = Cell::new(started);
    poll::until_ready(READY_BOUND, LOOK_INTERVAL, async || {
        // A server that accepts a connection and then says nothing would be waited for without an end.
        let looked = tokio::time::timeout(LOOK_BOUND, look()).await;
        let looked =
            looked.unwrap_or_else(|_| Look::NotYet(format!("no answer within {}", seconds(LOOK_BOUND))));
        // Where ours has ended, whoever has taken its port may have refused.
        if let Look::Failed(error) = looked {
            return Look::Failed(death().await.unwrap_or(error));
        }
        if let (Look::Nobody(reason), Some(bound)) = (&looked, nobody_bound)
            && started.elapsed() > bound
        {
            return Look::Failed(anyhow!("nobody listens there, for {}: {reason}", seconds(bound)));
        }
        if matches!(looked, Look::NotYet(_) | Look::Nobody(_)) && life_seen.get().elapsed() > LIFE_INTERVAL {
            life_seen.set(Instant::now());
            return death().await.map_or(looked, Look::Failed);
        }
        looked
    })
    .await
}

/// An engine, and why it.
struct Choice {
    name: EngineName,
    why: String,
    /// A connection that was made to find out.
    docker: Option<Docker>,
    /// The containers that were found then.
    containers: Option<Found>,
}

impl Choice {
    fn new(name: EngineName, why: impl Into<String>) -> Self {
        Self { name, why: why.into(), docker: None, containers: None }
    }
}

/// The engine to start: the one named; else what is running; else external, where it is set; else
/// Docker, where it has the images; else embedded.
async fn choose(context: &Context, state: &State) -> Result<Choice> {
    if let Some(name) = context.engine.named() {
        return Ok(Choice::new(name, "as chosen"));
    }
    if let Some(running) = running(context, state).await? {
        return Ok(running);
    }
    if is_external(&context.environment)? {
        return Ok(Choice::new(EngineName::External, "CONNECTION_URL and AWS_ENDPOINT_URL_DYNAMODB are set"));
    }
    match usable_docker(context, state).await {
        Ok(docker) => {
            let choice = Choice::new(EngineName::Docker, "a daemon answers and has the images");
            Ok(Choice { docker: Some(docker), ..choice })
        }
        Err(error) => {
            // The places tried are lines of their own where they are all that is told.
            let why = format!("Docker cannot be used: {error:#}").replace(":\n", ": ").replace('\n', "; ");
            Ok(Choice::new(EngineName::Embedded, why))
        }
    }
}

/// The engine that was started last, if it still runs; where nothing is remembered, the embedded one is looked for too.
/// Of the embedded one a server is enough: the other has died.
async fn running(context: &Context, state: &State) -> Result<Option<Choice>> {
    match state.engine {
        Some(EngineName::Embedded) | None if embedded::runs_any(&context.state) => {
            Ok(Some(Choice::new(EngineName::Embedded, "it is running")))
        }
        Some(EngineName::Docker) => {
            let Ok(docker) = Docker::find(&context.environment).await else { return Ok(None) };
            let described = described(context, state)?;
            let found = docker::find(&docker, &described).await?;
            if !docker::are_running(&found) {
                return Ok(None);
            }
            let choice = Choice::new(EngineName::Docker, "its containers are running");
            Ok(Some(Choice { docker: Some(docker), containers: Some(found), ..choice }))
        }
        _ => Ok(None),
    }
}

/// A daemon that has the images, or can pull them.
async fn usable_docker(context: &Context, state: &State) -> Result<Docker> {
    let docker = Docker::find(&context.environment).await?;
    docker::pull_missing(&docker, &described(context, state)?, &context.ui).await?;
    Ok(docker)
}

/// docker-compose.yml as the Docker engine takes it.
fn described(context: &Context, state: &State) -> Result<Compose> {
    let mut compose = context.compose()?;
    state.apply(EngineName::Docker, &mut compose);
    Ok(compose)
}
