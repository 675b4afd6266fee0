//! Locks held by running servers, which commands use to find them. A server inherits its lock, so the lock becomes
//! free when the last process of the server ends, however it ends. The lock is visible in every process namespace.

use std::fs::{File, TryLockError};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::error::Failure;
use crate::poll::{self, Look};
use crate::private;

/// How long a lock may be held by commands that only check who holds it.
const TAKE_BOUND: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(10);

/// How often the file is read again while its holder has not written its line yet.
const WRITE_ATTEMPTS: u32 = 100;

#[derive(Debug, Clone)]
pub(crate) struct ServerLock {
    path: PathBuf,
}

/// The holder of a lock, from the line in its file: `PID PORT NAMESPACE PROGRAM`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Holder {
    /// `None` if the server has not started yet.
    pub(crate) pid: Option<u32>,
    pub(crate) port: Option<u16>,
    namespace: String,
    /// The version of the holder's program, or `-`.
    pub(crate) program: String,
}

impl ServerLock {
    /// The lock file next to the data folder `data`.
    pub(crate) fn of(data: &Path) -> Self {
        Self { path: data.with_extension("lock") }
    }

    /// Whether its file is there. A server that runs without it cannot be found.
    pub(crate) fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// The holder of the lock; `None` if it is free.
    pub(crate) fn holder(&self) -> Result<Option<Holder>> {
        let mut line = self.line_if_held();
        for _ in 0..WRITE_ATTEMPTS {
            match &line {
                // The holder is about to write its line, or to end.
                Ok(Some(line)) if !line.ends_with('\n') => std::thread::sleep(INTERVAL),
                _ => break,
            }
            line = self.line_if_held();
        }
        let line = line.with_context(|| format!("cannot tell who holds {}", self.path.display()))?;
        Ok(line.as_deref().map(Holder::parse))
    }

    /// The text of the lock file while the lock is held; `None` if it is free.
    fn line_if_held(&self) -> Result<Option<String>> {
        let Some(mut file) = private::open_if_there(&self.path)? else { return Ok(None) };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => {
                let mut line = String::new();
                file.read_to_string(&mut line)?;
                Ok(Some(line))
            }
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Takes the lock. Fails if a server holds it.
    pub(crate) async fn take(&self) -> Result<File> {
        let file = private::open_lock(&self.path)?;
        let take = async || match file.try_lock() {
            Ok(()) => Look::Ready(()),
            Err(TryLockError::WouldBlock) => Look::NotYet("it is held".to_owned()),
            Err(TryLockError::Error(error)) => Look::Failed(error.into()),
        };
        let taken = poll::until_ready(TAKE_BOUND, INTERVAL, take).await;
        taken.with_context(|| format!("cannot lock {}", self.path.display()))?;
        self.write(&file, None, None)?;
        Ok(file)
    }

    /// Writes the holder into the lock file.
    pub(crate) fn write(&self, file: &File, pid: Option<u32>, port: Option<u16>) -> Result<()> {
        let (pid, port) = (pid.unwrap_or_default(), port.unwrap_or_default());
        let line = format!("{pid} {port} {} -\n", own_namespace());
        private::rewrite(file, &line).with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Waits until the lock is free. Fails after `bound`.
    pub(crate) async fn wait_until_free(&self, bound: Duration) -> Result<()> {
        let look = async || match self.holder() {
            Ok(None) => Look::Ready(()),
            Ok(Some(_)) => Look::NotYet(format!("{} is held", self.path.display())),
            Err(error) => Look::Failed(error),
        };
        poll::until_ready(bound, INTERVAL, look).await
    }
}

impl Holder {
    fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let mut number =
            || words.next().and_then(|word| word.parse::<u32>().ok()).filter(|number| *number > 0);
        let (pid, port) = (number(), number().and_then(|port| port.try_into().ok()));
        let mut word = || words.next().unwrap_or("-").to_owned();
        Self { pid, port, namespace: word(), program: word() }
    }

    /// Fails if the process is in another process namespace, because its id would mean another process here.
    pub(crate) fn check_namespace(&self) -> Result<()> {
        if self.namespace == own_namespace() {
            return Ok(());
        }
        let remedy = "run the command where the server was started: in that container";
        Err(Failure::new(format!("{self} runs in another container or process namespace"), remedy).into())
    }
}

#[cfg(unix)]
impl Holder {
    /// Whether its process is known to have ended. Child processes may still hold the lock.
    pub(crate) fn has_ended(&self) -> bool {
        let gone = |pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
        self.check_namespace().is_ok() && self.raw_pid().is_some_and(gone)
    }

    /// Asks the process to end. Call this only while the lock is held.
    pub(crate) fn terminate(&self) -> Result<()> {
        self.signal(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM))
    }

    /// Kills the process and, if it leads a process group, the whole group. Call this only while the lock is held.
    pub(crate) fn kill(&self) -> Result<()> {
        use rustix::process::{Signal, kill_process, kill_process_group};
        self.signal(|pid| kill_process_group(pid, Signal::KILL))?;
        self.signal(|pid| kill_process(pid, Signal::KILL))
    }

    fn raw_pid(&self) -> Option<rustix::process::Pid> {
        rustix::process::Pid::from_raw(self.pid?.try_into().ok()?)
    }

    fn signal(&self, send: impl FnOnce(rustix::process::Pid) -> rustix::io::Result<()>) -> Result<()> {
        self.check_namespace()?;
        match self.raw_pid().map_or(Ok(()), send) {
            // The process has just ended by itself.
            Err(rustix::io::Errno::SRCH) => Ok(()),
            sent => sent.with_context(|| format!("cannot signal {self}")),
        }
    }
}

#[cfg(not(unix))]
impl Holder {
    pub(crate) fn has_ended(&self) -> bool {
        false
    }

    pub(crate) fn terminate(&self) -> Result<()> {
        anyhow::bail!("{self} cannot be signalled on this system")
    }

    pub(crate) fn kill(&self) -> Result<()> {
        self.terminate()
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(formatter, "process {pid}"),
            None => formatter.write_str("a process"),
        }
    }
}

/// The process namespace, or `-` on systems that have only one.
fn own_namespace() -> String {
    std::fs::read_link("/proc/self/ns/pid").map_or_else(|_| "-".to_owned(), |link| link.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn the_holder_of_a_lock_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let lock = ServerLock::of(&folder.path().join("data"));
        assert_eq!(lock.holder().unwrap(), None);
        let file = block_on(lock.take()).unwrap();
        assert!(lock.holder().unwrap().unwrap().pid.is_none());
        assert!(block_on(lock.take()).is_err());
        lock.write(&file, Some(7), Some(80)).unwrap();
        let holder = lock.holder().unwrap().unwrap();
        assert_eq!((holder.pid, holder.port, holder.to_string().as_str()), (Some(7), Some(80), "process 7"));
        holder.check_namespace().unwrap();
        // A child process that inherits the file keeps the lock.
        let mut child = std::process::Command::new("sleep").arg("60").stdin(file).spawn().unwrap();
        assert!(lock.holder().unwrap().is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        block_on(lock.wait_until_free(Duration::from_secs(5))).unwrap();
        // The file still has the process id, but that no longer counts.
        assert_eq!(lock.holder().unwrap(), None);
    }

    #[test]
    fn a_holder_that_has_not_written_its_line_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let lock = ServerLock::of(&folder.path().join("data"));
        let file = block_on(lock.take()).unwrap();
        let soon = Duration::from_millis(50);
        file.set_len(0).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(soon);
                lock.write(&file, Some(7), Some(80)).unwrap();
            });
            assert_eq!(lock.holder().unwrap().unwrap().pid, Some(7));
        });
        file.set_len(0).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(soon);
                drop(file);
            });
            assert_eq!(lock.holder().unwrap(), None);
        });
    }

    #[test]
    fn nobody_is_signalled_in_another_namespace() {
        let there = Holder::parse("1 8000 pid:[1] -");
        let error = there.terminate().unwrap_err().to_string();
        assert_eq!(error, "process 1 runs in another container or process namespace");
        assert!(there.kill().is_err() && !there.has_ended());
        assert_eq!(Holder::parse("garbage").pid, None);
    }
}
