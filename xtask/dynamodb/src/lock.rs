//! The lock that marks this server as running. It is visible in every process namespace, and becomes free when the
//! process ends, however it ends.

use std::fs::{File, TryLockError};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Commands take the lock for a moment to check who holds it, so several attempts are needed.
const ATTEMPTS: u32 = 20;
const INTERVAL: Duration = Duration::from_millis(50);

/// How often the server checks whether its data still exists.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock of `folder`. Fails if another server holds it.
    pub(crate) async fn take(folder: &Path) -> Result<Self> {
        let path = folder.with_extension("lock");
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        for _ in 0..ATTEMPTS {
            match file.try_lock() {
                Ok(()) => {
                    let lock = Self { file, path };
                    lock.write(None)?;
                    return Ok(lock);
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(INTERVAL).await,
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
        }
        bail!("another server has the data in {}", folder.display())
    }

    /// Writes the holder into the lock file: `PID PORT NAMESPACE PROGRAM`. The port is 0 while the server
    /// does not listen: before it is ready, and while it finishes its last requests.
    pub(crate) fn write(&self, port: Option<u16>) -> Result<()> {
        let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_else(|_| PathBuf::from("-"));
        let program = std::env::current_exe()?.metadata()?;
        let modified = program.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        let (pid, port) = (std::process::id(), port.unwrap_or_default());
        let line = format!("{pid} {port} {} {}-{modified}\n", namespace.display(), program.len());
        let write = || {
            let mut file = &self.file;
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(line.as_bytes())
        };
        write().with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Whether the lock file's path still leads to the locked file.
    fn is_seen(&self) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let (Ok(own), Ok(seen)) = (self.file.metadata(), self.path.metadata()) else { return false };
            (own.dev(), own.ino()) == (seen.dev(), seen.ino())
        }
        #[cfg(not(unix))]
        true
    }

    /// Completes when the data or the lock file has been removed. From then on the server's writes would be lost.
    pub(crate) async fn is_lost(&self, data: &Path) {
        while self.is_seen() && data.join("dynamodb.sqlite").exists() {
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    }
}

impl Drop for Lock {
    /// Empties the lock file, which describes a running server.
    fn drop(&mut self) {
        _ = self.file.set_len(0);
    }
}
