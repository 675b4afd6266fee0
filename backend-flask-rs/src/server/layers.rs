//! The middleware around all handlers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest as _, MatchedPath, Request};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LINK, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tracing::Instrument as _;
use uuid::Uuid;

use super::access;
use super::app::App;
use super::dynamodb::IDEMPOTENCY_KEY;
use super::refusal::Refusal;

/// How long a request may take until the head of its answer. Posting gives up earlier.
pub(super) const BOUND: Duration = Duration::from_secs(15);

/// How long a client may take to send a body.
const BODY_BOUND: Duration = Duration::from_secs(10);

/// The maximum size of a body. It has room for 1,024 escaped characters.
const LONGEST_BODY: usize = 32 << 10;

/// The maximum length of a client's request id.
const LONGEST_ID: usize = 64;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Adds the middleware to `routes`. `front_end` is the origin whose pages may call the API, and `bound` is how long a
/// request may take.
pub(super) fn around(
    routes: Router<Arc<App>>,
    app: &Arc<App>,
    front_end: Option<HeaderValue>,
    bound: Duration,
) -> Router {
    let routes = routes
        .layer(from_fn(with_whole_body))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, bound))
        .layer(CatchPanicLayer::new())
        .layer(from_fn(refused_in_json));
    let routes = match front_end {
        Some(origin) => routes.layer(cors(origin)),
        None => routes,
    };
    let routes = if app.access.is_local() { routes.layer(from_fn(access::guard)) } else { routes };
    routes
        .layer(or_else(CACHE_CONTROL, "no-store"))
        .layer(or_else(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .layer(or_else(REFERRER_POLICY, "same-origin"))
        .layer(or_else(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(from_fn(logged))
        .with_state(Arc::clone(app))
}

/// Sets a header unless the handler has set it.
fn or_else(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// Lets the pages of `origin` call the API. They send a token, so cookies are not allowed.
fn cors(origin: HeaderValue) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            HeaderName::from_static(IDEMPOTENCY_KEY),
            HeaderName::from_static("x-cruddur-user"),
        ])
        .expose_headers([LINK, REQUEST_ID])
        .max_age(Duration::from_secs(3600))
}

/// Converts the refusals of axum and of other layers, which are plain text about types or empty, to JSON in plain
/// words.
async fn refused_in_json(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_plain =
        response.headers().get(CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !is_plain || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (field, error) = match status {
        StatusCode::BAD_REQUEST => ("request", "the path or the query has the wrong form"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("request", "the body has the wrong content type"),
        StatusCode::UNPROCESSABLE_ENTITY => {
            ("request", "a field of the body is missing or has the wrong form")
        }
        StatusCode::GATEWAY_TIMEOUT => ("time", "not done in time"),
        StatusCode::INTERNAL_SERVER_ERROR => ("server", "internal error"),
        _ => ("request", status.canonical_reason().unwrap_or_default()),
    };
    Refusal::new(status, field, error).into_response()
}

/// Reads the whole body before the handler runs.
async fn with_whole_body(request: Request, next: Next) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let read = Bytes::from_request(Request::from_parts(parts.clone(), body), &());
    let body = tokio::time::timeout(BODY_BOUND, read).await.map_err(|_| {
        let error = format!("did not arrive within {} s", BODY_BOUND.as_secs());
        Refusal::new(StatusCode::REQUEST_TIMEOUT, "body", error)
    })?;
    let body = body.map_err(unread)?;
    Ok(next.run(Request::from_parts(parts, Body::from(body))).await)
}

/// The answer if a body cannot be read.
pub(super) fn unread(rejection: BytesRejection) -> Refusal {
    let status = rejection.status();
    let error = match status {
        StatusCode::PAYLOAD_TOO_LARGE => format!("is larger than {} KiB", LONGEST_BODY >> 10),
        _ => "was cut short".to_owned(),
    };
    Refusal::new(status, "body", error)
}

/// Logs each request when it is answered. Everything logged in between carries its id, as the answer does. A client's
/// own id is kept if it is suitable for the log.
async fn logged(request: Request, next: Next) -> Response {
    let is_fit = |id: &&str| {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(is_fit)
    };
    let id = access::single(request.headers(), REQUEST_ID.as_str()).filter(is_fit);
    let id = id.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    // Without the query and the headers, which may contain secrets.
    let path = request.extensions().get::<MatchedPath>().map_or(request.uri().path(), MatchedPath::as_str);
    let span =
        tracing::info_span!("request", id, method = %request.method(), path, user = tracing::field::Empty);
    let started = Instant::now();
    async {
        let mut response = next.run(request).await;
        response.headers_mut().extend(HeaderValue::try_from(&id).ok().map(|id| (REQUEST_ID, id)));
        let ms = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX) as f64 / 1000.0;
        tracing::info!(status = response.status().as_u16(), ms, "answered");
        response
    }
    .instrument(span)
    .await
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;
    use crate::server::Settings;

    #[tokio::test]
    async fn a_handler_that_panics_or_hangs_is_answered_for_in_json_with_all_headers() {
        let settings = [
            ("BACKEND_ACCESS", "cognito"),
            ("CONNECTION_URL", "postgresql://app:none@127.0.0.1:1/nowhere"),
            ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1"),
            ("COGNITO_ISSUER", "https://issuer.example"),
            ("COGNITO_CLIENT_ID", "app"),
        ];
        let find = |name: &str| settings.iter().find(|(set, _)| *set == name);
        let settings = Settings::read(|name| find(name).map(|(_, value)| (*value).to_owned())).unwrap();
        let app = Arc::new(App::new(settings).await.unwrap());
        let panics = get(async || -> StatusCode { panic!("a fault of the test") });
        let routes = Router::new().route("/panics", panics).route("/hangs", get(std::future::pending::<()>));
        let router = around(routes, &app, None, Duration::from_secs(1));
        for (path, status, field) in [("/panics", 500, "server"), ("/hangs", 504, "time")] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
            assert_eq!(head.status, status, "{path}");
            for header in [CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, REQUEST_ID] {
                assert!(head.headers.contains_key(&header), "{path}: {header} is not in {head:?}");
            }
            let body = axum::body::to_bytes(body, LONGEST_BODY).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["field"], field, "{path}: {body}");
        }
    }
}
