//! The context of a command: settings, output, the choice of engine, and the state folder.

use std::path::PathBuf;

use crate::docker::compose::Compose;
use crate::environment::Environment;
use crate::ui::Ui;
use anyhow::{Context as _, Result};

use crate::engine::name::EngineName;
use crate::state::{Lock, StateFolder};

#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) root: PathBuf,
    pub(crate) environment: Environment,
    pub(crate) ui: Ui,
    /// The engine that the user chose; `None` for `auto`.
    pub(crate) engine: Option<EngineName>,
    pub(crate) state: StateFolder,
    /// Public hosts that may be reached without `--prod`.
    pub(crate) allowed_hosts: Vec<String>,
}

impl Context {
    /// The same context with the engine `name`, as if it was chosen.
    pub(crate) fn on(&self, name: EngineName) -> Self {
        Self { engine: Some(name), ..self.clone() }
    }

    /// Locks this checkout's databases against other commands. A command `is_exempt` that changes nothing in them: a dry
    /// run, or a command for production.
    pub(crate) async fn lock(&self, is_exempt: bool, doing: &str) -> Result<Option<Lock>> {
        if is_exempt {
            return Ok(None);
        }
        self.state.lock(&self.ui, doing).await.map(Some)
    }

    /// Reads docker-compose.yml.
    pub(crate) fn compose(&self) -> Result<Compose> {
        Compose::read(&self.root, &self.environment)
    }
}

/// The workspace's root: set by the launcher, or found above the current directory.
pub(crate) fn workspace_root() -> Result<PathBuf> {
    if let Some(root) = std::env::var_os("CRUDDUR_WORKSPACE") {
        return Ok(PathBuf::from(root));
    }
    let current = std::env::current_dir().context("cannot tell the current folder")?;
    let root = current.ancestors().find(|folder| folder.join(crate::docker::compose::FILE).is_file());
    Ok(root
        .context("no docker-compose.yml here or in a folder above: run `cargo xtask` in the workspace")?
        .to_owned())
}
