//! Postgres as a process of this machine, with the workspace's own cluster. The cluster's `pg_ctl` starts and stops
//! it.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use uuid::Uuid;

use crate::context::Context;
use crate::error::Failure;
use crate::private;
use crate::process::{self, Holder, ServerLock};
use crate::state::StateFolder;
use crate::ui::seconds;

use super::account::{self, Account, check_owner};
use super::binaries::{Binaries, Cluster};
use super::log::{Log, death};
use super::{DATABASE, data};

/// The role of the tasks and the app.
pub(super) const ROLE: &str = "cruddur";

/// The superuser that initdb creates. It has no password, so nobody can sign in as it.
const SUPERUSER: &str = "postgres";

/// How long initdb may take. It takes two seconds here, and much longer on a slow disk.
pub(super) const INITDB_BOUND: Duration = Duration::from_secs(120);

/// How long the server may take to accept connections, and to shut down.
const START_BOUND: Duration = Duration::from_secs(60);
const SHUTDOWN_BOUND: Duration = Duration::from_secs(15);

/// How long a server may take to end after postmaster.pid names another process. It checks when it wakes, at most
/// once a minute.
const UNLOCKED_BOUND: Duration = Duration::from_secs(125);

/// The possible data folders: in the state folder or, if the server cannot use that, under /var/tmp, which a restart
/// does not empty.
fn places(folder: &StateFolder) -> [PathBuf; 2] {
    let name = Uuid::new_v5(&Uuid::NAMESPACE_URL, folder.workspace().as_os_str().as_encoded_bytes());
    [folder.join("postgres"), PathBuf::from(format!("/var/tmp/cruddur-{}", name.simple()))]
}

/// The folder to which the state folder's programs are copied for an account that cannot enter it.
fn programs(folder: &StateFolder) -> PathBuf {
    let [_, elsewhere] = places(folder);
    elsewhere.with_extension("programs")
}

/// The possible data folders of this user. Everybody may create folders in /var/tmp, so only root looks there, and it
/// checks their owner.
fn own_places(folder: &StateFolder) -> impl Iterator<Item = PathBuf> {
    #[cfg(unix)]
    let count = if rustix::process::geteuid().is_root() { 2 } else { 1 };
    #[cfg(not(unix))]
    let count = 1;
    places(folder).into_iter().take(count)
}

pub(super) fn existing_data(folder: &StateFolder) -> Option<PathBuf> {
    own_places(folder).find(|data| data.exists())
}

/// Waits until the server at this port stops listening. Gives up after [`UNLOCKED_BOUND`]: a server that cannot be
/// reached has ended by then.
async fn stops_listening(port: u16) -> Result<()> {
    let (started, mut has_listened) = (Instant::now(), false);
    while started.elapsed() < UNLOCKED_BOUND {
        // Each connection wakes the server.
        let listens = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok();
        if has_listened && !listens {
            break;
        }
        has_listened |= listens;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// The server's process id, from postmaster.pid.
fn server_pid(data: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok()
}

/// The holder of the lock. If the command that started the server was killed before it wrote the process id into the
/// lock file, postmaster.pid has it: that file was removed before the start, so it belongs to this server.
pub(super) fn holder(folder: &StateFolder) -> Result<Option<Holder>> {
    let mut holder = lock(folder).holder()?;
    if let Some(holder) = &mut holder {
        holder.pid = holder.pid.or_else(|| server_pid(&existing_data(folder)?));
    }
    Ok(holder)
}

/// The lock. The server holds it while any of its processes runs; so do the programs that create the cluster.
pub(super) fn lock(folder: &StateFolder) -> ServerLock {
    ServerLock::of(&folder.join("postgres"))
}

fn password_file(folder: &StateFolder) -> PathBuf {
    folder.join("postgres.password")
}

/// The role's password; empty if there is no cluster yet.
pub(super) fn password(folder: &StateFolder) -> Result<String> {
    let password = private::read(&password_file(folder))?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&password).trim_end().to_owned())
}

/// Two random UUIDs, which have 122 random bits each.
fn new_password() -> String {
    [(); 2].map(|()| Uuid::new_v4().simple().to_string()).concat()
}

/// PostgreSQL's programs for the existing cluster, or for a new one.
pub(crate) fn binaries(context: &Context) -> Result<Binaries> {
    let cluster = own_places(&context.state).find_map(|data| Cluster::at(&data));
    Binaries::find(&context.environment, &context.state, cluster.as_ref())
}

/// A cluster, which may not exist yet, and the programs that serve it.
pub(super) struct Postgres<'a> {
    context: &'a Context,
    binaries: Binaries,
    account: Account,
    data: PathBuf,
}

impl<'a> Postgres<'a> {
    /// Finds the programs and a place for the data.
    pub(super) fn new(context: &'a Context) -> Result<Self> {
        let folder = &context.state;
        let mut binaries = binaries(context)?;
        let [wanted, elsewhere] = places(folder);
        let (account, data) = account::choose(wanted, elsewhere)?;
        if let Account::Other { .. } = account {
            let programs = programs(folder);
            check_owner(&programs, 0)?;
            binaries = binaries.outside(folder, &programs)?;
        }
        Ok(Self { context, binaries, account, data })
    }

    /// Like [`Postgres::new`], when the lock is free. Fails if a server without a lock runs nevertheless.
    pub(super) async fn ready_to_start(context: &'a Context) -> Result<Self> {
        let postgres = Self::new(context)?;
        if postgres.data.exists() && !password_file(&context.state).exists() {
            postgres.check_earlier_version().await?;
        }
        Ok(postgres)
    }

    /// Ends a server whose lock file was removed, if one may run. Commands cannot find it, and two servers would
    /// destroy the cluster.
    pub(super) async fn end_unlocked(&self) -> Result<()> {
        let pid_file = self.data.join("postmaster.pid");
        if lock(&self.context.state).is_there() || !pid_file.exists() {
            return Ok(());
        }
        let end = async {
            let cannot_use = || format!("cannot use {}", pid_file.display());
            let text = std::fs::read_to_string(&pid_file).with_context(cannot_use)?;
            // The file stays, so that a run after an interrupted one waits too.
            let (_, rest) = text.split_once('\n').unwrap_or_default();
            std::fs::write(&pid_file, format!("0\n{rest}")).with_context(cannot_use)?;
            let port = text.lines().nth(3).and_then(|port| port.parse().ok()).unwrap_or_default();
            self.context.ui.stop.or(stops_listening(port)).await
        };
        let label = "Postgres: wait a minute for a server whose lock file was removed";
        self.context.ui.run(label, end).await
    }

    /// Creates the cluster and the role where they are missing. The programs it starts inherit the lock, `held`.
    pub(super) async fn prepare(&self, held: &File) -> Result<()> {
        let (context, data) = (self.context, &self.data);
        if !data.exists() {
            let create = async {
                let created = tokio::time::timeout(INITDB_BOUND, self.create_cluster(held)).await;
                created.with_context(|| format!("initdb did not end within {}", seconds(INITDB_BOUND)))?
            };
            return context
                .ui
                .run_whole(format!("Postgres: create a cluster in {}", data.display()), create)
                .await;
        }
        if password_file(&self.context.state).exists() {
            return Ok(());
        }
        let renew = async {
            let password = new_password();
            self.single(data, "postgres", include_str!("role.sql").replace("PASSWORD", &password)).await?;
            match self.single(data, DATABASE, include_str!("owner.sql").to_owned()).await {
                Err(error) if !format!("{error:#}").contains("does not exist") => return Err(error),
                _ => {}
            }
            private::write_whole(&password_file(&self.context.state), password.as_bytes())
        };
        context.ui.run_whole(format!("Postgres: give {ROLE} a new password"), renew).await
    }

    /// Fails if a server runs that the first version of the tasks started: those hold no lock.
    async fn check_earlier_version(&self) -> Result<()> {
        let data = &self.data;
        let mut status = self.account.command(&self.binaries.program("pg_ctl"), &self.context.environment);
        status.arg("status").arg("-D").arg(data).stdin(Stdio::null());
        if process::run(status, "pg_ctl status").await.is_err() {
            return Ok(());
        }
        let problem =
            format!("the server of {} was started by an earlier version of the tasks", data.display());
        let pid = server_pid(data).map_or_else(|| "PID".to_owned(), |pid| pid.to_string());
        let remedy = format!("stop it with `kill -INT {pid}`, and run the command again");
        Err(Failure::new(problem, remedy).into())
    }

    /// Creates the cluster in another folder and then moves it, so that an incomplete one is never used.
    async fn create_cluster(&self, held: &File) -> Result<()> {
        let (account, data) = (&self.account, &self.data);
        let unfinished = data::beside(data);
        data::remove_whole(&unfinished).await?;
        account.make_folder(&unfinished)?;
        let mut initdb = account.server(&self.binaries.program("initdb"), &self.context.environment);
        initdb.arg("--pgdata").arg(&unfinished).args(["--username", SUPERUSER]);
        initdb.args(["--auth-host=scram-sha-256", "--auth-local=reject"]);
        initdb.args(["--encoding=UTF8", "--locale=C", "--no-instructions"]);
        // Not synced to disk: after a crash of the machine the cluster is created again.
        initdb.arg("--no-sync").stdin(held.try_clone()?);
        process::lead_group(&mut initdb);
        initdb.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.context.ui.starts(|| process::shown(&initdb));
        let initdb = initdb.spawn().context("cannot run initdb")?;
        // The next command can end it if this one is killed.
        lock(&self.context.state).write(held, Some(initdb.id()), None)?;
        let output = tokio::task::spawn_blocking(move || initdb.wait_with_output()).await??;
        if !output.status.success() {
            let text = [output.stdout, output.stderr].concat();
            bail!("initdb failed:\n{}", String::from_utf8_lossy(&text).trim_end());
        }
        let password = new_password();
        let role = include_str!("role.sql").replace("PASSWORD", &password);
        self.single(&unfinished, "postgres", role).await?;
        private::write_whole(&password_file(&self.context.state), password.as_bytes())?;
        std::fs::rename(&unfinished, data)
            .with_context(|| format!("cannot move the cluster to {}", data.display()))
    }

    /// Runs SQL in single-user mode as the superuser, which needs no server and no password.
    async fn single(&self, data: &Path, database: &str, sql: String) -> Result<()> {
        let mut sql_file = tempfile::tempfile()?;
        sql_file.write_all(sql.as_bytes())?;
        std::io::Seek::rewind(&mut sql_file)?;
        let mut single = self.account.command(&self.binaries.program("postgres"), &self.context.environment);
        single.args(["--single", "-j", "-D"]).arg(data).args([
            "-c",
            "exit_on_error=on",
            "-c",
            "fsync=off",
            database,
        ]);
        single.stdin(sql_file);
        self.context.ui.starts(|| process::shown(&single));
        process::run(single, "postgres --single").await.map(|_| ())
    }

    /// Starts the server on the loopback address only. It uses no Unix socket, whose path could be too long.
    pub(super) async fn start(&self, settings: &[&str], port: u16, held: &File, log: &Log) -> Result<()> {
        let data = &self.data;
        // The lock is free, so no process serves this cluster. After a crash, the process id in the file may belong
        // to another process, which the server would take for its own.
        match std::fs::remove_file(data.join("postmaster.pid")) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error)
                    .with_context(|| format!("cannot remove postmaster.pid in {}", data.display()));
            }
            _ => {}
        }
        lock(&self.context.state).write(held, None, Some(port))?;
        // Of two values for a setting, the later one counts. Statements that fail are not logged, nor are
        // checkpoints, which each set-up causes.
        let quiet = ["log_min_error_statement=panic", "log_checkpoints=off"];
        let own = ["listen_addresses=127.0.0.1", "unix_socket_directories=", &format!("port={port}")];
        let settings = quiet.iter().chain(settings).chain(&own).flat_map(|setting| ["-c", setting]);
        // pg_ctl passes the options through a shell.
        let options = format!("-p {port} {}", shell_words::join(settings));
        let mut pg_ctl = self.pg_ctl("start", START_BOUND);
        pg_ctl.arg("-o").arg(options).stdin(held.try_clone()?).stdout(private::open_log(&log.path)?);
        pg_ctl.stderr(private::open_log(&log.path)?);
        self.context.ui.starts(|| process::shown(&pg_ctl));
        let started = tokio::process::Command::from(pg_ctl).status().await.context("cannot run pg_ctl")?;
        if !started.success() {
            return Err(death(port, log));
        }
        lock(&self.context.state).write(held, server_pid(data), Some(port))
    }

    /// Stops the server and ends its sessions. Fails if it does not end in time.
    /// <https://www.postgresql.org/docs/current/server-shutdown.html>
    pub(super) async fn stop(&self) -> Result<()> {
        let mut pg_ctl = self.pg_ctl("stop", SHUTDOWN_BOUND);
        pg_ctl.args(["-m", "fast"]).stdin(Stdio::null());
        // If the server has just ended by itself, pg_ctl reports an error.
        let stopped = process::run(pg_ctl, "pg_ctl stop").await;
        lock(&self.context.state).wait_until_free(Duration::from_secs(1)).await.or(stopped.map(|_| ()))
    }

    /// A pg_ctl command that waits for its result.
    fn pg_ctl(&self, action: &str, bound: Duration) -> Command {
        let (account, data) = (&self.account, &self.data);
        let mut pg_ctl = account.server(&self.binaries.program("pg_ctl"), &self.context.environment);
        pg_ctl
            .args([action, "--silent", "--wait", "--timeout", &bound.as_secs().to_string(), "-D"])
            .arg(data);
        process::lead_group(&mut pg_ctl);
        pg_ctl
    }
}

/// Removes every cluster, what interrupted runs left beside them, and the password.
pub(super) async fn remove_data(context: &Context) -> Result<()> {
    let folder = &context.state;
    for data in own_places(folder) {
        data::remove(&data, &context.ui).await?;
    }
    data::remove_whole(&programs(folder)).await?;
    data::remove_whole(&password_file(folder)).await
}
