//! The embedded engine, which needs no Docker. Postgres is the server installed on this machine; DynamoDB is the
//! workspace's `xtask-dynamodb`. Both keep their data in the state folder. Each server holds a lock while it runs,
//! and commands find it by that lock.

pub(crate) use postgres::binaries as postgres_binaries;

mod account;
mod binaries;
mod data;
mod dynamodb;
mod log;
mod postgres;

use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use anyhow::Result;

use super::{DATABASE, Database, LogRange, LogSink, Server};
use crate::context::Context;
use crate::docker::compose::{Compose, Service, port_variable};
use crate::docker::port;
use crate::error::Failure;
use crate::poll::{self, Look};
use crate::private;
use crate::process::{self, Holder, ServerLock};
use crate::state::StateFolder;
use log::{Log, death, is_port_lost};
use postgres::Postgres;

/// The holder of a taken port, in messages. The system does not tell every user which process it is.
const HOLDER: &str = "another process";

/// The remedy if Postgres refuses the password in the state folder.
pub(super) const WRONG_PASSWORD: &str = "`cargo xtask down`, then remove .cruddur/postgres.password if it is there: `cargo xtask up` makes a new password, \
     and keeps the data";

/// How many ports are tried if another program takes each one between the check and the server's start.
const PORTS_TRIED: usize = 5;

/// How often a Postgres that is still starting is asked to stop. Each attempt takes a second.
const STOP_ATTEMPTS: usize = 5;

/// How long a process may take to end before it is killed.
const END_BOUND: Duration = Duration::from_secs(15);

/// The pause between checks whether a server listens.
const LISTEN_INTERVAL: Duration = Duration::from_millis(5);

/// How long to wait for the sessions of a killed Postgres to end.
const SESSIONS_BOUND: Duration = Duration::from_secs(60);

/// The pause between reads of a log file that is followed.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

pub(crate) struct EmbeddedEngine {
    pub(super) compose: Compose,
    folder: StateFolder,
    /// Postgres's lock, then DynamoDB's.
    locks: [ServerLock; 2],
    logs: [Log; 2],
    pub(super) found_running: [bool; 2],
}

impl EmbeddedEngine {
    pub(super) fn new(compose: Compose, context: &Context) -> Self {
        let folder = context.state.clone();
        let locks = [postgres::lock(&folder), dynamodb::lock(&folder)];
        let logs = ["postgres.log", "dynamodb.log"].map(|name| Log { path: folder.join(name), from: 0 });
        Self { compose, folder, locks, logs, found_running: [false; 2] }
    }

    /// Whether one of this checkout's servers runs at this port.
    pub(crate) fn is_at(context: &Context, port: u16) -> bool {
        let folder = &context.state;
        let holders = [postgres::holder(folder), dynamodb::lock(folder).holder()];
        holders.into_iter().flatten().flatten().any(|holder| holder.port == Some(port))
    }

    pub(super) fn login(&self) -> Result<(String, String)> {
        Ok((postgres::ROLE.to_owned(), postgres::password(&self.folder)?))
    }

    fn has_data(&self) -> [bool; 2] {
        [postgres::existing_data(&self.folder).is_some(), dynamodb::data(&self.folder).exists()]
    }

    fn services(&mut self) -> [&mut Service; 2] {
        [&mut self.compose.postgres, &mut self.compose.dynamodb]
    }

    pub(super) async fn start(&mut self, context: &Context) -> Result<()> {
        self.folder.make()?;
        let running = self.running(context).await?;
        self.found_running = [running[0].is_some(), running[1].is_some()];
        for (service, holder) in self.services().into_iter().zip(&running) {
            match holder.as_ref().and_then(|holder| holder.port) {
                Some(port) if service.port.fixed && port != service.port.host => {
                    return Err(other_port(service, port));
                }
                Some(port) => service.port.host = port,
                None if service.port.fixed => {
                    port::settled(service.port, service.name, HOLDER, &[], &context.ui)?;
                }
                None => {}
            }
        }
        let postgres = match running[0] {
            Some(_) => None,
            None => Some(Postgres::ready_to_start(context).await?),
        };
        for (log, _) in self.logs.iter_mut().zip(&running).filter(|(_, holder)| holder.is_none()) {
            private::open_log(&log.path)?;
            *log = Log::from_now_on(log.path.clone());
        }
        let [postgres_log, dynamodb_log] = &self.logs;
        let compose = &self.compose;
        let start_postgres = async {
            let Some(postgres) = postgres else { return Ok(compose.postgres.port.host) };
            postgres.end_unlocked().await?;
            let held = self.locks[0].take().await?;
            postgres.prepare(&held).await?;
            let settings = compose.postgres_settings();
            let start = async |port| postgres.start(&settings, port, &held, postgres_log).await;
            start_at_free_port(context, "Postgres", &compose.postgres, compose.dynamodb.port.host, start)
                .await
        };
        let start_dynamodb = async {
            if running[1].is_some() {
                return Ok(compose.dynamodb.port.host);
            }
            let program = dynamodb::build(context).await?;
            let start =
                async |port| dynamodb::start(context, &self.folder, &program, port, dynamodb_log).await;
            start_at_free_port(context, "DynamoDB", &compose.dynamodb, compose.postgres.port.host, start)
                .await
        };
        let (postgres_port, dynamodb_port) = tokio::try_join!(start_postgres, start_dynamodb)?;
        (self.compose.postgres.port.host, self.compose.dynamodb.port.host) = (postgres_port, dynamodb_port);
        Ok(())
    }

    /// Servers that run and can continue. Ends the processes of other servers.
    async fn running(&self, context: &Context) -> Result<[Option<Holder>; 2]> {
        let ui = &context.ui;
        let [mut postgres, mut dynamodb] = self.holders()?;
        let [has_postgres, has_dynamodb] = self.has_data();
        if let Some(left) = postgres.take_if(|_| !has_postgres) {
            let end = self.killed(Database::Postgres, &left);
            ui.run_whole(format!("Postgres: stop {left}, whose data was removed"), end).await?;
        }
        if postgres.take_if(|holder| holder.has_ended() || holder.port.is_none()).is_some() {
            let label = "Postgres: wait for the sessions of a server that was killed";
            ui.run(label, self.sessions_ended()).await?;
        }
        if let Some(left) = dynamodb.take_if(|_| !has_dynamodb) {
            let end = self.stopped_dynamodb(&left);
            ui.run_whole(format!("DynamoDB: stop {left}, whose data was removed"), end).await?;
        }
        // An interrupted command started it or told it to end.
        if dynamodb.as_ref().is_some_and(|holder| holder.port.is_none()) {
            dynamodb = ui
                .run("DynamoDB: wait for a server that is starting or ending", self.dynamodb_started())
                .await?;
        }
        let version = dynamodb::version_on_disk();
        if let Some(old) =
            dynamodb.take_if(|holder| version.as_ref().is_some_and(|new| *new != holder.program))
        {
            let end = self.stopped_dynamodb(&old);
            ui.run_whole(format!("DynamoDB: stop {old}, whose program has changed"), end).await?;
        }
        Ok([postgres, dynamodb])
    }

    fn holders(&self) -> Result<[Option<Holder>; 2]> {
        Ok([postgres::holder(&self.folder)?, self.locks[1].holder()?])
    }

    /// Waits until the server that holds DynamoDB's lock listens. Returns `None` if it ends first.
    async fn dynamodb_started(&self) -> Result<Option<Holder>> {
        let look = async || match self.locks[1].holder() {
            Ok(Some(holder)) if holder.port.is_none() => Look::NotYet(format!("{holder} does not listen")),
            Ok(holder) => Look::Ready(holder),
            Err(error) => Look::Failed(error),
        };
        poll::until_ready(dynamodb::LISTEN_BOUND, LISTEN_INTERVAL, look).await
    }

    async fn sessions_ended(&self) -> Result<()> {
        self.locks[0].wait_until_free(SESSIONS_BOUND).await.map_err(|error| {
            let problem =
                "a session of this checkout's Postgres is still at work, though its server was killed";
            let remedy = "wait until it ends, or end it: `ps -ef | grep postgres` shows its process";
            Failure::new(problem, remedy).caused_by(error).into()
        })
    }

    async fn killed(&self, database: Database, holder: &Holder) -> Result<()> {
        holder.kill()?;
        self.locks[database as usize].wait_until_free(END_BOUND).await
    }

    async fn stopped_dynamodb(&self, holder: &Holder) -> Result<()> {
        holder.terminate()?;
        if self.locks[1].wait_until_free(END_BOUND).await.is_err() {
            self.killed(Database::DynamoDb, holder).await?;
        }
        Ok(())
    }

    /// Why a server no longer runs; `None` if it runs.
    pub(super) fn death(&self, database: Database) -> Option<anyhow::Error> {
        let port = self.compose.services()[database as usize].port.host;
        let serves = |holder: &Holder| holder.port == Some(port) && !holder.has_ended();
        match self.holders() {
            Ok(holders) if holders[database as usize].as_ref().is_some_and(serves) => None,
            Ok(_) => Some(death(port, &self.logs[database as usize])),
            Err(error) => Some(error),
        }
    }

    /// Finds the servers by their locks, and takes over their ports.
    pub(super) fn find(&mut self) -> Result<[Server; 2]> {
        let [postgres, dynamodb] = self.holders()?;
        let has_data = self.has_data();
        Ok([
            server(&mut self.compose.postgres, postgres, has_data[0]),
            server(&mut self.compose.dynamodb, dynamodb, has_data[1]),
        ])
    }

    pub(super) async fn stop(&self, context: &Context, with_data: bool) -> Result<()> {
        let ui = &context.ui;
        let [postgres, dynamodb] = self.holders()?;
        if postgres.is_none() && dynamodb.is_none() {
            ui.note("engine embedded: nothing was running");
        }
        if let Some(holder) = dynamodb {
            ui.run_whole(format!("DynamoDB: stop {holder}"), self.stopped_dynamodb(&holder)).await?;
        }
        if let Some(holder) = postgres {
            holder.check_namespace()?;
            let label = format!("Postgres: stop {holder}");
            if postgres::existing_data(&self.folder).is_none() || holder.port.is_none() {
                ui.run_whole(label, self.killed(Database::Postgres, &holder)).await?;
            } else if holder.has_ended() {
                ui.run(label, self.sessions_ended()).await?;
            } else {
                let postgres = Postgres::new(context)?;
                let stop = async {
                    // A command that was interrupted may be starting it. Its process id is not known yet.
                    let attempts = if holder.pid.is_none() { STOP_ATTEMPTS } else { 1 };
                    for _ in 0..attempts {
                        if postgres.stop().await.is_ok() {
                            return Ok(());
                        }
                    }
                    self.killed(Database::Postgres, &holder).await
                };
                ui.run_whole(label, stop).await?;
            }
        }
        if with_data {
            postgres::remove_data(context).await?;
            data::remove(&dynamodb::data(&self.folder), ui).await?;
        }
        Ok(())
    }

    pub(super) fn rehearse_stop(&self, with_data: bool) -> Result<Vec<String>> {
        let holders = ["Postgres", "DynamoDB"].into_iter().zip(self.holders()?);
        let mut deeds: Vec<_> =
            holders.filter_map(|(name, holder)| Some(format!("stop {name}: {}", holder?))).collect();
        if with_data {
            let dynamodb = Some(dynamodb::data(&self.folder)).filter(|data| data.exists());
            let places = [postgres::existing_data(&self.folder), dynamodb];
            deeds.extend(places.iter().flatten().map(|place| format!("delete {}", place.display())));
        }
        Ok(deeds)
    }

    /// Reads a server's log. `follow` ends when the server ends, or at once if none runs.
    pub(super) async fn logs(&self, database: Database, range: LogRange, sink: LogSink<'_>) -> Result<()> {
        let Log { path, from } = &self.logs[database as usize];
        let Some(mut file) = private::open_if_there(path)? else {
            let problem = format!("there is no log {}", path.display());
            return Err(Failure::new(problem, "start the databases with `cargo xtask up`").into());
        };
        if let Some(tail) = range.tail {
            file.seek(SeekFrom::End(0))?;
            let last = process::last_lines(path, *from, tail);
            if !last.is_empty() {
                sink(last.as_bytes())?;
                sink(b"\n")?;
            }
        }
        let mut chunk = vec![0; 64 << 10];
        loop {
            // Ask first, then read: this way the last lines of a server that has just ended are read too.
            let goes_on = range.follow && self.locks[database as usize].holder()?.is_some();
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

fn other_port(service: &Service, port: u16) -> anyhow::Error {
    let (name, wanted) = (service.name, service.port.host);
    let variable = port_variable(name);
    let problem =
        format!("the server of service {name} runs at 127.0.0.1:{port}, and {variable} is {wanted}");
    Failure::new(problem, "stop it with `cargo xtask down`, and run the command again").into()
}

/// Starts a server at its port or at the next free one, and returns the port. `other` is the other server's port.
async fn start_at_free_port(
    context: &Context,
    name: &str,
    service: &Service,
    other: u16,
    start: impl AsyncFn(u16) -> Result<()>,
) -> Result<u16> {
    let mut wanted = service.port;
    let mut tried = 0;
    loop {
        wanted.host = port::settled(wanted, service.name, HOLDER, &[other], &context.ui)?;
        tried += 1;
        let label = format!("{name}: start at 127.0.0.1:{}", wanted.host);
        match context.ui.run(label, start(wanted.host)).await {
            Ok(()) => return Ok(wanted.host),
            // Another program may have taken the port first, even if the port is free again.
            Err(error) if tried < PORTS_TRIED && !wanted.fixed && is_port_lost(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Describes the server whose lock `holder` has, and puts its port into `service`.
fn server(service: &mut Service, holder: Option<Holder>, has_data: bool) -> Server {
    let Some(holder) = holder else {
        return Server {
            runs_in: super::NOWHERE.to_owned(),
            missing: Some(super::who_is_at(service.port.host)),
        };
    };
    service.port.host = holder.port.unwrap_or(service.port.host);
    let missing = match holder.port {
        _ if !has_data => Some(format!("{holder} has lost its data, which was removed")),
        None => Some(format!("{holder} is starting or ending")),
        Some(_) if holder.has_ended() => {
            Some(format!("{holder} was killed, and a session of it is still at work"))
        }
        Some(_) => None,
    };
    Server { runs_in: holder.to_string(), missing }
}
