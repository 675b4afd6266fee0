//! The state folder: what a command remembers for later commands.
//!
//! It does not remember what runs; commands ask the engine for that each time.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::docker::compose::Compose;
use crate::error::Failure;
use crate::private;
use crate::ui::Ui;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::engine::name::EngineName;

/// The folder's name in the workspace's root. Git ignores it.
const FOLDER: &str = ".cruddur";

/// How long a command waits for the checkout's lock. The holder may be pulling images.
const CHECKOUT_LOCK_BOUND: Duration = Duration::from_secs(600);

/// How long the holder of the lock may take to write its name into the file.
const NAME_BOUND: Duration = Duration::from_secs(1);

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    /// The engine that was started last and has not been stopped since.
    pub(crate) engine: Option<EngineName>,
    /// The engine that was started last, even if it has been stopped. It has the data, unless they were removed.
    pub(crate) last: Option<EngineName>,
    /// The engine that a command is stopping, or was stopping when it was killed.
    pub(crate) stopping: Option<EngineName>,
    /// The compose project of this checkout, if it is not the one that compose would choose.
    pub(crate) project: Option<String>,
    /// The ports of each engine's databases, if they are not those of docker-compose.yml.
    pub(crate) ports: BTreeMap<EngineName, Ports>,
}

impl State {
    /// `compose` with the remembered ports and project of an engine, except where the user set them.
    pub(crate) fn apply(&self, engine: EngineName, mut compose: Compose) -> Compose {
        let ports = self.ports.get(&engine).copied().unwrap_or_default();
        for (service, port) in
            [(&mut compose.postgres, ports.postgres), (&mut compose.dynamodb, ports.dynamodb)]
        {
            if let (false, Some(port)) = (service.port.fixed, port) {
                service.port.host = port;
            }
        }
        if let (false, Some(project)) = (compose.project_is_fixed, &self.project) {
            compose.project.clone_from(project);
            compose.project_is_remembered = true;
        }
        compose
    }

    /// Earlier versions did not store `last`. Their only engine with ports is it.
    fn with_last(mut self) -> Self {
        let mut used = self.ports.keys().copied();
        let only = used.next().filter(|_| used.next().is_none());
        self.last = self.last.or(self.engine).or(only);
        self
    }

    /// Forgets a stopped engine. Its ports and project are kept for the next start, unless its data was removed.
    pub(crate) fn forget(&mut self, engine: EngineName, with_data: bool) {
        if self.engine == Some(engine) {
            self.engine = None;
        }
        if with_data {
            self.ports.remove(&engine);
            self.last = self.last.filter(|last| *last != engine);
        }
        if with_data && engine == EngineName::Docker {
            self.project = None;
        }
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Ports {
    pub(crate) postgres: Option<u16>,
    pub(crate) dynamodb: Option<u16>,
}

/// Locks the checkout until it is dropped. If the process dies, the system releases the lock.
pub(crate) type Lock = File;

#[derive(Debug, Clone)]
pub(crate) struct StateFolder {
    path: PathBuf,
}

impl StateFolder {
    /// The folder for the workspace at `root`, by its canonical path, which identifies its processes. The first write
    /// creates it.
    pub(crate) fn of(root: &Path) -> Self {
        let path = root.join(FOLDER);
        let canonical = path.canonicalize().or_else(|_| root.canonicalize().map(|root| root.join(FOLDER)));
        Self { path: canonical.unwrap_or(path) }
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn workspace(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    fn file(&self) -> PathBuf {
        self.join("state.json")
    }

    /// Creates the folder, readable only by its owner.
    pub(crate) fn make(&self) -> Result<()> {
        private::make_folder(&self.path)
            .with_context(|| format!("cannot make the state folder {}", self.path.display()))
    }

    /// Closes the folder, if it exists, to other users: its files say which servers are ours.
    pub(crate) fn close(&self, ui: &Ui) -> Result<()> {
        let path = self.path.display();
        let was_open =
            private::close(&self.path).with_context(|| format!("cannot use the state folder {path}"))?;
        if was_open {
            ui.warn(format_args!(
                "other users could write into {path}, which is closed to them now; what they put there before is \
                 still there, and a file of theirs is an error when it is used"
            ));
        }
        Ok(())
    }

    /// Reads the state. A file that cannot be parsed is set aside with a warning.
    pub(crate) fn read(&self, ui: &Ui) -> Result<State> {
        let path = self.file();
        let Some(text) = private::read(&path)? else { return Ok(State::default()) };
        let parsed = serde_json::from_slice(&text).map(State::with_last);
        parsed.or_else(|_| {
            let now = chrono::Utc::now().format("%Y%m%dT%H%M%S%.6f");
            let aside = self.join(&format!("state.json.corrupt-{now}"));
            ui.warn(format_args!("{} cannot be parsed; set aside as {}", path.display(), aside.display()));
            std::fs::rename(&path, &aside).with_context(|| format!("cannot set {} aside", path.display()))?;
            Ok(State::default())
        })
    }

    /// Writes `state` atomically.
    pub(crate) fn write(&self, state: &State) -> Result<()> {
        self.make()?;
        private::write_whole(&self.file(), &serde_json::to_vec_pretty(state)?)
    }

    /// Waits until no other command changes this checkout's databases, then locks them until the [`Lock`] is dropped.
    /// `doing` names this command to those that wait.
    pub(crate) async fn lock(&self, ui: &Ui, doing: &str) -> Result<Lock> {
        self.make()?;
        let path = self.join("lock");
        let mut file = private::open_lock(&path)?;
        let started = Instant::now();
        let mut told = false;
        while let Err(error) = file.try_lock() {
            if let TryLockError::Error(error) = error {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
            // A process that has just taken the lock may not have written its name yet.
            let written = holder(&mut file);
            let name = written.as_deref().unwrap_or("another cargo xtask");
            if !told && (written.is_some() || started.elapsed() > NAME_BOUND) {
                ui.note(format_args!("waiting for {name} to end"));
                told = true;
            }
            if started.elapsed() > CHECKOUT_LOCK_BOUND {
                let problem = format!("{name} is still at work in this checkout");
                return Err(Failure::new(problem, "end it, or wait and try again").into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let note = format!("`cargo xtask {doing}` (process {})", std::process::id());
        private::rewrite(&file, &note).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(file)
    }
}

/// The name in the lock file, if its holder has written one.
fn holder(file: &mut File) -> Option<String> {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    (read.is_ok() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::ui::Messages;

    fn ui() -> Ui {
        Ui::new(&Environment::from([("CI", "true")]), Messages::default())
    }

    #[test]
    fn the_state_is_read_back_and_private() {
        let root = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(root.path());
        assert_eq!(folder.read(&ui()).unwrap(), State::default());
        let state = State {
            engine: Some(EngineName::Docker),
            last: Some(EngineName::Docker),
            ports: BTreeMap::from([(EngineName::Embedded, Ports { postgres: Some(5433), dynamodb: None })]),
            ..State::default()
        };
        folder.write(&state).unwrap();
        assert_eq!(folder.read(&ui()).unwrap(), state);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&folder.path), 0o700);
            assert_eq!(mode(&folder.file()), 0o600);
        }
    }

    #[test]
    fn a_corrupt_file_is_set_aside() {
        let root = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(root.path());
        folder.make().unwrap();
        let corrupt = ["", "{", "{\"engine\": \"x\"}", "\u{0}"];
        for nonsense in corrupt {
            std::fs::write(folder.file(), nonsense).unwrap();
            assert_eq!(folder.read(&ui()).unwrap(), State::default(), "{nonsense}");
            assert!(!folder.file().exists());
        }
        let aside = std::fs::read_dir(&folder.path).unwrap().map(|entry| entry.unwrap().file_name());
        let aside = aside.filter(|name| name.to_str().unwrap().starts_with("state.json.corrupt-"));
        assert_eq!(aside.count(), corrupt.len(), "each is kept");
    }

    #[test]
    fn the_second_waits_for_the_first() {
        let root = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(root.path());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let first = folder.lock(&ui(), "first").await.unwrap();
            let ui = ui();
            let second = folder.lock(&ui, "second");
            assert!(tokio::time::timeout(Duration::from_millis(120), second).await.is_err());
            drop(first);
            folder.lock(&ui, "third").await.unwrap();
        });
    }
}
