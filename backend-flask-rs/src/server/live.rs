//! Notifies listeners of each message that any server writes.
//!
//! A server notifies its own listeners directly, and the other servers through Postgres (LISTEN and NOTIFY). A
//! notification only says that there is something to read. A listener that misses one reads that message after the
//! next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast::{Receiver, Sender, channel};
use uuid::Uuid;

use super::dynamodb::Posted;
use super::refusal::Refusal;
use crate::time;

/// How many notifications a listener may lag behind. A slower one is only told that it has missed some.
const BACKLOG: usize = 256;

/// The maximum number of listeners. Each holds a connection.
const LISTENERS: usize = 1_000;

/// The maximum number of listeners of one user.
const LISTENERS_OF_ONE_USER: usize = 16;

/// A message that was written, without its text, which only the members may read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) members: [Uuid; 2],
    /// What the members are told, as the API's JSON.
    #[serde(flatten)]
    pub(crate) event: Value,
}

impl From<&Posted> for Written {
    fn from(Posted { message, members }: &Posted) -> Self {
        let event = json!({
            "message_group_uuid": message.message_group_uuid,
            "uuid": message.message_uuid,
            "handle": message.sender.handle,
            "created_at": time::format(message.created_at),
        });
        Self { members: *members, event }
    }
}

pub(crate) struct Live {
    /// `None` after the server was told to stop.
    sender: Mutex<Option<Sender<Option<Written>>>>,
    /// One entry for each user who listens or has just stopped. Each listener of the user holds a clone, so the
    /// reference count is the number of listeners.
    places: Mutex<HashMap<Uuid, Arc<()>>>,
}

impl Default for Live {
    fn default() -> Self {
        Self { sender: Mutex::new(Some(channel(BACKLOG).0)), places: Mutex::default() }
    }
}

impl Live {
    /// Notifies all listeners at this server: of a message, or with `None` that they may have missed some.
    pub(crate) fn tell(&self, news: Option<Written>) {
        if let Some(sender) = &*self.sender.lock().unwrap_or_else(PoisonError::into_inner) {
            // An error means that there are no listeners.
            _ = sender.send(news);
        }
    }

    /// What listeners are told, and the user's place, which the listener holds while it listens.
    pub(crate) fn listen(&self, user: Uuid) -> Result<(Receiver<Option<Written>>, Arc<()>), Refusal> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = sender.as_ref().filter(|sender| sender.receiver_count() < LISTENERS);
        let sender = sender
            .ok_or_else(|| Refusal::unavailable("events", "too many listeners, or the server is stopping"))?;
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|_, place| Arc::strong_count(place) > 1);
        let place = places.entry(user).or_default();
        if Arc::strong_count(place) > LISTENERS_OF_ONE_USER {
            let error = "you have too many streams open";
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "events", error));
        }
        Ok((sender.subscribe(), Arc::clone(place)))
    }

    pub(crate) fn end(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
