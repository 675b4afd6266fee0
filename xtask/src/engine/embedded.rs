//! The embedded engine: no Docker. Postgres is this machine's own server with a cluster in the state
//! folder; DynamoDB is the workspace's `xtask-dynamodb`, with its data there too.

pub(crate) use binaries::Binaries;

mod account;
mod binaries;
mod dynamodb;
mod postgres;

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};

use crate::compose::{Compose, Service, port_variable};
use crate::environment::Environment;
use crate::port;
use crate::process::{self, Process};
use crate::state::StateFolder;
use crate::ui::Ui;

/// How much of a dead process's log is shown.
const LAST_LINES: usize = 15;

/// What is about to be done. Nothing has been changed yet.
pub(crate) struct Plan {
    pub(crate) compose: Compose,
    folder: StateFolder,
    postgres: Option<postgres::Plan>,
    dynamodb: Option<dynamodb::Plan>,
}

impl Plan {
    /// Looks for what is running, and for whatever could stop the rest from starting.
    ///
    /// # Errors
    /// No PostgreSQL on this machine; a port that the user has set is taken.
    pub(crate) fn make(
        environment: &Environment,
        folder: &StateFolder,
        mut compose: Compose,
        ui: &Ui,
    ) -> Result<Self> {
        folder.make()?;
        let folder = folder.canonical()?;
        let running = Running::find(&folder);
        let others = compose.services().map(|service| service.port.host);
        let choose_port = |service: &Service,
                           process: Option<&Process>,
                           port_of: fn(&Process) -> Option<u16>| {
            match process.and_then(port_of) {
                Some(port) => Ok(port),
                None if port::is_free(service.port.host) => Ok(service.port.host),
                None => {
                    let holder = "another process";
                    port::moved(service.port, service.name, port_variable(service.name), holder, &others, ui)
                }
            }
        };
        let postgres_port = choose_port(&compose.postgres, running.postgres.as_ref(), postgres::port_of)?;
        compose.postgres.port.host = postgres_port;
        let dynamodb_port = choose_port(&compose.dynamodb, running.dynamodb.as_ref(), dynamodb::port_of)?;
        compose.dynamodb.port.host = dynamodb_port;
        let postgres = match running.postgres {
            Some(_) => None,
            None => Some(postgres::Plan::make(environment, &folder, &compose)?),
        };
        let dynamodb = running.dynamodb.is_none().then_some(dynamodb::Plan { port: dynamodb_port });
        Ok(Self { compose, folder, postgres, dynamodb })
    }

    /// Starts what is not running, both at once.
    ///
    /// # Errors
    /// A cluster that cannot be created; a program that cannot be built or started.
    pub(crate) async fn carry_out(self, ui: &Ui) -> Result<Servers> {
        let folder = self.folder;
        let postgres = async {
            match self.postgres {
                Some(plan) => plan.carry_out(&folder, ui).await,
                None => Ok(()),
            }
        };
        let dynamodb = async {
            match self.dynamodb {
                Some(plan) => plan.carry_out(&folder, ui).await,
                None => Ok(()),
            }
        };
        tokio::try_join!(postgres, dynamodb)?;
        Ok(Servers { folder })
    }
}

/// The two processes, started.
pub(crate) struct Servers {
    folder: StateFolder,
}

impl Servers {
    /// Why Postgres is not running, if it is not.
    pub(crate) fn postgres_death(&self) -> Option<anyhow::Error> {
        death(postgres::find(&self.folder), &postgres::log(&self.folder))
    }

    /// Why DynamoDB is not running, if it is not.
    pub(crate) fn dynamodb_death(&self) -> Option<anyhow::Error> {
        death(dynamodb::find(&self.folder), &dynamodb::log(&self.folder))
    }
}

impl Servers {
    /// The last lines of both logs.
    pub(crate) fn last_logs(&self, lines: usize) -> String {
        let [postgres, dynamodb] = logs(&self.folder).map(|log| process::last_lines(&log, lines));
        format!("--- postgres ---\n{postgres}\n--- dynamodb ---\n{dynamodb}\n")
    }
}

fn death(process: Option<Process>, log: &std::path::Path) -> Option<anyhow::Error> {
    if process.is_some() {
        return None;
    }
    let lines = process::last_lines(log, LAST_LINES);
    Some(anyhow!("its process ended; the last lines of {}:\n{lines}", log.display()))
}

/// What runs at this moment, by what the system says.
pub(crate) struct Running {
    pub(crate) postgres: Option<Process>,
    pub(crate) dynamodb: Option<Process>,
}

impl Running {
    /// Looks at the system's processes.
    pub(crate) fn find(folder: &StateFolder) -> Self {
        Self { postgres: postgres::find(folder), dynamodb: dynamodb::find(folder) }
    }
}

/// Whether both processes run.
pub(crate) fn is_running(folder: &StateFolder) -> bool {
    let Ok(folder) = folder.canonical() else { return false };
    let running = Running::find(&folder);
    running.postgres.is_some() && running.dynamodb.is_some()
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
    let any = running.postgres.is_some() || running.dynamodb.is_some();
    if let Some(process) = running.dynamodb {
        ui.run(format!("DynamoDB: stop {process}"), process.end(dynamodb::STOP)).await?;
    }
    if let Some(process) = running.postgres {
        ui.run(format!("Postgres: stop {process}"), process.end(postgres::STOP)).await?;
    }
    Ok(any)
}

/// Removes both databases' data.
///
/// # Errors
/// It cannot be removed.
pub(crate) fn remove_data(folder: &StateFolder, ui: &Ui) -> Result<()> {
    let Ok(folder) = folder.canonical() else { return Ok(()) };
    for data in [postgres::data(&folder)?, dynamodb::data(&folder)] {
        if data.exists() {
            std::fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
            ui.line(format_args!("removed {}", data.display()));
        }
    }
    Ok(())
}
