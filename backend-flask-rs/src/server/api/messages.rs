//! Messages: reading a conversation, and writing into one.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::page_of::{PageOf, group_in_path};
use crate::messages::{self, Message};
use crate::server::access::CurrentUser;
use crate::server::app::App;
use crate::server::dynamodb::{Draft, IDEMPOTENCY_KEY, Posted};
use crate::server::live::Written;
use crate::server::refusal::Refusal;
use crate::time;
use crate::users::User;

const TEXT: &str = "message";
const GROUP: &str = "message_group_uuid";
const HANDLE: &str = "handle";

/// How long an idempotency key may be.
const LONGEST_KEY: usize = 255;

/// How long a client may take to send a body.
const BODY_BOUND: Duration = Duration::from_secs(10);

/// A message and who sent it.
#[derive(Serialize)]
pub(super) struct Sent<'a> {
    uuid: Uuid,
    message_group_uuid: Uuid,
    display_name: &'a str,
    handle: &'a str,
    message: &'a str,
    created_at: String,
}

impl<'a> From<&'a Message> for Sent<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            uuid: message.message_uuid,
            message_group_uuid: message.message_group_uuid,
            display_name: &message.sender.display_name,
            handle: &message.sender.handle,
            message: &message.message,
            created_at: time::format(message.created_at),
        }
    }
}

/// `GET /api/messages/{group}?before=TIME&limit=N`: the newest messages before that, oldest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    CurrentUser(user): CurrentUser,
    path: Path<String>,
    page: PageOf,
) -> Result<(HeaderMap, Json<Value>), Refusal> {
    let group = group_in_path(&path)?;
    let found = readable(&app, &user, group, app.dynamodb.messages(group, page.before, page.limit)).await?;
    let next = format!("/api/messages/{group}");
    let next = page.next(&next, found.len(), found.last().map(|message| message.created_at));
    let sent: Vec<_> = found.iter().rev().map(Sent::from).collect();
    let body = serde_json::to_value(sent).map_err(|error| Refusal::corrupt("messages", error))?;
    Ok((next, Json(body)))
}

/// What `read` finds in `group`, if `user` is a member of it. Both are asked for at once.
///
/// # Errors
/// Who is no member learns nothing, not even whether there is such a group.
pub(crate) async fn readable<T>(
    app: &App,
    user: &User,
    group: Uuid,
    read: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let (is_member, found) = tokio::join!(app.dynamodb.is_member(user.uuid, group), read);
    if is_member? { found } else { Err(no_member()) }
}

fn no_member() -> Refusal {
    Refusal::forbidden(GROUP, "you are not a member of this group")
}

/// What is to be written, and where to.
pub(crate) struct NewMessage {
    pub(crate) text: String,
    pub(crate) to: To,
    /// By which the client knows its request again.
    pub(crate) idempotency_key: Option<String>,
}

/// Where a message goes.
pub(crate) enum To {
    /// Into a group.
    Group(Uuid),
    /// To a user, by handle.
    User(String),
}

impl NewMessage {
    /// Checks what was sent: a text, and a group or a handle.
    ///
    /// # Errors
    /// Which of them is missing or is not what it should be.
    pub(crate) fn check(
        text: Option<String>,
        group: Option<String>,
        handle: Option<String>,
    ) -> Result<Self, Refusal> {
        let text = text.ok_or_else(|| Refusal::unacceptable(TEXT, "the message is missing"))?;
        messages::check_text(&text)
            .map_err(|why| Refusal::unacceptable(TEXT, format!("the message {why}")))?;
        let to = match (group, handle) {
            (Some(group), None) => {
                To::Group(Uuid::try_parse(&group).map_err(|_| Refusal::unacceptable(GROUP, "is not a uuid"))?)
            }
            (None, Some(handle)) => To::User(handle),
            (None, None) => {
                return Err(Refusal::unacceptable(GROUP, "say which group, or to which handle"));
            }
            (Some(_), Some(_)) => {
                return Err(Refusal::unacceptable(HANDLE, "a message goes to a group or to a handle"));
            }
        };
        Ok(Self { text, to, idempotency_key: None })
    }
}

impl<S: Send + Sync> FromRequest<S> for NewMessage {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
        if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
            let error = "must be application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", error));
        }
        let idempotency_key = idempotency_key(request.headers())?;
        let body = tokio::time::timeout(BODY_BOUND, Bytes::from_request(request, state)).await;
        let body = body.map_err(|_| {
            let error = format!("did not come within {} s", BODY_BOUND.as_secs());
            Refusal::new(StatusCode::REQUEST_TIMEOUT, "body", error)
        })?;
        let body = body.map_err(|error| Refusal::new(error.status(), "body", error.body_text()))?;
        let mut body: Map<String, Value> =
            serde_json::from_slice(&body).map_err(|error| Refusal::malformed("body", error.to_string()))?;
        let mut text = |field: &'static str| match body.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::unacceptable(field, "is not a string")),
        };
        Ok(Self { idempotency_key, ..Self::check(text(TEXT)?, text(GROUP)?, text(HANDLE)?)? })
    }
}

/// The key, without the quotes that the header's draft standard has it in.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let bare = |text| str::strip_prefix(text, '"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let key = value.to_str().ok().map(bare).filter(|key| (1..=LONGEST_KEY).contains(&key.len()));
    let key = key.ok_or_else(|| Refusal::malformed(IDEMPOTENCY_KEY, "must be 1 to 255 ASCII characters"))?;
    Ok(Some(key.to_owned()))
}

/// `POST /api/messages`: writes into a group, or to a handle. Answers with the message.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    CurrentUser(user): CurrentUser,
    new: NewMessage,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let posted = send(&app, &user, new).await?;
    let body = serde_json::to_value(Sent::from(&posted.message));
    let body = body.map_err(|error| Refusal::corrupt("messages", error))?;
    Ok((StatusCode::CREATED, Json(body)))
}

/// Writes a message, and tells who listens.
///
/// # Errors
/// The sender is no member of the group; there is no user of that handle; a database cannot be asked.
pub(crate) async fn send(app: &Arc<App>, sender: &User, new: NewMessage) -> Result<Posted, Refusal> {
    let NewMessage { text, to, idempotency_key } = new;
    let draft = Draft { sender, text: &text, idempotency_key: idempotency_key.as_deref() };
    let posted = match to {
        To::Group(group) => app.dynamodb.post(group, draft).await?.ok_or_else(no_member)?,
        To::User(handle) => to_user(app, &handle, draft).await?,
    };
    // Of one that was written before too: the server that wrote it may not have come to that.
    app.tell(Written::from(&posted));
    Ok(posted)
}

/// Writes to a user: into the group that both have, or into a new one.
async fn to_user(app: &App, handle: &str, draft: Draft<'_>) -> Result<Posted, Refusal> {
    let sender = draft.sender;
    let receiver = app.postgres.user_by_handle(handle).await?;
    let receiver = receiver.ok_or_else(|| Refusal::absent(HANDLE, "there is no user with this handle"))?;
    if receiver.uuid == sender.uuid {
        return Err(Refusal::unacceptable(HANDLE, "is your own: a conversation takes two"));
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
            // Whoever had the turn before may have begun it.
            match into_group().await? {
                Some(posted) => Ok(posted),
                None => app.dynamodb.open(draft, &receiver).await,
            }
        })
        .await
}
