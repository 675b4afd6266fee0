//! Parses and checks a new message in a request's body.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::messages;
use crate::server::access;
use crate::server::dynamodb::IDEMPOTENCY_KEY;
use crate::server::layers;
use crate::server::refusal::Refusal;

const TEXT: &str = "message";
const GROUP: &str = "message_group_uuid";
const HANDLE: &str = "handle";

/// The maximum length of an idempotency key.
const LONGEST_KEY: usize = 255;

pub(crate) struct NewMessage {
    pub(crate) text: String,
    pub(crate) to: To,
    /// The client's id for the request, with which the client may repeat it.
    pub(crate) idempotency_key: Option<String>,
}

pub(crate) enum To {
    Group(Uuid),
    /// A user, by handle.
    User(String),
}

impl NewMessage {
    /// Checks the text and the recipient, which is a group or a handle. `field` takes a field's text.
    pub(crate) fn check(
        mut field: impl FnMut(&'static str) -> Result<Option<String>, Refusal>,
        idempotency_key: Option<String>,
    ) -> Result<Self, Refusal> {
        let text = field(TEXT)?.ok_or_else(|| Refusal::unacceptable(TEXT, "the message is missing"))?;
        messages::check_text(&text)
            .map_err(|why| Refusal::unacceptable(TEXT, format!("the message {why}")))?;
        let to = match (field(GROUP)?, field(HANDLE)?) {
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
        Ok(Self { text, to, idempotency_key })
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
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(layers::unread)?;
        let mut body: Map<String, Value> = serde_json::from_slice(&body).map_err(not_an_object)?;
        let text = |field| match body.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::unacceptable(field, "is not a string")),
        };
        Self::check(text, idempotency_key)
    }
}

fn not_an_object(error: serde_json::Error) -> Refusal {
    let error = match error.is_data() {
        true => "is not a JSON object".to_owned(),
        false => format!("is not valid JSON at line {}, column {}", error.line(), error.column()),
    };
    Refusal::malformed("body", error)
}

/// The idempotency key, without the quotes that the header's draft standard demands.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    if !headers.contains_key(IDEMPOTENCY_KEY) {
        return Ok(None);
    }
    let bare = |text| str::strip_prefix(text, '"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let key = access::single(headers, IDEMPOTENCY_KEY)
        .map(bare)
        .filter(|key| (1..=LONGEST_KEY).contains(&key.len()));
    let key = key.ok_or_else(|| {
        Refusal::malformed(IDEMPOTENCY_KEY, "must be there once, with 1 to 255 ASCII characters")
    })?;
    Ok(Some(key.to_owned()))
}
