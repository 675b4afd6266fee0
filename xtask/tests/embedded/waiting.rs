//! Tests that mostly wait. In alphabetical order they are the last, so that no thread waits while there is work.

use crate::common::waits::Waits;
use crate::{crashes, machine};

pub(crate) static WAITS: Waits = Waits::new(&[
    ("state_folder_removed", crashes::state_folder_removed),
    ("lock_file_removed", crashes::lock_file_removed),
    ("hanging_server", machine::hanging_server),
]);

#[test]
fn servers_whose_whole_state_folder_was_removed_end_by_themselves() {
    WAITS.wait("state_folder_removed");
}

#[test]
fn a_postgres_whose_lock_file_was_removed_is_not_joined_by_a_second_one() {
    WAITS.wait("lock_file_removed");
}

#[test]
fn a_server_that_hangs_is_not_taken_for_one_that_was_not_started() {
    WAITS.wait("hanging_server");
}
