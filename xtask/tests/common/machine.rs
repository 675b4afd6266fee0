//! Ports, passwords and waiting, for the tests of any program.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The password of the tests' Postgres servers, with letters that a URL must encode. No command may print it.
pub(crate) const PASSWORD: &str = "hush-p@ss/w:rd";
pub(crate) const PASSWORD_IN_URL: &str = "hush-p%40ss%2Fw%3Ard";

/// A free port on the loopback address that stays free until it is used: no other call returns it, and no connection
/// gets it. Systems take the local ports of connections from 32768 (Linux, `net.ipv4.ip_local_port_range`) or 49152
/// (IANA's dynamic ports; macOS, Windows) upwards, where a connection may take a server's port.
pub(crate) fn free_port() -> u16 {
    const RANGE: std::ops::Range<u32> = 20_000..32_768;
    /// If a port is taken, servers move to the ports just above it, so leave a gap.
    const STEP: u32 = 7;
    static CALLS: AtomicU32 = AtomicU32::new(0);
    // Programs that run at the same time have successive ids. Their first ports are far apart.
    let begin = std::process::id().wrapping_mul(1_009);
    let ports = std::iter::repeat_with(|| {
        let offset = begin.wrapping_add(CALLS.fetch_add(STEP, Ordering::Relaxed));
        u16::try_from(RANGE.start + offset % (RANGE.end - RANGE.start)).unwrap()
    });
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.take(RANGE.len()).find(is_free).unwrap()
}

/// Prints that a test checks nothing on this machine.
pub(crate) fn skip(why: &str) {
    say(&format!("SKIPPED: {why}"));
}

/// Prints a message past the test harness, which hides the output of passing tests.
pub(crate) fn say(what: &str) {
    let line = format!("\n{what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Checks every few milliseconds until there is a result, for at most `bound`.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, bound: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < bound, "still no {what} after {bound:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
