//! The page: groups on the left, a conversation on the right, and a box to write in.
//!
//! It works without a script; the script only avoids reloading it. maud escapes everything that users wrote, and the
//! content security policy allows only scripts that this server sends.

mod view;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::map_response_with_state;
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

pub(super) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let policy =
        SetResponseHeaderLayer::if_not_present(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    let pages = Router::new()
        .route("/", get(home))
        .route("/user", post(switch))
        .route("/messages", post(write))
        .route("/messages/{group}", get(conversation))
        .route("/to/{handle}", get(first_message))
        .layer(map_response_with_state(Arc::clone(app), refused_in_html));
    let css = get(async || asset("text/css; charset=utf-8", include_str!("page/page.css")));
    let js = get(async || asset("text/javascript; charset=utf-8", include_str!("page/page.js")));
    Router::new()
        .merge(pages)
        .route("/parts/groups", get(groups_part))
        .route("/parts/messages/{group}", get(messages_part))
        .route("/page.css", css)
        .route("/page.js", js)
        .layer(policy)
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    // The browser asks each time, because a developer may change the file.
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text)
}

/// Shows a refusal as a page. A browser without a user gets a page to choose one.
async fn refused_in_html(State(app): State<Arc<App>>, response: Response) -> Response {
    let Some(refusal) = response.extensions().get::<Refusal>() else { return response };
    let page = match refusal.status {
        StatusCode::UNAUTHORIZED => {
            app.postgres.latest_users(USERS).await.map(|users| view::who_are_you(&users))
        }
        _ => Ok(view::refusal(refusal)),
    };
    let page = page.unwrap_or_else(|refusal| view::refusal(&refusal));
    (refusal.status, page).into_response()
}

/// `GET /`: the groups, and the newest one's messages, which a narrow screen hides.
async fn home(State(app): State<Arc<App>>, Session { user, .. }: Session) -> Result<Markup, Refusal> {
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
    Session { user, .. }: Session,
    path: Path<String>,
) -> Result<Markup, Refusal> {
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
    Session { user, .. }: Session,
    Path(handle): Path<String>,
) -> Result<Response, Refusal> {
    let other = user_of(&app, &handle).await?;
    if let Some(group) = app.dynamodb.group_with(user.uuid, other.uuid).await? {
        return Ok(Redirect::to(&format!("/messages/{group}")).into_response());
    }
    let groups = app.dynamodb.groups(user.uuid, None, GROUPS).await?;
    let open = Conversation { with: other, group: None, messages: Vec::new() };
    Ok(whole(&app, &user, &groups, Some(open), false).await?.into_response())
}

async fn read(app: &App, group: &MessageGroup) -> Result<Conversation, Refusal> {
    let messages = app.dynamodb.messages(group.message_group_uuid, None, MESSAGES).await?;
    Ok(Conversation { with: group.other.clone(), group: Some(group.message_group_uuid), messages })
}

async fn whole(
    app: &App,
    user: &User,
    groups: &[MessageGroup],
    open: Option<Conversation>,
    is_home: bool,
) -> Result<Markup, Refusal> {
    let users = app.postgres.latest_users(USERS).await?;
    Ok(view::page(user, &users, groups, open.as_ref(), is_home))
}

/// `GET /parts/groups?open=GROUP`: the list of groups, for the script.
async fn groups_part(
    State(app): State<Arc<App>>,
    Session { user, .. }: Session,
    Query(query): Query<HashMap<String, Uuid>>,
) -> Result<Markup, Refusal> {
    let groups = app.dynamodb.groups(user.uuid, None, GROUPS).await?;
    Ok(view::groups(&groups, query.get("open").copied()))
}

/// `GET /parts/messages/{group}?before=TIME` or `?after=TIME`: messages, oldest first, for the script.
async fn messages_part(
    State(app): State<Arc<App>>,
    Session { user, .. }: Session,
    path: Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Markup, Refusal> {
    let group = group_in_path(&path)?;
    let time = |name| query.get(name).map(|text| time(name, text)).transpose();
    let (before, after) = (time("before")?, time("after")?);
    let read = async {
        match after {
            Some(after) => app.dynamodb.messages_after(group, after, NEW_MESSAGES).await,
            None => app.dynamodb.messages(group, before, MESSAGES).await,
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
) -> Result<Response, Refusal> {
    if !access::is_from_own_page(&headers) {
        return Err(Refusal::forbidden("origin", "users are switched on this server's own page"));
    }
    let user = user_of(&app, &handle).await?;
    if !user.handle.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(Refusal::unacceptable("handle", "cannot be kept in a cookie"));
    }
    let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", access::COOKIE, user.handle);
    Ok(([(SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

/// `POST /messages`: writes a message without the script.
async fn write(
    State(app): State<Arc<App>>,
    Session { user, .. }: Session,
    Form(mut form): Form<HashMap<String, String>>,
) -> Result<Redirect, Refusal> {
    let new = NewMessage::check(|field| Ok(form.remove(field)), None)?;
    let posted = send(&app, &user, new).await?;
    Ok(Redirect::to(&format!("/messages/{}", posted.message.message_group_uuid)))
}
