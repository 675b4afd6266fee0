//! What is answered instead of what was asked for.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A status, why, and what of the request it is about.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error: String,
    /// The field of the request; or what could not do its part.
    pub(crate) field: &'static str,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, field: &'static str, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), field }
    }

    /// The request is not in the form that it should have.
    pub(crate) fn malformed(field: &'static str, error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, field, error)
    }

    /// The request is well formed, and asks for what cannot be.
    pub(crate) fn unacceptable(field: &'static str, error: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, field, error)
    }

    /// Nobody knows who the request is from.
    pub(crate) fn unknown(field: &'static str, error: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, field, error)
    }

    /// It is known who the request is from, and it is not theirs to ask.
    pub(crate) fn forbidden(field: &'static str, error: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, field, error)
    }

    /// There is no such thing.
    pub(crate) fn absent(field: &'static str, error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, field, error)
    }

    /// `part` of the server's cannot do its work. Its reason is for the log: it may name hosts.
    pub(crate) fn unavailable(part: &'static str, cause: impl std::fmt::Display) -> Self {
        tracing::error!(part, cause = %cause, "unavailable");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, part, format!("{part} cannot be asked now"))
    }

    /// What `part` holds makes no sense. What it is, is for the log.
    pub(crate) fn corrupt(part: &'static str, cause: impl std::fmt::Display) -> Self {
        tracing::error!(part, cause = %cause, "corrupt");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, part, format!("{part} holds what makes no sense"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, error, field } = self;
        let mut response = (status, axum::Json(json!({ "error": error, "field": field }))).into_response();
        let (name, value) = match status {
            StatusCode::UNAUTHORIZED => (header::WWW_AUTHENTICATE, "Bearer"),
            StatusCode::SERVICE_UNAVAILABLE => (header::RETRY_AFTER, "1"),
            _ => return response,
        };
        response.headers_mut().insert(name, HeaderValue::from_static(value));
        response
    }
}
