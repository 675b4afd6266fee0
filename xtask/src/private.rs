//! Files and folders that only their owner can read, for the state folder. Files of other users, symbolic links and
//! other special files are refused, because somebody else may have put them there.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::error::Failure;

/// Opens a regular file.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> Result<File> {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        // Do not wait for the other end of a named pipe.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    let opened = options.open(path);
    let there = opened.as_ref().map_or_else(|_| path.symlink_metadata(), File::metadata);
    if let Ok(there) = there {
        if !there.is_file() {
            let problem = format!("{} is a link or another thing that is not a plain file", path.display());
            return Err(Failure::new(problem, "remove it: the tasks did not make it").into());
        }
        check_owner(path, &there)?;
    }
    opened.with_context(|| format!("cannot open {}", path.display()))
}

/// Opens a file; `None` if it does not exist.
pub(crate) fn open_if_there(path: &Path) -> Result<Option<File>> {
    let is_missing = |error: &std::io::Error| error.kind() == ErrorKind::NotFound;
    match open(path, File::options().read(true)) {
        Err(error) if error.downcast_ref().is_some_and(is_missing) => Ok(None),
        opened => opened.map(Some),
    }
}

/// Reads a file; `None` if it does not exist.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let Some(mut file) = open_if_there(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Some(bytes))
}

pub(crate) fn open_log(path: &Path) -> Result<File> {
    open(path, File::options().create(true).append(true))
}

pub(crate) fn open_lock(path: &Path) -> Result<File> {
    open(path, File::options().create(true).truncate(false).read(true).write(true))
}

/// Replaces the content of an open file.
pub(crate) fn rewrite(mut file: &File, text: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

/// Writes a file atomically.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().context("a path without a folder")?)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        anyhow::Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Creates a folder for its owner only. An existing one loses the permissions of others.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    #[cfg_attr(not(unix), allow(unused_mut, reason = "only Unix has permissions"))]
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => close(path).map(|_| ()),
        made => Ok(made?),
    }
}

/// Removes other users' permissions on a folder, if it exists. Returns whether they could write into it.
#[cfg(unix)]
pub(crate) fn close(path: &Path) -> Result<bool> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let there = match path.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        there => there?,
    };
    check_owner(path, &there)?;
    if there.mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(there.mode() & 0o022 != 0)
}

#[cfg(not(unix))]
pub(crate) fn close(_: &Path) -> Result<bool> {
    Ok(false)
}

/// Fails if `path` belongs to a user other than this one and root.
pub(crate) fn check(path: &Path) -> Result<()> {
    let there = path.symlink_metadata().with_context(|| format!("cannot look at {}", path.display()))?;
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::uid(&there) == 0 {
        return Ok(());
    }
    Ok(check_owner(path, &there)?)
}

/// Fails if a file or folder belongs to another user. Root may use everybody's.
#[cfg(unix)]
fn check_owner(path: &Path, there: &Metadata) -> Result<(), Failure> {
    let user = rustix::process::geteuid();
    let owner = std::os::unix::fs::MetadataExt::uid(there);
    if owner == user.as_raw() || user.is_root() {
        return Ok(());
    }
    let problem = format!("{} belongs to another user (id {owner})", path.display());
    Err(Failure::new(
        problem,
        "have it removed, unless you know who made it: then have it made yours (`chown`)",
    ))
}

#[cfg(not(unix))]
fn check_owner(_: &Path, _: &Metadata) -> Result<(), Failure> {
    Ok(())
}
