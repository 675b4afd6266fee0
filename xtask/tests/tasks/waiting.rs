//! Tests that mostly wait. They run in the background while the others run, so that together they take little longer
//! than the longest of them. In alphabetical order they are the last, so that no thread waits while there is work.

use std::collections::HashMap;
use std::sync::Mutex;
use std::thread::JoinHandle;

use crate::embedded::{crashes, machine};
use crate::faults::waiting as faults;

/// The tests, by name.
static TESTS: [(&str, fn()); 20] = [
    ("state_folder_removed", crashes::state_folder_removed),
    ("lock_file_removed", crashes::lock_file_removed),
    ("hanging_server", machine::hanging_server),
    ("never_answers", faults::never_answers),
    ("drips", faults::drips),
    ("connections_hang", faults::connections_hang),
    ("throttles_for_ever", faults::throttles_for_ever),
    ("hands_all_back", faults::hands_all_back),
    ("population_in_part", faults::population_in_part),
    ("no_credentials", faults::no_credentials),
    ("postgres_never_answers", faults::postgres_never_answers),
    ("postgres_handshake_stalls", faults::postgres_handshake_stalls),
    ("postgres_stops_answering", faults::postgres_stops_answering),
    ("postgres_is_at_work", faults::postgres_is_at_work),
    ("postgres_waits_for_a_lock", faults::postgres_waits_for_a_lock),
    ("postgres_connections_hang", faults::postgres_connections_hang),
    ("daemon_is_silent", faults::daemon_is_silent),
    ("daemon_never_answers", faults::daemon_never_answers),
    ("nobody_listens", faults::nobody_listens),
    ("never_ready", faults::never_ready),
];

/// The running tests whose results have not been taken; `None` before the first call of [`begin`].
static BEGUN: Mutex<Option<HashMap<&str, JoinHandle<()>>>> = Mutex::new(None);

/// Starts all of them at the first call, if this program runs all its tests.
pub(crate) fn begin() {
    let begin = || {
        let is_whole = std::env::args().skip(1).all(|argument| argument.starts_with("--test-threads"));
        let tests = TESTS.iter().filter(|_| is_whole);
        tests.map(|(name, test)| (*name, std::thread::spawn(test))).collect()
    };
    BEGUN.lock().unwrap().get_or_insert_with(begin);
}

/// Waits for a running test, or runs it.
pub(crate) fn wait(name: &str) {
    begin();
    let begun = BEGUN.lock().unwrap().as_mut().and_then(|begun| begun.remove(name));
    let run = || TESTS.iter().find(|(test, _)| *test == name).unwrap().1();
    let Some(begun) = begun else { return run() };
    if let Err(panic) = begun.join() {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        panic!("{}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default());
    }
}

#[test]
fn servers_whose_whole_state_folder_was_removed_end_by_themselves() {
    wait("state_folder_removed");
}

#[test]
fn a_postgres_whose_lock_file_was_removed_is_not_joined_by_a_second_one() {
    wait("lock_file_removed");
}

#[test]
fn a_server_that_hangs_is_not_taken_for_one_that_was_not_started() {
    wait("hanging_server");
}
