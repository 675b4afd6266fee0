//! News: who listens is told of each message that is written.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast::{Receiver, Sender, channel};

use super::dynamodb::Posted;

/// How many messages a listener may be behind before it is told only that it has missed some.
const BACKLOG: usize = 256;

/// How many may listen at once. Each one holds a connection.
const LISTENERS: usize = 1_000;

/// Tells listeners of messages.
pub(crate) struct Live {
    /// None once the server stops.
    sender: Mutex<Option<Sender<Arc<Posted>>>>,
}

impl Default for Live {
    fn default() -> Self {
        Self { sender: Mutex::new(Some(channel(BACKLOG).0)) }
    }
}

impl Live {
    /// Tells everyone who listens.
    pub(crate) fn tell(&self, posted: &Arc<Posted>) {
        if let Some(sender) = &*self.sender.lock().unwrap_or_else(PoisonError::into_inner) {
            // An error means that nobody listens.
            _ = sender.send(Arc::clone(posted));
        }
    }

    /// Listens from now on; `None` where too many do, or the server stops.
    pub(crate) fn listen(&self) -> Option<Receiver<Arc<Posted>>> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = sender.as_ref().filter(|sender| sender.receiver_count() < LISTENERS)?;
        Some(sender.subscribe())
    }

    /// Ends what everyone hears.
    pub(crate) fn end(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
