//! The page: groups on the left, a conversation on the right, and a box to write in.
//!
//! It works without a script; the script only avoids reloading it. maud escapes everything that users wrote, and the
//! content security policy allows only scripts that this server sends.

mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, FromRequestParts, Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::Markup;
use serde::Deserialize;
use tower_http::set_header::SetResponseHeaderLayer;
use uuid::Uuid;

use super::access::{self, Session};
use super::api::{NewMessage, group_in_path, no_member, readable, send, time, user_of};
use super::app::App;
use super::refusal::Refusal;
use crate::messages::MessageGroup;
use crate::users::User;
use view::Conversation;

/// Allows nothing from elsewhere, nothing inline, and no frame around the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The number of messages that are shown first, and of older messages that are loaded at once.
const MESSAGES: usize = 40;

/// The number of new messages that are loaded at once.
const NEW_MESSAGES: usize = 100;

const GROUPS: usize = 100;

/// The number of users that are offered to switch to or to write to.
const USERS: i64 = 30;

pub(super) fn routes() -> Router<Arc<App>> {
    let policy =
        SetResponseHeaderLayer::if_not_present(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Router::new()
        .route("/", get(home))
        .route("/user", post(switch))
        .route("/messages", post(write))
        .route("/messages/{group}", get(conversation))
        .route("/to/{handle}", get(first_message))
        .route("/parts/groups", get(groups_part))
        .route("/parts/messages/{group}", get(messages_part))
        .route("/page.css", get(async || asset("text/css; charset=utf-8", include_str!("page/page.css"))))
        .route(
            "/page.js",
            get(async || asset("text/javascript; charset=utf-8", include_str!("page/page.js"))),
        )
        .layer(policy)
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    // The browser asks each time, because a developer may change the file.
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text)
}

struct RefusalPage(Refusal);

impl From<Refusal> for RefusalPage {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for RefusalPage {
    fn into_response(self) -> Response {
        (self.0.status, view::refusal(&self.0)).into_response()
    }
}

/// The user of the page. A browser without a user gets a page to choose one.
struct Reader(User);

impl FromRequestParts<Arc<App>> for Reader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        match Session::from_request_parts(parts, app).await {
            Ok(Session { user, .. }) => Ok(Self(user)),
            Err(refusal) if refusal.status == StatusCode::UNAUTHORIZED => {
                let users = app.postgres.latest_users(USERS).await;
                Err(users.map(|users| view::who_are_you(&users)).map_err(RefusalPage).into_response())
            }
            Err(refusal) => Err(RefusalPage(refusal).into_response()),
        }
    }
}

/// `GET /`: the groups, and the newest one's messages, which a narrow screen hides.
async fn home(State(app): State<Arc<App>>, Reader(user): Reader) -> Result<Markup, RefusalPage> {
    let groups = app.dynamodb.groups(user.uuid, None, GROUPS).await?;
    let open = match groups.first() {
        Some(group) => Some(read(&app, group).await?),
        None => None,
    };
    whole(&app, &user, &groups, open, true).await
}

/// `GET /messages/{group}`
async fn conversation(
    State(app): State<Arc<App>>,
    Reader(user): Reader,
    path: Path<String>,
) -> Result<Markup, RefusalPage> {
    let wanted = group_in_path(&path)?;
    let groups = app.dynamodb.groups(user.uuid, None, GROUPS).await?;
    let shown = groups.iter().find(|group| group.message_group_uuid == wanted).cloned();
    let group = match shown {
        Some(group) => group,
        None => app.dynamodb.row(user.uuid, wanted).await?.ok_or_else(no_member)?.group,
    };
    let open = read(&app, &group).await?;
    whole(&app, &user, &groups, Some(open), false).await
}

/// `GET /to/{handle}`: a conversation that has not begun yet.
async fn first_message(
    State(app): State<Arc<App>>,
    Reader(user): Reader,
    Path(handle): Path<String>,
) -> Result<Response, RefusalPage> {
    let other = user_of(&app, &handle).await?;
    if let Some(group) = app.dynamodb.group_with(user.uuid, other.uuid).await? {
        return Ok(Redirect::to(&format!("/messages/{group}")).into_response());
    }
    let groups = app.dynamodb.groups(user.uuid, None, GROUPS).await?;
    let open = Conversation { with: other, group: None, messages: Vec::new() };
    Ok(whole(&app, &user, &groups, Some(open), false).await?.into_response())
}

async fn read(app: &App, group: &MessageGroup) -> Result<Conversation, Refusal> {
    let mut messages = app.dynamodb.messages(group.message_group_uuid, None, MESSAGES).await?;
    messages.reverse();
    Ok(Conversation { with: group.other.clone(), group: Some(group.message_group_uuid), messages })
}

async fn whole(
    app: &App,
    user: &User,
    groups: &[MessageGroup],
    open: Option<Conversation>,
    is_home: bool,
) -> Result<Markup, RefusalPage> {
    let users = app.postgres.latest_users(USERS).await?;
    Ok(view::page(&view::Page { user, users: &users, groups, open: open.as_ref(), is_home }))
}

#[derive(Deserialize)]
struct Open {
    open: Option<Uuid>,
}

/// `GET /parts/groups?open=GROUP`: the list of groups, for the script.
async fn groups_part(
    State(app): State<Arc<App>>,
    Session { user, .. }: Session,
    Query(Open { open }): Query<Open>,
) -> Result<Markup, Refusal> {
    Ok(view::groups(&app.dynamodb.groups(user.uuid, None, GROUPS).await?, open))
}

#[derive(Deserialize)]
struct Around {
    before: Option<String>,
    after: Option<String>,
}

/// `GET /parts/messages/{group}?before=TIME` or `?after=TIME`: messages, oldest first, for the script.
async fn messages_part(
    State(app): State<Arc<App>>,
    Session { user, .. }: Session,
    path: Path<String>,
    Query(Around { before, after }): Query<Around>,
) -> Result<Markup, Refusal> {
    let group = group_in_path(&path)?;
    let before = before.map(|before| time("before", &before)).transpose()?;
    let after = after.map(|after| time("after", &after)).transpose()?;
    let read = async {
        match after {
            Some(after) => app.dynamodb.messages_after(group, after, NEW_MESSAGES).await,
            None => {
                let mut messages = app.dynamodb.messages(group, before, MESSAGES).await?;
                messages.reverse();
                Ok(messages)
            }
        }
    };
    let messages = readable(&app, &user, group, read).await?;
    Ok(view::messages(&messages, user.uuid))
}

#[derive(Deserialize)]
struct Switch {
    handle: String,
}

/// `POST /user`: switches the page to another user.
async fn switch(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(Switch { handle }): Form<Switch>,
) -> Result<Response, RefusalPage> {
    if !access::is_from_own_page(&headers) {
        return Err(Refusal::forbidden("origin", "users are switched on this server's own page").into());
    }
    let user = user_of(&app, &handle).await?;
    if !user.handle.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(Refusal::unacceptable("handle", "cannot be kept in a cookie").into());
    }
    let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", access::COOKIE, user.handle);
    Ok(([(SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

#[derive(Deserialize)]
struct Written {
    message: Option<String>,
    message_group_uuid: Option<String>,
    handle: Option<String>,
}

/// `POST /messages`: writes a message without the script.
async fn write(
    State(app): State<Arc<App>>,
    Session { user, .. }: Session,
    Form(written): Form<Written>,
) -> Result<Redirect, RefusalPage> {
    let new = NewMessage::check(written.message, written.message_group_uuid, written.handle)?;
    let posted = send(&app, &user, new).await?;
    Ok(Redirect::to(&format!("/messages/{}", posted.message.message_group_uuid)))
}
