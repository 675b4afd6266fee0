//! Whether the server can do its work: whether both databases answer, and have their tables.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::server::app::App;
use crate::server::refusal::Refusal;
use crate::server::{dynamodb, postgres};

/// How long either may take. Whoever asks does so every few seconds.
const BOUND: Duration = Duration::from_secs(3);

/// `GET /api/health-check`: 200 where all is well, else 503.
pub(super) async fn check(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let asked = tokio::join!(
        tokio::time::timeout(BOUND, app.postgres.health()),
        tokio::time::timeout(BOUND, app.dynamodb.health())
    );
    let late = |part| move |_| Err(Refusal::unavailable(part, "no answer in time"));
    let answers = [
        (postgres::NAME, asked.0.unwrap_or_else(late(postgres::NAME))),
        (dynamodb::NAME, asked.1.unwrap_or_else(late(dynamodb::NAME))),
    ];
    let mut body = json!({ "success": answers.iter().all(|(_, answer)| answer.is_ok()) });
    let mut status = StatusCode::OK;
    for (name, answer) in answers {
        body[name] = answer.as_ref().map_or_else(|refusal| refusal.error.as_str(), |()| "ready").into();
        if let Err(refusal) = answer
            && status == StatusCode::OK
        {
            status = StatusCode::SERVICE_UNAVAILABLE;
            body["error"] = refusal.error.into();
            body["field"] = name.into();
        }
    }
    (status, Json(body))
}
