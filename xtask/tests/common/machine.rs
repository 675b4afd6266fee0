//! What tests need of the machine that they run on, whichever program they test.

use std::io::Write as _;
use std::time::{Duration, Instant};

/// The password of every test's Postgres, with letters that a URL must encode. Never to be printed.
pub(crate) const PASSWORD: &str = "hush-p@ss/w:rd";
pub(crate) const PASSWORD_IN_URL: &str = "hush-p%40ss%2Fw%3Ard";

/// A port on the loopback that nothing listened on a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Says that a test shows nothing here.
pub(crate) fn skip(why: &str) {
    say(&format!("SKIPPED: {why}"));
}

/// Says something, past the test harness, which keeps what a passing test prints to itself.
pub(crate) fn say(what: &str) {
    let line = format!("\n{what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Looks every few milliseconds until there is something, for at most `bound`.
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
