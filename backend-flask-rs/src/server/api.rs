//! The HTTP API. Its field names are those that Cruddur's front end reads.

mod events;
mod messages;
mod new_message;
mod page_of;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::app::App;
use super::refusal::Refusal;
use super::{dynamodb, postgres};
use crate::sql;
use crate::users::User;

pub(super) use messages::{group_in_path, no_member, readable, send};
pub(super) use new_message::NewMessage;
pub(super) use page_of::time;

/// How long each database may take for a health check, which monitors request every few seconds.
const HEALTH_BOUND: Duration = Duration::from_secs(3);

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/health-check", get(health))
        .route("/api/message_groups", get(messages::groups))
        .route("/api/messages", post(messages::create))
        .route("/api/messages/{group}", get(messages::list))
        .route("/api/users/@{handle}/short", get(user))
        .route("/api/activities/home", get(activities))
        .route("/api/events", get(events::listen))
}

/// `GET /api/health-check`: 200 if both databases answer and have their tables, otherwise 503.
async fn health(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let asked = tokio::join!(
        tokio::time::timeout(HEALTH_BOUND, app.postgres.health()),
        tokio::time::timeout(HEALTH_BOUND, app.dynamodb.health())
    );
    let late = |part| move |_| Err(Refusal::unavailable(part, "no answer in time"));
    let answers = [
        (postgres::NAME, asked.0.unwrap_or_else(late(postgres::NAME))),
        (dynamodb::NAME, asked.1.unwrap_or_else(late(dynamodb::NAME))),
    ];
    let mut body = json!({ "success": true });
    for (name, answer) in answers.into_iter().rev() {
        body[name] = "ready".into();
        if let Err(refusal) = answer {
            body[name] = refusal.error.as_str().into();
            body["success"] = false.into();
            body["error"] = refusal.error.into();
            body["field"] = name.into();
        }
    }
    let status = if body["success"] == true { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body))
}

/// `GET /api/users/@{handle}/short`
async fn user(State(app): State<Arc<App>>, Path(handle): Path<String>) -> Result<Json<Value>, Refusal> {
    let User { uuid, display_name, handle } = user_of(&app, &handle).await?;
    Ok(Json(json!({ "uuid": uuid, "display_name": display_name, "handle": handle })))
}

/// Finds the user with the handle in a request.
pub(super) async fn user_of(app: &App, handle: &str) -> Result<User, Refusal> {
    let user = app.postgres.user(sql::USER_BY_HANDLE, handle).await?;
    user.ok_or_else(|| Refusal::absent("handle", "there is no user with this handle"))
}

/// `GET /api/activities/home`
async fn activities(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Refusal> {
    Ok(([(CONTENT_TYPE, "application/json")], app.postgres.home_activities().await?))
}
