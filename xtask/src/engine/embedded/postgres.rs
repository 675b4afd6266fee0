//! Postgres as a process of this machine, with a cluster of this workspace's own.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::docker::compose::Compose;
use crate::environment::Environment;
use crate::error::Failure;
use crate::process::{self, Process, Processes, Signal};
use crate::ui::{Ui, seconds};
use anyhow::{Context as _, Result, bail};
use uuid::Uuid;

use super::account::Home;
use super::binaries::{Binaries, Cluster};
use super::data;
use crate::state::StateFolder;

/// How it is asked to end: a fast shutdown, which ends the sessions.
/// <https://www.postgresql.org/docs/current/server-shutdown.html>
pub(super) const STOP: Signal = Signal::INT;

/// What it says last where another listens on its port.
pub(super) const LOST_PORT: &str = "could not create any TCP/IP sockets";

/// How long initdb may take: two seconds here, and many times that on a slow disk.
const INITDB_BOUND: Duration = Duration::from_secs(120);

/// A server that is about to be started, its cluster created first where there is none.
#[derive(Clone)]
pub(super) struct Plan {
    binaries: Binaries,
    home: Home,
    user: String,
    password: String,
    /// What docker-compose.yml starts the server with.
    settings: Vec<String>,
}

impl Plan {
    /// Looks for the programs and for a place for the data.
    ///
    /// # Errors
    /// No PostgreSQL on this machine, or none that can serve the cluster that is there; no password.
    pub(super) fn make(environment: &Environment, folder: &StateFolder, compose: &Compose) -> Result<Self> {
        let binaries = binaries(environment, folder)?;
        let [wanted, elsewhere] = places(folder);
        let home = Home::choose(wanted, elsewhere)?;
        let (user, password) = compose.postgres_login();
        if password.is_empty() {
            let remedy = format!(
                "give service {} a POSTGRES_PASSWORD in {}",
                compose.postgres.name,
                crate::docker::compose::FILE
            );
            return Err(Failure::new("Postgres needs a password", remedy).into());
        }
        let settings = compose.postgres_settings().into_iter().map(str::to_owned).collect();
        Ok(Self { binaries, home, user: user.to_owned(), password: password.to_owned(), settings })
    }

    /// Creates the cluster, where there is none.
    ///
    /// # Errors
    /// initdb failed.
    pub(super) async fn prepare(&self, ui: &Ui) -> Result<()> {
        if self.home.data.exists() {
            return Ok(());
        }
        let plan = self.clone();
        let create = async {
            remove_unfinished(&self.home.data).await?;
            let created = tokio::task::spawn_blocking(move || plan.create_cluster());
            let created = tokio::time::timeout(INITDB_BOUND, created).await;
            created.with_context(|| format!("initdb did not end within {}", seconds(INITDB_BOUND)))??
        };
        ui.run_whole(format!("Postgres: create a cluster in {}", self.home.data.display()), create).await
    }

    /// Creates the cluster beside its place and then moves it there: a half-made one is never used.
    fn create_cluster(&self) -> Result<()> {
        let Home { account, data } = &self.home;
        let [unfinished, password] = unfinished(data);
        account.make_folder(&unfinished)?;
        account.write_file(&password, &self.password)?;
        let mut initdb = account.command(&self.binaries.program("initdb"));
        initdb
            .arg("--pgdata")
            .arg(&unfinished)
            .arg("--pwfile")
            .arg(&password)
            .args(["--username", &self.user]);
        initdb.args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]);
        // Should this command be killed, the next one ends it, and whom it has started.
        process::lead_group(&mut initdb);
        // Not synced: should the machine crash now, the cluster is created again.
        let output = initdb.arg("--no-sync").stdin(Stdio::null()).output().context("cannot run initdb")?;
        std::fs::remove_file(&password).with_context(|| format!("cannot remove {}", password.display()))?;
        if !output.status.success() {
            let text = [output.stdout, output.stderr].concat();
            bail!("initdb failed:\n{}", String::from_utf8_lossy(&text).trim_end());
        }
        std::fs::rename(&unfinished, data)
            .with_context(|| format!("cannot move the cluster to {}", data.display()))
    }

    /// Starts the server. It listens on the loopback only, and on no Unix socket: its path could be too long.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(&self, port: u16, log: &Path) -> Result<()> {
        let Home { account, data } = &self.home;
        // No process serves this cluster (see `find`); but the number in a lock file left by a crash may
        // be somebody else's by now, and the server would take that for its own.
        match std::fs::remove_file(data.join("postmaster.pid")) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error)
                    .with_context(|| format!("cannot remove the lock file in {}", data.display()));
            }
            _ => {}
        }
        let mut server = account.server(&self.binaries.program("postgres"));
        server.arg("-D").arg(data).args(["-p", &port.to_string()]);
        // Of two that set the same, the later one holds.
        let port = format!("port={port}");
        let own = ["listen_addresses=127.0.0.1", "unix_socket_directories=", port.as_str()];
        for setting in self.settings.iter().map(String::as_str).chain(own) {
            server.args(["-c", setting]);
        }
        process::start_in_background(&mut server, log)
    }
}

/// Where initdb makes the cluster of `data`, and the file with its password.
fn unfinished(data: &Path) -> [PathBuf; 2] {
    [data::beside(data), data.with_extension("password")]
}

/// Removes what an interrupted run left beside the place of `data`. Its initdb may be at work still.
///
/// # Errors
/// That does not end, or what it left cannot be removed.
async fn remove_unfinished(data: &Path) -> Result<()> {
    for path in unfinished(data) {
        while let Some(initdb) = creating(&path) {
            initdb.kill_with_group().await?;
        }
        data::remove_whole(&path).await?;
    }
    Ok(())
}

/// What creates a cluster in `folder`. unshare becomes initdb in a moment.
fn creating(folder: &Path) -> Option<Process> {
    let processes = Processes::now();
    ["initdb", "unshare"].iter().find_map(|program| processes.find(program, folder))
}

/// Removes every cluster, and what interrupted runs left beside their places.
///
/// # Errors
/// One of them cannot be removed.
pub(super) async fn remove_data(folder: &StateFolder, ui: &Ui) -> Result<()> {
    for data in places(folder) {
        remove_unfinished(&data).await?;
        data::remove(&data, ui).await?;
    }
    Ok(())
}

/// Where the data may be: in the state folder, or, where the server cannot use that, in a folder of its
/// own under /var/tmp, which outlives a restart.
fn places(folder: &StateFolder) -> [PathBuf; 2] {
    let name = Uuid::new_v5(&Uuid::NAMESPACE_URL, folder.workspace().as_os_str().as_encoded_bytes());
    [folder.join("postgres"), PathBuf::from(format!("/var/tmp/cruddur-{}", name.simple()))]
}

/// PostgreSQL's programs for the cluster that is there, or for one that is to be created.
///
/// # Errors
/// See [`Binaries::find`].
pub(crate) fn binaries(environment: &Environment, folder: &StateFolder) -> Result<Binaries> {
    let cluster = places(folder).iter().find_map(|data| Cluster::at(data));
    Binaries::find(environment, cluster.as_ref())
}

pub(super) fn find(folder: &StateFolder, processes: &Processes) -> Option<Process> {
    places(folder).iter().find_map(|data| processes.find("postgres", data))
}

/// Whether its cluster is still there.
pub(super) fn has_data(process: &Process) -> bool {
    data_of(process).is_none_or(|data| data.join("PG_VERSION").exists())
}

pub(super) fn data_of(process: &Process) -> Option<PathBuf> {
    process.argument_after("-D").map(PathBuf::from)
}

pub(super) fn port_of(process: &Process) -> Option<u16> {
    process.argument_after("-p")?.parse().ok()
}

pub(super) fn log(folder: &StateFolder) -> PathBuf {
    folder.join("postgres.log")
}
