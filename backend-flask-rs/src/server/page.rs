//! The page: groups on the left, a conversation on the right, a box to write in.
//!
//! It is made here, whole, and works without a script; the script beside it only saves loading it again.
//! Whatever a user wrote is escaped by maud, and the policy lets nothing run that this server did not send.

mod assets;
mod parts;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, FromRequestParts, Path, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::Markup;
use serde::Deserialize;
use tower_http::set_header::SetResponseHeaderLayer;

use super::access::{self, CurrentUser};
use super::api::{NewMessage, group_in_path, send};
use super::app::App;
use super::refusal::Refusal;
use crate::messages::MessageGroup;
use crate::users::User;
use view::Conversation;

/// Nothing from elsewhere, nothing in the page itself, and nobody's frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// How many messages are shown at first, and how many older ones are loaded at once.
const MESSAGES: usize = 40;

/// How many new messages are shown at once; more than that are loaded in turns.
const NEW_MESSAGES: usize = 100;

const GROUPS: usize = 100;

/// How many users one can switch to, or write to.
const USERS: i64 = 30;

/// The page's routes.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(home))
        .route("/user", post(switch))
        .route("/messages", post(write))
        .route("/messages/{group}", get(conversation))
        .route("/to/{handle}", get(first_message))
        .route("/parts/groups", get(parts::groups))
        .route("/parts/messages/{group}", get(parts::messages))
        .route("/page.css", get(assets::style))
        .route("/page.js", get(assets::script))
        .layer(SetResponseHeaderLayer::if_not_present(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(POLICY),
        ))
}

/// A refusal, for people to read.
struct Sorry(Refusal);

impl From<Refusal> for Sorry {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Sorry {
    fn into_response(self) -> Response {
        (self.0.status, view::sorry(&self.0)).into_response()
    }
}

/// The user whom the page is for; who has not said so yet is asked.
struct Reader(User);

impl FromRequestParts<Arc<App>> for Reader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        match CurrentUser::from_request_parts(parts, app).await {
            Ok(CurrentUser(user)) => Ok(Self(user)),
            Err(refusal) if refusal.status == StatusCode::UNAUTHORIZED => {
                let users = app.postgres.latest_users(USERS).await;
                Err(users.map(|users| view::who_are_you(&users)).map_err(Sorry).into_response())
            }
            Err(refusal) => Err(Sorry(refusal).into_response()),
        }
    }
}

/// `GET /`: the groups, and the newest of them opened where there is room for both.
async fn home(State(app): State<Arc<App>>, Reader(user): Reader) -> Result<Markup, Sorry> {
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
) -> Result<Markup, Sorry> {
    let wanted = group_in_path(&path)?;
    let groups = app.dynamodb.groups(user.uuid, None, GROUPS).await?;
    let group = groups.iter().find(|group| group.message_group_uuid == wanted);
    let no_member = || Refusal::forbidden("message_group_uuid", "you are not a member of this group");
    let open = read(&app, group.ok_or_else(no_member)?).await?;
    whole(&app, &user, &groups, Some(open), false).await
}

/// `GET /to/{handle}`: a conversation that has not begun.
async fn first_message(
    State(app): State<Arc<App>>,
    Reader(user): Reader,
    Path(handle): Path<String>,
) -> Result<Response, Sorry> {
    let other = app.postgres.user_by_handle(&handle).await?;
    let other = other.ok_or_else(|| Refusal::absent("handle", "there is no user with this handle"))?;
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
) -> Result<Markup, Sorry> {
    let users = app.postgres.latest_users(USERS).await?;
    Ok(view::page(&view::Page { user, users: &users, groups, open: open.as_ref(), is_home }))
}

#[derive(Deserialize)]
struct Switch {
    handle: String,
}

/// `POST /user`: from now on the page is for another user.
async fn switch(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(Switch { handle }): Form<Switch>,
) -> Result<Response, Sorry> {
    if !access::is_from_own_page(&headers) {
        return Err(Refusal::forbidden("origin", "users are switched on this server's own page").into());
    }
    let user = app.postgres.user_by_handle(&handle).await?;
    let user = user.ok_or_else(|| Refusal::absent("handle", "there is no user with this handle"))?;
    // A handle that a cookie cannot hold is nobody's whom one could switch to.
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

/// `POST /messages`: writes without the script's help.
async fn write(
    State(app): State<Arc<App>>,
    CurrentUser(user): CurrentUser,
    Form(written): Form<Written>,
) -> Result<Redirect, Sorry> {
    let new = NewMessage::check(written.message, written.message_group_uuid, written.handle)?;
    let posted = send(&app, &user, new).await?;
    Ok(Redirect::to(&format!("/messages/{}", posted.message.message_group_uuid)))
}
