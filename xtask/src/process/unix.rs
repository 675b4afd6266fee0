//! What a Unix system does with processes.

use std::io;

use rustix::io::Errno;
use rustix::process;
pub(super) use rustix::process::Pid;
pub(crate) use rustix::process::Signal;

/// Sends a signal to a process. One that has ended by itself meanwhile is no error.
pub(super) fn send(pid: Pid, signal: Signal) -> io::Result<()> {
    sent(process::kill_process(pid, signal))
}

/// Kills the process group that a process leads, if it leads one.
pub(super) fn kill_group(pid: Pid) -> io::Result<()> {
    sent(process::kill_process_group(pid, Signal::KILL))
}

fn sent(sent: rustix::io::Result<()>) -> io::Result<()> {
    match sent {
        Err(Errno::SRCH) => Ok(()),
        sent => Ok(sent?),
    }
}
