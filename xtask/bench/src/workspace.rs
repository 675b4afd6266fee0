//! A workspace of the measurement's own, with both databases in it: whatever else runs is left alone.

use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::program;
use crate::report::say;

/// The messages table.
pub(crate) const TABLE: &str = backend_flask::messages::DEFAULT_TABLE;

/// What makes tools of AWS's answer for something else than what they are measured by here.
const OTHERS_SETTINGS: [&str; 5] =
    ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "CONNECTION_URL", "DDB_MESSAGE_TABLE"];

/// Which of the two local servers DynamoDB is.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Engine {
    /// DynamoDB Local, in a container
    Docker,
    /// The workspace's own server
    Embedded,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Embedded => "embedded",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Docker => "DynamoDB Local",
            Self::Embedded => "the embedded engine",
        })
    }
}

/// The `xtask` program, and the workspace that it was built in.
#[derive(Clone)]
pub(crate) struct Installed {
    pub(crate) program: PathBuf,
    pub(crate) root: PathBuf,
}

/// A workspace with both databases, set up. Dropped, it is removed with all that it started.
pub(crate) struct Workspace {
    pub(crate) engine: Engine,
    /// DynamoDB's.
    pub(crate) port: u16,
    open: Open,
}

/// What it takes to run a command in a workspace, and to remove it.
#[derive(Clone)]
struct Open {
    installed: Installed,
    folder: PathBuf,
    environment: Vec<(&'static str, String)>,
}

/// What [`remove`] has to remove. One workspace is open at a time.
static OPEN: Mutex<Option<Open>> = Mutex::new(None);

impl Workspace {
    /// Starts and sets up both databases.
    ///
    /// # Errors
    /// They cannot be started.
    pub(crate) fn open(installed: &Installed, engine: Engine) -> Result<Self> {
        say(format_args!("{engine}: start it"));
        let mut folder = tempfile::Builder::new();
        folder.prefix("cruddur-bench-").disable_cleanup(true);
        // In memory where there is such a folder: a disk's own moods are not to be measured.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { folder.tempdir_in(memory)? } else { folder.tempdir()? }.keep();
        // Run by root, Postgres works as a user of its own.
        #[cfg(unix)]
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let [postgres, port] = free_ports()?;
        let environment = vec![
            ("CI", "true".to_owned()),
            ("CRUDDUR_WORKSPACE", folder.display().to_string()),
            ("CRUDDUR_ENGINE", engine.name().to_owned()),
            ("COMPOSE_PROJECT_NAME", name),
            ("POSTGRES_PORT", postgres.to_string()),
            ("DYNAMODB_PORT", port.to_string()),
            ("AWS_ENDPOINT_URL_DYNAMODB", format!("http://127.0.0.1:{port}")),
            ("AWS_ACCESS_KEY_ID", "local".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
            ("AWS_PAGER", String::new()),
        ];
        let open = Open { installed: installed.clone(), folder, environment };
        *OPEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(open.clone());
        let workspace = Self { engine, port, open };
        let compose = "docker-compose.yml";
        std::fs::copy(installed.root.join(compose), workspace.open.folder.join(compose))
            .with_context(|| format!("cannot copy {compose}"))?;
        program::run(&mut workspace.xtask(&["ddb-setup"]))?;
        Ok(workspace)
    }

    /// A command of `cargo xtask`, in this workspace.
    pub(crate) fn xtask(&self, arguments: &[&str]) -> Command {
        self.open.xtask(arguments)
    }

    /// Another program, with this workspace's settings.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.open.command(program.as_ref())
    }

    /// A file in this workspace's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.open.folder.join(name)
    }

    /// The messages table, empty.
    ///
    /// # Errors
    /// It cannot be dropped or created.
    pub(crate) fn empty_table(&self) -> Result<()> {
        program::run(&mut self.xtask(&["ddb", "drop", TABLE]))?;
        program::run(&mut self.xtask(&["ddb", "schema-load"])).map(drop)
    }

    /// The server's name and version.
    pub(crate) fn version(&self) -> String {
        let version = match self.engine {
            Engine::Docker => {
                let logs = program::ask(&mut self.xtask(&["logs", "--tail", "1000"]));
                let logs = logs.map(|ran| ran.output).unwrap_or_default();
                logs.lines().find_map(|line| Some(line.split_once("Version:")?.1.trim().to_owned()))
            }
            Engine::Embedded => locked_version(&self.open.installed.root, "dynoxide-rs"),
        };
        let name = match self.engine {
            Engine::Docker => "DynamoDB Local",
            Engine::Embedded => "dynoxide",
        };
        format!("{name} {}", version.as_deref().unwrap_or("of an unknown version"))
    }
}

impl Open {
    fn command(&self, program: &std::ffi::OsStr) -> Command {
        let mut command = Command::new(program);
        for variable in OTHERS_SETTINGS {
            command.env_remove(variable);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(self.installed.program.as_os_str());
        command.args(arguments);
        command
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        remove();
    }
}

/// Removes the workspace that is open, if one is, with all that it started.
pub(crate) fn remove() {
    let mut slot = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(open) = slot.take() else { return };
    if let Err(error) = program::run(&mut open.xtask(&["down", "--volumes"])) {
        say(format_args!("warning: cannot stop the databases of {}: {error:#}", open.folder.display()));
        return;
    }
    if let Err(error) = std::fs::remove_dir_all(&open.folder) {
        say(format_args!("warning: cannot remove {}: {error}", open.folder.display()));
    }
}

/// Two ports that nobody listens on.
fn free_ports() -> Result<[u16; 2]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free");
    // Both are held until both are known.
    let (one, other) = (listen()?, listen()?);
    Ok([one.local_addr()?.port(), other.local_addr()?.port()])
}

/// A package's version, by the workspace's lock file.
fn locked_version(root: &Path, package: &str) -> Option<String> {
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).ok()?;
    let (_, rest) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    Some(rest.split_once('"')?.0.to_owned())
}
