//! The embedded engine: no Docker. Postgres is this machine's own server with a cluster in the state
//! folder; DynamoDB is the workspace's `xtask-dynamodb`, with its data there too.

pub(crate) use postgres::binaries as postgres_binaries;

mod account;
mod binaries;
mod data;
mod dynamodb;
mod postgres;

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::docker::compose::{Compose, Service, port_variable};
use crate::docker::port;
use crate::environment::Environment;
use crate::error::Failure;
use crate::poll::{self, Look};
use crate::process::{self, Process, Processes};
use crate::ui::Ui;
use anyhow::{Context as _, Result};

use super::{Database, LogRange, LogSink, Server};
use crate::context::Context;
use crate::state::StateFolder;

/// Who holds a port that is taken: the system does not tell everybody.
const HOLDER: &str = "another process";

/// What helps when the data cannot be used.
const START_AFRESH: &str = "start afresh with `cargo xtask down --volumes` and `cargo xtask ddb-setup`";

/// How long a server may take from its start until it listens, for others that look for ports.
const LISTEN_BOUND: Duration = Duration::from_secs(5);

/// How long the system may take to show a process that was started.
const SHOWN_BOUND: Duration = Duration::from_millis(500);

/// How long this machine's other checkouts may take to find their ports.
const PORTS_BOUND: Duration = Duration::from_secs(60);
const PORTS_INTERVAL: Duration = Duration::from_millis(20);

/// How often a log file is looked at while it is followed.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

/// How much of a dead process's log is shown.
const LAST_LINES: usize = 15;

/// How many of its lines say why it ended: those before may be of an earlier start.
const FAREWELL_LINES: usize = 2;

/// The servers of a checkout.
pub(crate) struct EmbeddedEngine {
    pub(super) compose: Compose,
    folder: StateFolder,
    started: Option<Servers>,
}

impl EmbeddedEngine {
    pub(super) fn new(compose: Compose, context: &Context) -> Result<Self> {
        Ok(Self { compose, folder: context.state.canonical()?, started: None })
    }

    pub(super) async fn start(&mut self, context: &Context) -> Result<()> {
        let (ui, compose) = (&context.ui, self.compose.clone());
        let plan = Plan::make(&context.environment, &self.folder, compose, ui).await?;
        let (servers, compose) = plan.carry_out(ui).await?;
        self.compose = compose;
        self.started = Some(servers);
        Ok(())
    }

    pub(super) fn found_running(&self) -> [bool; 2] {
        self.started.as_ref().map_or([false; 2], Servers::found_running)
    }

    pub(super) fn death(&self, database: Database) -> Option<anyhow::Error> {
        let started = self.started.as_ref()?;
        match database {
            Database::Postgres => started.postgres_death(),
            Database::DynamoDb => started.dynamodb_death(),
        }
    }

    pub(super) async fn find(&mut self, _: &Context) -> Result<[Server; 2]> {
        let Running { postgres, dynamodb, orphans } = Running::find(&self.folder);
        if orphans.iter().any(Option::is_some) {
            let missing =
                || Some("the server that is running has lost its data, which was removed".to_owned());
            return Ok([(); 2].map(|()| Server { runs_in: "none".to_owned(), missing: missing() }));
        }
        let server = |service: &mut Service, process: Option<&Process>, port: Option<u16>| {
            service.port.host = port.unwrap_or(service.port.host);
            Server {
                runs_in: process.map_or("none".to_owned(), ToString::to_string),
                missing: process.is_none().then(|| super::who_is_at(service.port.host)),
            }
        };
        let ports =
            [postgres.as_ref().and_then(postgres::port_of), dynamodb.as_ref().and_then(dynamodb::port_of)];
        Ok([
            server(&mut self.compose.postgres, postgres.as_ref(), ports[0]),
            server(&mut self.compose.dynamodb, dynamodb.as_ref(), ports[1]),
        ])
    }

    pub(super) async fn stop(&self, context: &Context, with_data: bool) -> Result<()> {
        let ui = &context.ui;
        if !stop(&self.folder, ui).await? {
            ui.line("engine embedded: nothing was running");
        }
        if with_data {
            remove_data(&self.folder, ui).await?;
        }
        Ok(())
    }

    /// What a server that is running prints is followed until it ends; that of none is not followed.
    pub(super) async fn logs(&self, database: Database, range: LogRange, sink: LogSink<'_>) -> Result<()> {
        let [postgres, dynamodb] = logs(&self.folder);
        let log = if database == Database::Postgres { postgres } else { dynamodb };
        let Ok(mut file) = File::open(&log) else {
            let problem = format!("there is no log {}", log.display());
            return Err(Failure::new(problem, "start the databases with `cargo xtask up`").into());
        };
        if let Some(tail) = range.tail {
            file.seek(SeekFrom::End(0))?;
            let last = process::last_lines(&log, tail);
            if !last.is_empty() {
                sink(last.as_bytes())?;
                sink(b"\n")?;
            }
        }
        let running = Running::find(&self.folder);
        let running = if database == Database::Postgres { running.postgres } else { running.dynamodb };
        let mut chunk = vec![0; 64 << 10];
        loop {
            // What it printed before it ended is there by then.
            let goes_on = range.follow && running.as_ref().is_some_and(Process::still_runs);
            loop {
                match file.read(&mut chunk)? {
                    0 => break,
                    count => sink(&chunk[..count])?,
                }
            }
            if !goes_on {
                return Ok(());
            }
            tokio::time::sleep(FOLLOW_INTERVAL).await;
        }
    }
}

/// What is about to be done. Nothing has been changed yet.
struct Plan {
    compose: Compose,
    folder: StateFolder,
    /// None where it runs already.
    postgres: Option<postgres::Plan>,
    running: Running,
}

impl Plan {
    /// Looks for what is running, and for whatever could stop the rest from starting.
    ///
    /// # Errors
    /// No PostgreSQL on this machine; a port that the user has set is taken.
    pub(crate) async fn make(
        environment: &Environment,
        folder: &StateFolder,
        mut compose: Compose,
        ui: &Ui,
    ) -> Result<Self> {
        folder.make()?;
        let folder = folder.canonical()?;
        let mut running = Running::find(&folder);
        // They hold ports, and there is nothing to lose.
        end_orphans(std::mem::take(&mut running.orphans), ui).await?;
        let postgres = match running.postgres {
            Some(_) => None,
            None => Some(postgres::Plan::make(environment, &folder, &compose)?),
        };
        let [postgres_port, dynamodb_port] = running.ports();
        for (service, port) in
            [(&mut compose.postgres, postgres_port), (&mut compose.dynamodb, dynamodb_port)]
        {
            match port {
                Some(port) if service.port.fixed && port != service.port.host => {
                    let wanted = service.port.host;
                    let problem = format!(
                        "the server of service {} runs at 127.0.0.1:{port}, and {} is {wanted}",
                        service.name,
                        port_variable(service.name)
                    );
                    let remedy = "stop it with `cargo xtask down`, and run the command again";
                    return Err(Failure::new(problem, remedy).into());
                }
                Some(port) => service.port.host = port,
                None if service.port.fixed => port::check(service.port, service.name, HOLDER)?,
                None => {}
            }
        }
        Ok(Self { compose, folder, postgres, running })
    }

    /// Starts what is not running, both at once. Returns the compose file as well, with the ports taken.
    ///
    /// # Errors
    /// A cluster that cannot be created; a program that cannot be built or started.
    pub(crate) async fn carry_out(self, ui: &Ui) -> Result<(Servers, Compose)> {
        let Self { mut compose, folder, postgres, mut running } = self;
        let prepare_postgres = async {
            match &postgres {
                Some(plan) => plan.prepare(ui).await,
                None => Ok(()),
            }
        };
        let ((), server) = tokio::try_join!(prepare_postgres, dynamodb::Server::prepare(&folder, ui))?;
        if let Some(process) = running.dynamodb.take_if(|process| !server.is(process)) {
            let step = format!("DynamoDB: stop {process}, whose program has changed");
            ui.run_whole(step, process.end(dynamodb::STOP)).await?;
        }
        let starts_dynamodb = running.dynamodb.is_none();
        if postgres.is_none() && !starts_dynamodb {
            return Ok((Servers::new(folder, &compose, running), compose));
        }

        let _ports = PortLock::take().await?;
        if let Some(plan) = &postgres {
            compose.postgres.port.host = free_port(&compose.postgres, &[compose.dynamodb.port.host], ui)?;
            plan.start(compose.postgres.port.host, &postgres::log(&folder))?;
        }
        if starts_dynamodb {
            compose.dynamodb.port.host = free_port(&compose.dynamodb, &[compose.postgres.port.host], ui)?;
            server.start(&folder, compose.dynamodb.port.host)?;
        }
        let servers = Servers::new(folder, &compose, running);
        servers.listening().await;
        Ok((servers, compose))
    }
}

/// The service's port, or another that is free.
fn free_port(service: &Service, others: &[u16], ui: &Ui) -> Result<u16> {
    if port::is_free(service.port.host) {
        return Ok(service.port.host);
    }
    port::moved(service.port, service.name, HOLDER, others, ui)
}

/// Held by whoever on this machine looks for free ports, until servers listen on them: two checkouts
/// that start at the same moment must not find the same one free.
struct PortLock {
    _file: File,
}

impl PortLock {
    async fn take() -> Result<Self> {
        let path = std::env::temp_dir().join("cruddur-ports.lock");
        // Another user's file can be locked, but not created again.
        let file = File::open(&path).or_else(|_| create_for_all(&path)).map_err(|error| {
            let remedy = "name a folder in TMPDIR that can be written; where another user made the file for himself \
                          alone, have it removed";
            Failure::new(format!("cannot open {}", path.display()), remedy).caused_by(error)
        })?;
        let lock = async || match file.try_lock() {
            Ok(()) => Look::Ready(()),
            Err(TryLockError::WouldBlock) => Look::NotYet("another checkout starts its servers".to_owned()),
            Err(TryLockError::Error(error)) => Look::Failed(error.into()),
        };
        let locked = poll::until_ready(PORTS_BOUND, PORTS_INTERVAL, lock).await;
        locked.with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Self { _file: file })
    }
}

/// A file that every user of this machine can open, whatever this one's umask.
fn create_for_all(path: &Path) -> std::io::Result<File> {
    let file = File::options().create(true).append(true).open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    Ok(file)
}

/// The two processes, started.
pub(crate) struct Servers {
    folder: StateFolder,
    /// Where they are to listen, Postgres first.
    ports: [u16; 2],
    /// Which of them ran before: they are told by their ids, where they still run.
    known: Running,
}

impl Servers {
    fn new(folder: StateFolder, compose: &Compose, known: Running) -> Self {
        Self { folder, ports: compose.services().map(|service| service.port.host), known }
    }

    /// Which of them ran before they were started, Postgres's first.
    pub(crate) fn found_running(&self) -> [bool; 2] {
        [self.known.postgres.is_some(), self.known.dynamodb.is_some()]
    }

    /// What runs at this moment.
    fn running(&self) -> Running {
        let Running { postgres, dynamodb, .. } = &self.known;
        match (postgres, dynamodb) {
            (Some(postgres), Some(dynamodb)) if postgres.still_runs() && dynamodb.still_runs() => {
                self.known.clone()
            }
            _ => Running::find(&self.folder),
        }
    }

    /// Waits until both ports are taken, or a process has ended: readiness will tell why.
    async fn listening(&self) {
        let started = Instant::now();
        let look = async || {
            // The system shows a process's command line a moment after it was started.
            let is_shown = started.elapsed() > SHOWN_BOUND;
            let dead = is_shown && (self.postgres_death().is_some() || self.dynamodb_death().is_some());
            if dead || self.ports.iter().all(|port| !port::is_free(*port)) {
                return Look::Ready(());
            }
            Look::NotYet(String::new())
        };
        // A server that is slower than this is waited for by readiness.
        let waited = poll::until_ready(LISTEN_BOUND, Duration::from_millis(5), look).await;
        drop(waited);
    }

    /// Why Postgres is not running, if it is not.
    pub(crate) fn postgres_death(&self) -> Option<anyhow::Error> {
        let [port, _] = self.ports;
        let is_dead = self.running().postgres.is_none();
        is_dead.then(|| death(port, &postgres::log(&self.folder), postgres::LOST_PORT))
    }

    /// Why DynamoDB is not running, if it is not.
    pub(crate) fn dynamodb_death(&self) -> Option<anyhow::Error> {
        let [_, port] = self.ports;
        let is_dead = self.running().dynamodb.is_none();
        is_dead.then(|| death(port, &dynamodb::log(&self.folder), dynamodb::LOST_PORT))
    }
}

/// Why a server ended, by what it printed last. Whoever is no checkout of ours may take a port between
/// the look at it and the server's own; `lost_port` is what the server then says. The port itself is no
/// evidence: a server that ended for another reason has left it to anybody.
fn death(port: u16, log: &Path, lost_port: &str) -> anyhow::Error {
    let lines = process::last_lines(log, LAST_LINES);
    let has_lost_port = lines.lines().rev().take(FAREWELL_LINES).any(|line| line.contains(lost_port));
    let lines = format!("the last lines of {}:\n{lines}", log.display());
    let failure = match has_lost_port {
        true => Failure::new(
            format!("its process ended, as another had taken 127.0.0.1:{port}; {lines}"),
            "run the command again: it looks for a port that is free",
        ),
        false => Failure::new(
            format!("its process ended; {lines}"),
            format!("if its data is damaged, {START_AFRESH}"),
        ),
    };
    failure.into()
}

/// What runs at this moment, by what the system says.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) postgres: Option<Process>,
    pub(crate) dynamodb: Option<Process>,
    /// Servers of this checkout's whose data was removed under them, Postgres's first: they serve nothing that lasts.
    orphans: [Option<Process>; 2],
}

impl Running {
    /// Looks at the system's processes.
    pub(crate) fn find(folder: &StateFolder) -> Self {
        let processes = Processes::now();
        let (postgres, no_postgres) = with_data(postgres::find(folder, &processes), postgres::has_data);
        let (dynamodb, no_dynamodb) = with_data(dynamodb::find(folder, &processes), dynamodb::has_data);
        Self { postgres, dynamodb, orphans: [no_postgres, no_dynamodb] }
    }

    /// Whether one of them runs.
    pub(crate) fn any(&self) -> bool {
        self.postgres.is_some() || self.dynamodb.is_some() || self.orphans.iter().any(Option::is_some)
    }

    /// Where each of them listens, Postgres first.
    pub(crate) fn ports(&self) -> [Option<u16>; 2] {
        [
            self.postgres.as_ref().and_then(postgres::port_of),
            self.dynamodb.as_ref().and_then(dynamodb::port_of),
        ]
    }
}

/// The server, if its data is there; or the server whose data is not.
fn with_data(server: Option<Process>, has_data: fn(&Process) -> bool) -> (Option<Process>, Option<Process>) {
    match server {
        Some(server) if !has_data(&server) => (None, Some(server)),
        server => (server, None),
    }
}

/// Ends the servers whose data was removed under them.
async fn end_orphans(orphans: [Option<Process>; 2], ui: &Ui) -> Result<()> {
    let names = [("Postgres", postgres::STOP), ("DynamoDB", dynamodb::STOP)];
    for (orphan, (name, signal)) in orphans.into_iter().zip(names) {
        if let Some(process) = orphan {
            let step = format!("{name}: stop {process}, whose data was removed");
            ui.run_whole(step, process.end(signal)).await?;
        }
    }
    Ok(())
}

/// Where the two processes print, Postgres's first.
pub(crate) fn logs(folder: &StateFolder) -> [PathBuf; 2] {
    [postgres::log(folder), dynamodb::log(folder)]
}

/// Stops both processes. Returns whether any was running.
///
/// # Errors
/// One of them does not end.
pub(crate) async fn stop(folder: &StateFolder, ui: &Ui) -> Result<bool> {
    let Ok(folder) = folder.canonical() else { return Ok(false) };
    let running = Running::find(&folder);
    let any = running.any();
    end_orphans(running.orphans, ui).await?;
    if let Some(process) = running.dynamodb {
        ui.run_whole(format!("DynamoDB: stop {process}"), process.end(dynamodb::STOP)).await?;
    }
    if let Some(process) = running.postgres {
        ui.run_whole(format!("Postgres: stop {process}"), process.end(postgres::STOP)).await?;
    }
    Ok(any)
}

/// Removes both databases' data.
///
/// # Errors
/// It cannot be removed.
pub(crate) async fn remove_data(folder: &StateFolder, ui: &Ui) -> Result<()> {
    let Ok(folder) = folder.canonical() else { return Ok(()) };
    postgres::remove_data(&folder, ui).await?;
    data::remove(&dynamodb::data(&folder), ui).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Postgres 15 and our own server print where another listens on their port.
    const POSTGRES_LOST: &str = "\
        LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use\n\
        WARNING:  could not create listen socket for \"127.0.0.1\"\n\
        FATAL:  could not create any TCP/IP sockets\n\
        LOG:  database system is shut down\n";
    const DYNAMODB_LOST: &str = "error: cannot listen on 127.0.0.1:7: Address already in use (os error 98)\n";
    const DAMAGED: &str = "\
        FATAL:  \"postgres\" is not a valid data directory\n\
        DETAIL:  File \"postgres/PG_VERSION\" is missing.\n";

    fn failure(log: &str, lost_port: &str) -> Failure {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), log).unwrap();
        death(7, file.path(), lost_port).downcast().unwrap()
    }

    #[test]
    fn a_port_that_was_lost_is_no_reason_to_remove_data() {
        for (log, lost_port) in [(POSTGRES_LOST, postgres::LOST_PORT), (DYNAMODB_LOST, dynamodb::LOST_PORT)] {
            let lost = failure(log, lost_port);
            let problem = lost.to_string();
            assert!(
                problem.starts_with("its process ended, as another had taken 127.0.0.1:7; "),
                "{problem}"
            );
            assert_eq!(lost.remedy(), "run the command again: it looks for a port that is free");
        }
    }

    #[test]
    fn a_port_that_was_lost_before_does_not_hide_damaged_data() {
        let damaged = failure(&format!("{POSTGRES_LOST}{DAMAGED}"), postgres::LOST_PORT);
        assert!(damaged.to_string().starts_with("its process ended; "), "{damaged}");
        assert_eq!(damaged.remedy(), format!("if its data is damaged, {START_AFRESH}"));
    }
}
