//! News for whoever listens, as server-sent events.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream, StreamExt as _};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use crate::server::access::CurrentUser;
use crate::server::app::App;
use crate::server::live::{News, Written};
use crate::server::refusal::Refusal;

/// How long a browser is to wait before it listens again.
const RETRY: Duration = Duration::from_secs(1);

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
    let events = stream::iter([Ok(Event::default().retry(RETRY))]).chain(events);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// The next event for `user`; `None` once the server stops.
async fn next(news: &mut Receiver<Arc<News>>, user: Uuid) -> Option<Event> {
    let missed = || Event::default().event("missed").data("{}");
    loop {
        match news.recv().await.as_deref() {
            Ok(News::Written(written)) if written.members.contains(&user) => return Some(event(written)),
            Ok(News::Written(_)) => {}
            Ok(News::Missed) | Err(RecvError::Lagged(_)) => return Some(missed()),
            Err(RecvError::Closed) => return None,
        }
    }
}

fn event(written: &Written) -> Event {
    let Written { message_group_uuid, uuid, handle, created_at, .. } = written;
    let data = json!({
        "message_group_uuid": message_group_uuid,
        "uuid": uuid,
        "handle": handle,
        "created_at": created_at,
    });
    Event::default().event("message").data(data.to_string())
}
