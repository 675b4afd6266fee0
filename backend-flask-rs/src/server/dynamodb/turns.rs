//! Turns at writing.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// A queue for each of this many parts of all groups. Two groups that share one wait for each other now
/// and then, and memory does not grow with the number of groups.
const QUEUES: usize = 256;

/// Lets one writer of this process at a time write to a group. That saves attempts that would only be
/// cancelled; what is written is right without it, since other processes write too.
#[derive(Clone)]
pub(super) struct Turns(Arc<[Mutex<()>]>);

impl Default for Turns {
    fn default() -> Self {
        Self((0..QUEUES).map(|_| Mutex::default()).collect())
    }
}

impl Turns {
    /// Waits for the turn at `group`, which lasts until what is returned is dropped.
    pub(super) async fn of(&self, group: Uuid) -> MutexGuard<'_, ()> {
        // The last byte is random in each version of uuid that names a group.
        let queue = usize::from(group.as_bytes()[15]) % QUEUES;
        self.0[queue].lock().await
    }
}
