//! Message groups: a user's list of conversations.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use uuid::Uuid;

use super::page_of::PageOf;
use crate::messages::MessageGroup;
use crate::server::access::CurrentUser;
use crate::server::app::App;
use crate::server::refusal::Refusal;
use crate::time;

/// A conversation: with whom, and what was said last.
#[derive(Serialize)]
pub(super) struct Group {
    uuid: Uuid,
    display_name: String,
    handle: String,
    message: String,
    created_at: String,
}

impl From<MessageGroup> for Group {
    fn from(group: MessageGroup) -> Self {
        Self {
            uuid: group.message_group_uuid,
            display_name: group.other.display_name,
            handle: group.other.handle,
            message: group.message,
            created_at: time::format(group.last_message_at),
        }
    }
}

/// `GET /api/message_groups?before=TIME&limit=N`: the user's conversations, newest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    CurrentUser(user): CurrentUser,
    page: PageOf,
) -> Result<(HeaderMap, Json<Vec<Group>>), Refusal> {
    let groups = app.dynamodb.groups(user.uuid, page.before, page.limit).await?;
    let oldest = groups.last().map(|group| group.last_message_at);
    let next = page.next("/api/message_groups", groups.len(), oldest);
    Ok((next, Json(groups.into_iter().map(Group::from).collect())))
}
