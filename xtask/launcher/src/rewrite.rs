//! The program, written anew from one end to the other.
//!
//! A linker writes a program here and there through a memory map, and the system keeps it in memory page by
//! page. What was written in one go it keeps in large pieces, and each page fault maps more of it: on Linux
//! 6.18 with ext4, a short command takes one to two milliseconds less of eight. Copying it after a build
//! takes a twentieth of a second.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use crate::place::Place;
use crate::stamp::private_file;

/// Does so if cargo has put its own back, as it does at each build or test by hand, and nobody else is
/// building.
///
/// # Errors
///
/// When it cannot be read or written.
pub(crate) fn rewrite_if_alone(place: &Place) -> io::Result<()> {
    if has_another_name(&place.program)? {
        let lock = lock_file(place)?;
        if lock.try_lock().is_ok() {
            rewrite(place)?;
        }
    }
    Ok(())
}

/// Puts a copy of the program in its place, if a build has put it there: that one has another name, in
/// cargo's own folder. The copy is as old: cargo may put its own back, which is the same program.
///
/// # Errors
///
/// When it cannot be read or written.
pub(crate) fn rewrite(place: &Place) -> io::Result<()> {
    if !has_another_name(&place.program)? {
        return Ok(());
    }
    let built = fs::metadata(&place.program)?.modified()?;
    let copy = private_file(&place.program);
    let rewritten = fs::copy(&place.program, &copy)
        .and_then(|_| File::options().write(true).open(&copy)?.set_modified(built))
        .and_then(|()| fs::rename(&copy, &place.program));
    if rewritten.is_err() {
        let _ = fs::remove_file(&copy);
    }
    rewritten
}

#[cfg(unix)]
fn has_another_name(program: &Path) -> io::Result<bool> {
    Ok(std::os::unix::fs::MetadataExt::nlink(&fs::metadata(program)?) > 1)
}

#[cfg(not(unix))]
fn has_another_name(_: &Path) -> io::Result<bool> {
    Ok(false)
}

/// Waits until nobody else builds it, and keeps others from it until the file is closed: a copy of an
/// older program must not take the place of a newer one that another process has just vouched for.
///
/// # Errors
///
/// When there can be no lock here.
pub(crate) fn build_alone(place: &Place, wait: impl FnOnce()) -> io::Result<File> {
    let file = lock_file(place)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => wait(),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    file.lock()?;
    Ok(file)
}

fn lock_file(place: &Place) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(place.program.with_extension("lock"))
}
