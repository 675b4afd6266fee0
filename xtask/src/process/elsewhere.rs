//! In the place of what a Unix system does with processes.

use std::{fmt, io};

/// There is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pid {}

impl Pid {
    pub(super) fn as_raw_pid(self) -> i32 {
        match self {}
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

/// What a process is asked for, as on Unix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signal;

impl Signal {
    /// To end, as Ctrl-C asks.
    pub(crate) const INT: Self = Self;
    /// To end.
    pub(crate) const TERM: Self = Self;
    /// To end at once.
    pub(crate) const KILL: Self = Self;
}

pub(super) fn send(pid: Pid, _: Signal) -> io::Result<()> {
    match pid {}
}

pub(super) fn kill_group(pid: Pid) -> io::Result<()> {
    match pid {}
}
