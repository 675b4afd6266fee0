//! News: listeners are told of each message that is written, at whichever server.
//!
//! A server tells its own listeners at once, and the other servers through Postgres (LISTEN and NOTIFY). News only
//! says that there is something to read: a listener that misses one reads the message after the next one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{Receiver, Sender, channel};
use uuid::Uuid;

use super::dynamodb::Posted;
use super::refusal::Refusal;
use crate::time;

/// How many news a listener may be behind. One that is further behind is only told that it has missed some.
const BACKLOG: usize = 256;

/// How many may listen at once. Each one holds a connection.
const LISTENERS: usize = 1_000;

/// How many of them may be one user.
const LISTENERS_OF_ONE_USER: usize = 16;

/// What is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum News {
    /// A message was written.
    Written(Written),
    /// There may have been news that this server missed.
    Missed,
}

/// A message that was written, without its text, which only its members may read.
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

/// The listeners at this server.
pub(crate) struct Live {
    /// `None` once the server stops.
    sender: Mutex<Option<Sender<Arc<News>>>>,
    /// A place for each user who listens or has just listened, held once more by each of the user's listeners.
    places: Mutex<HashMap<Uuid, Arc<()>>>,
}

/// Somebody who listens.
pub(crate) struct Listener {
    pub(crate) news: Receiver<Arc<News>>,
    _place: Arc<()>,
}

impl Default for Live {
    fn default() -> Self {
        Self { sender: Mutex::new(Some(channel(BACKLOG).0)), places: Mutex::default() }
    }
}

impl Live {
    /// Tells everybody who listens at this server.
    pub(crate) fn tell(&self, news: News) {
        if let Some(sender) = &*self.sender.lock().unwrap_or_else(PoisonError::into_inner) {
            // An error means that nobody listens.
            _ = sender.send(Arc::new(news));
        }
    }

    /// Listens from now on, for `user`.
    pub(crate) fn listen(&self, user: Uuid) -> Result<Listener, Refusal> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = sender.as_ref().filter(|sender| sender.receiver_count() < LISTENERS);
        let sender =
            sender.ok_or_else(|| Refusal::unavailable("events", "too many listen, or the server stops"))?;
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|_, place| Arc::strong_count(place) > 1);
        let place = places.entry(user).or_default();
        if Arc::strong_count(place) > LISTENERS_OF_ONE_USER {
            let error = "you have too many streams open";
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "events", error));
        }
        Ok(Listener { news: sender.subscribe(), _place: Arc::clone(place) })
    }

    /// Ends all event streams.
    pub(crate) fn end(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
