//! Conversations: a user's list of them, the messages in one, and new messages.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::new_message::{NewMessage, To};
use super::page_of::PageOf;
use super::user_of;
use crate::messages::{self, Message, MessageGroup};
use crate::server::access::Session;
use crate::server::app::App;
use crate::server::dynamodb::{Draft, Posted};
use crate::server::live::Written;
use crate::server::refusal::Refusal;
use crate::time;
use crate::users::User;

/// `GET /api/message_groups?before=TIME&limit=N`: the user's conversations, newest first.
pub(super) async fn groups(
    State(app): State<Arc<App>>,
    Session { user, .. }: Session,
    page: PageOf,
) -> Result<(HeaderMap, Json<Vec<Value>>), Refusal> {
    let groups = app.dynamodb.groups(user.uuid, page.before, page.limit).await?;
    let oldest = groups.last().map(|group| group.last_message_at);
    let next = page.next("/api/message_groups", groups.len(), oldest);
    Ok((next, Json(groups.iter().map(group_json).collect())))
}

/// `GET /api/messages/{group}?before=TIME&limit=N`: the newest messages before that time, oldest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Session { user, .. }: Session,
    path: Path<String>,
    page: PageOf,
) -> Result<(HeaderMap, Json<Vec<Value>>), Refusal> {
    let group = group_in_path(&path)?;
    let found = readable(&app, &user, group, app.dynamodb.messages(group, page.before, page.limit)).await?;
    let oldest = found.first().map(|message| message.created_at);
    let next = page.next(&format!("/api/messages/{group}"), found.len(), oldest);
    Ok((next, Json(found.iter().map(message_json).collect())))
}

/// `POST /api/messages`: sends a message to a group or to a handle, and returns it.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Session { user, .. }: Session,
    new: NewMessage,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let posted = send(&app, &user, new).await?;
    Ok((StatusCode::CREATED, Json(message_json(&posted.message))))
}

fn group_json(group: &MessageGroup) -> Value {
    json!({
        "uuid": group.message_group_uuid,
        "display_name": group.other.display_name,
        "handle": group.other.handle,
        "message": group.message,
        "created_at": time::format(group.last_message_at),
    })
}

fn message_json(message: &Message) -> Value {
    json!({
        "uuid": message.message_uuid,
        "message_group_uuid": message.message_group_uuid,
        "display_name": message.sender.display_name,
        "handle": message.sender.handle,
        "message": message.message,
        "created_at": time::format(message.created_at),
    })
}

pub(crate) fn group_in_path(path: &Path<String>) -> Result<Uuid, Refusal> {
    Uuid::try_parse(path).map_err(|_| Refusal::malformed("message_group_uuid", "is not a uuid"))
}

/// The result of `read`, if `user` is a member of `group`. Both are queried concurrently. A user who is no member
/// learns nothing, not even whether the group exists.
pub(crate) async fn readable<T>(
    app: &App,
    user: &User,
    group: Uuid,
    read: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let (row, found) = tokio::join!(app.dynamodb.row(user.uuid, group), read);
    row?.ok_or_else(no_member).and(found)
}

pub(crate) fn no_member() -> Refusal {
    Refusal::forbidden("message_group_uuid", "you are not a member of this group")
}

pub(crate) async fn send(app: &Arc<App>, sender: &User, new: NewMessage) -> Result<Posted, Refusal> {
    let NewMessage { text, to, idempotency_key } = new;
    let draft = Draft { sender, text: &text, idempotency_key: idempotency_key.as_deref() };
    let posted = match to {
        To::Group(group) => app.dynamodb.post(group, draft).await?.ok_or_else(no_member)?,
        To::User(handle) => to_user(app, &handle, draft).await?,
    };
    // Also for a repeated request: the server that wrote the message may have stopped before it notified anybody.
    app.tell(Written::from(&posted));
    Ok(posted)
}

/// Writes into the group with a user. Begins the group if there is none.
async fn to_user(app: &App, handle: &str, draft: Draft<'_>) -> Result<Posted, Refusal> {
    let sender = draft.sender;
    let receiver = user_of(app, handle).await?;
    if receiver.uuid == sender.uuid {
        return Err(Refusal::unacceptable("handle", "is your own: a conversation takes two"));
    }
    let into_group = async || match app.dynamodb.group_with(sender.uuid, receiver.uuid).await? {
        Some(group) => app.dynamodb.post(group, draft).await,
        None => Ok(None),
    };
    if let Some(posted) = into_group().await? {
        return Ok(posted);
    }
    let pair = messages::group_of_pair([sender.uuid, receiver.uuid]);
    app.postgres
        .in_turn(pair, async {
            // Another request may have begun it in the meantime.
            match into_group().await? {
                Some(posted) => Ok(posted),
                None => app.dynamodb.open(draft, &receiver).await,
            }
        })
        .await
}
