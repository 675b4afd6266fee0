//! News: who listens is told of each message that is written, whichever server it is written at.
//!
//! A server tells its own listeners at once, and the other servers through Postgres (LISTEN and NOTIFY).
//! News is only that there is something to read: one that is lost costs its listener the time until the
//! next, and never a message.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{Receiver, Sender, channel};
use uuid::Uuid;

use super::dynamodb::Posted;
use crate::time;

/// How many messages a listener may be behind before it is told only that it has missed some.
const BACKLOG: usize = 256;

/// How many may listen at once. Each one holds a connection.
const LISTENERS: usize = 1_000;

/// What is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum News {
    /// A message was written.
    Written(Written),
    /// There may have been news that nobody heard of here.
    Missed,
}

/// A message that was written, without its text: that is read by who may read it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Written {
    /// Who may read it.
    pub(crate) members: [Uuid; 2],
    pub(crate) message_group_uuid: Uuid,
    pub(crate) uuid: Uuid,
    pub(crate) handle: String,
    pub(crate) created_at: String,
}

impl From<&Posted> for Written {
    fn from(Posted { message, members }: &Posted) -> Self {
        Self {
            members: *members,
            message_group_uuid: message.message_group_uuid,
            uuid: message.message_uuid,
            handle: message.sender.handle.clone(),
            created_at: time::format(message.created_at),
        }
    }
}

/// Tells this server's listeners.
pub(crate) struct Live {
    /// None once the server stops.
    sender: Mutex<Option<Sender<Arc<News>>>>,
}

impl Default for Live {
    fn default() -> Self {
        Self { sender: Mutex::new(Some(channel(BACKLOG).0)) }
    }
}

impl Live {
    /// Tells everyone who listens at this server.
    pub(crate) fn tell(&self, news: News) {
        if let Some(sender) = &*self.sender.lock().unwrap_or_else(PoisonError::into_inner) {
            // An error means that nobody listens.
            _ = sender.send(Arc::new(news));
        }
    }

    /// Listens from now on; `None` where too many do, or the server stops.
    pub(crate) fn listen(&self) -> Option<Receiver<Arc<News>>> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = sender.as_ref().filter(|sender| sender.receiver_count() < LISTENERS)?;
        Some(sender.subscribe())
    }

    /// Ends what everyone hears.
    pub(crate) fn end(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
