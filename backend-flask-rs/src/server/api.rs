//! The HTTP API: a file for each subject. Field names are those that Cruddur's front end reads.

mod activities;
mod events;
mod groups;
mod health;
mod messages;
mod page_of;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};

use super::app::App;
use super::refusal::Refusal;

pub(super) use messages::{NewMessage, readable, send};
pub(super) use page_of::{group_in_path, time};

/// The routes.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/health-check", get(health::check))
        .route("/api/message_groups", get(groups::list))
        .route("/api/messages", post(messages::create))
        .route("/api/messages/{group}", get(messages::list))
        .route("/api/users/@{handle}/short", get(users::short))
        .route("/api/activities/home", get(activities::home))
        .route("/api/events", get(events::listen))
        .fallback(async || Refusal::absent("path", "there is nothing here"))
        .method_not_allowed_fallback(async || {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this is not how to ask for it")
        })
}
