//! The lock that says that this server runs. It is seen from every process namespace, and free when the process ends,
//! however it ends.

use std::fs::{File, TryLockError};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// A command that looks who holds the lock holds it itself for a moment.
const ATTEMPTS: u32 = 20;
const INTERVAL: Duration = Duration::from_millis(50);

/// How often it is looked whether the data are still there.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock of `folder`; fails if another server has it.
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

    /// Writes who it is, where it listens if it does already, and which program it is: `PID PORT NAMESPACE PROGRAM`.
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

    /// Whether the file that is locked is still the one that others find.
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

    /// Ends when the data or the lock's file were removed: what such a server writes is lost.
    pub(crate) async fn is_lost(&self, data: &Path) {
        while self.is_seen() && data.join("dynamodb.sqlite").exists() {
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    }
}

impl Drop for Lock {
    /// What it wrote is for as long as it runs.
    fn drop(&mut self) {
        _ = self.file.set_len(0);
    }
}
