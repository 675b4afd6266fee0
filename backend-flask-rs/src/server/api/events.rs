//! News for whoever listens, as server-sent events.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use crate::server::access::CurrentUser;
use crate::server::app::App;
use crate::server::dynamodb::Posted;
use crate::server::refusal::Refusal;
use crate::time;

/// `GET /api/events`: an event `message` for each message that the user can read, with its group, uuid and
/// time; and `missed` where there were more than could be told.
pub(super) async fn listen(
    State(app): State<Arc<App>>,
    CurrentUser(user): CurrentUser,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let news = app.live.listen();
    let news = news.ok_or_else(|| Refusal::unavailable("events", "too many listen, or the server stops"))?;
    let events = stream::unfold(news, move |mut news| async move {
        let event = next(&mut news, user.uuid).await?;
        Some((Ok(event), news))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// The next event for `user`; `None` once the server stops.
async fn next(news: &mut Receiver<Arc<Posted>>, user: Uuid) -> Option<Event> {
    loop {
        match news.recv().await {
            Ok(posted) if posted.members.contains(&user) => return Some(event(&posted)),
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return Some(Event::default().event("missed").data("{}")),
            Err(RecvError::Closed) => return None,
        }
    }
}

fn event(posted: &Posted) -> Event {
    let message = &posted.message;
    let data = json!({
        "message_group_uuid": message.message_group_uuid,
        "uuid": message.message_uuid,
        "handle": message.user_handle,
        "created_at": time::format(message.created_at),
    });
    Event::default().event("message").data(data.to_string())
}
