//! Activities, which anybody may read.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::server::app::App;
use crate::server::postgres::Activity;
use crate::server::refusal::Refusal;

/// `GET /api/activities/home`
pub(super) async fn home(State(app): State<Arc<App>>) -> Result<Json<Vec<Activity>>, Refusal> {
    app.postgres.home_activities().await.map(Json)
}
