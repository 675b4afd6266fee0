//! Users, as anybody may see them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use uuid::Uuid;

use crate::server::app::App;
use crate::server::refusal::Refusal;

/// A user, in short.
#[derive(Serialize)]
pub(super) struct Short {
    uuid: Uuid,
    display_name: String,
    handle: String,
}

/// `GET /api/users/@{handle}/short`
pub(super) async fn short(
    State(app): State<Arc<App>>,
    Path(handle): Path<String>,
) -> Result<Json<Short>, Refusal> {
    let user = app.postgres.user_by_handle(&handle).await?;
    let user = user.ok_or_else(|| Refusal::absent("handle", "there is no user with this handle"))?;
    Ok(Json(Short { uuid: user.uuid, display_name: user.display_name, handle: user.handle }))
}
