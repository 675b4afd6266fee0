//! Parts of the page, for its script to put in.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use maud::Markup;
use serde::Deserialize;
use uuid::Uuid;

use super::{GROUPS, MESSAGES, NEW_MESSAGES, view};
use crate::server::access::CurrentUser;
use crate::server::api::{group_in_path, readable, time};
use crate::server::app::App;
use crate::server::refusal::Refusal;

#[derive(Deserialize)]
pub(super) struct Open {
    open: Option<Uuid>,
}

/// `GET /parts/groups?open=GROUP`: the list of groups.
pub(super) async fn groups(
    State(app): State<Arc<App>>,
    CurrentUser(user): CurrentUser,
    Query(Open { open }): Query<Open>,
) -> Result<Markup, Refusal> {
    Ok(view::groups(&app.dynamodb.groups(user.uuid, None, GROUPS).await?, open))
}

#[derive(Deserialize)]
pub(super) struct Around {
    before: Option<String>,
    after: Option<String>,
}

/// `GET /parts/messages/{group}?before=TIME` or `?after=TIME`: messages, oldest first.
pub(super) async fn messages(
    State(app): State<Arc<App>>,
    CurrentUser(user): CurrentUser,
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
