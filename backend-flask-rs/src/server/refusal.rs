//! The answers to requests that fail.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request fails. The answer is JSON: `{"error": "...", "field": "..."}`.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error: String,
    /// The part of the request that is wrong, or the part of the server that failed.
    pub(crate) field: &'static str,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, field: &'static str, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), field }
    }

    /// The request has the wrong form.
    pub(crate) fn malformed(field: &'static str, error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, field, error)
    }

    /// The request is well formed but cannot be carried out.
    pub(crate) fn unacceptable(field: &'static str, error: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, field, error)
    }

    /// The user of the request is unknown.
    pub(crate) fn unknown(field: &'static str, error: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, field, error)
    }

    /// The user is not allowed to do that.
    pub(crate) fn forbidden(field: &'static str, error: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, field, error)
    }

    /// Something that the request names does not exist.
    pub(crate) fn absent(field: &'static str, error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, field, error)
    }

    /// `part` of the server is not available. The cause may contain host names, so it is only logged.
    pub(crate) fn unavailable(part: &'static str, cause: impl std::fmt::Display) -> Self {
        tracing::error!(part, cause = %cause, "unavailable");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, part, format!("{part} is not available now"))
    }

    /// `part` contains invalid data. The cause is only logged.
    pub(crate) fn corrupt(part: &'static str, cause: impl std::fmt::Display) -> Self {
        tracing::error!(part, cause = %cause, "corrupt");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, part, format!("{part} contains invalid data"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, error, field } = &self;
        let mut response = (*status, axum::Json(json!({ "error": error, "field": field }))).into_response();
        let header = match *status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                Some((header::RETRY_AFTER, "1"))
            }
            _ => None,
        };
        let header = header.map(|(name, value)| (name, HeaderValue::from_static(value)));
        response.headers_mut().extend(header);
        // For the page, which shows it in HTML.
        response.extensions_mut().insert(self);
        response
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
