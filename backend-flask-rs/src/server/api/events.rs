//! Notifications as server-sent events.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use chrono::Utc;
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use crate::server::access::Session;
use crate::server::app::App;
use crate::server::live::Written;
use crate::server::refusal::Refusal;

/// How long a browser waits before it reconnects.
const RETRY: Duration = Duration::from_secs(1);

/// `GET /api/events`: an event `message` for each message that the user can read, with its group, uuid and time, and
/// an event `missed` if some were lost. The stream ends when the user's token expires.
pub(super) async fn listen(
    State(app): State<Arc<App>>,
    Session { user, ends }: Session,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let listener = app.live.listen(user.uuid)?;
    let events = stream::unfold(listener, move |(mut news, place)| async move {
        let event = next(&mut news, user.uuid).await?;
        Some((Ok(event), (news, place)))
    });
    let end = async move {
        match ends.map(|ends| (ends - Utc::now()).to_std().unwrap_or_default()) {
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    };
    let events = stream::iter([Ok(Event::default().retry(RETRY))]).chain(events).take_until(end);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// The next event for `user`; `None` when the server stops.
async fn next(news: &mut Receiver<Option<Written>>, user: Uuid) -> Option<Event> {
    let (name, data) = loop {
        match news.recv().await {
            Ok(Some(written)) if written.members.contains(&user) => {
                break ("message", written.event.to_string());
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(RecvError::Lagged(_)) => break ("missed", "{}".to_owned()),
            Err(RecvError::Closed) => return None,
        }
    };
    Some(Event::default().event(name).data(data))
}
