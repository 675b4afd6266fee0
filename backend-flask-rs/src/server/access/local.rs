//! On the developer's machine, a header or a cookie names the user.
//!
//! That is safe only while nobody else can send one. The port is on the loopback address, and [`guard`] checks each
//! request: another web page in the developer's browser must not act as the user.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::http::header::{COOKIE as COOKIE_HEADER, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method};
use axum::middleware::Next;
use axum::response::Response;

use super::single;
use crate::server::postgres::Postgres;
use crate::server::refusal::Refusal;
use crate::sql;
use crate::users::User;

/// The header with the user's handle.
const USER: &str = "x-cruddur-user";

/// The cookie with the user's handle.
pub(crate) const COOKIE: &str = "cruddur_user";

/// The names of this machine. A foreign page whose name resolves to the loopback address (DNS rebinding) sends
/// another.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Headers that proxies and content networks add, besides those that begin with `x-forwarded`.
const PROXY: [&str; 16] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "true-client-ip",
    "cf-connecting-ip",
    "cdn-loop",
    "fastly-client-ip",
    "fly-client-ip",
    "tailscale-user-login",
    "x-amzn-trace-id",
    "x-arr-clientip",
    "x-cloud-trace-context",
    "x-envoy-external-address",
];

/// Accepts only requests from this machine itself.
pub(crate) async fn guard(request: Request, next: Next) -> Result<Response, Refusal> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_canonical());
    if !peer.is_some_and(|peer| peer.is_loopback()) {
        return Err(Refusal::forbidden("address", "local access is for this machine only"));
    }
    let headers = request.headers();
    let is_of_a_proxy = |name: &HeaderName| {
        let name = name.as_str();
        name.starts_with("x-forwarded") || PROXY.contains(&name)
    };
    if headers.keys().any(is_of_a_proxy) {
        return Err(Refusal::forbidden("forwarded", "local access refuses requests from a proxy"));
    }
    if !host(headers).is_some_and(|host| NAMES.contains(&name(host))) {
        return Err(Refusal::forbidden("host", "local access needs the host localhost or 127.0.0.1"));
    }
    Ok(next.run(request).await)
}

/// The user named by the header, or else by the cookie.
pub(super) async fn user(postgres: &Postgres, parts: &Parts) -> Result<User, Refusal> {
    let headers = &parts.headers;
    let (field, handle) = if headers.contains_key(USER) {
        // A page of another origin cannot set this header without a preflight request.
        (USER, single(headers, USER))
    } else {
        let handle = cookie(headers);
        let changes = !matches!(parts.method, Method::GET | Method::HEAD);
        if handle.is_some() && changes && !is_from_own_page(headers) {
            return Err(Refusal::forbidden("origin", "the cookie is valid only on this server's own page"));
        }
        (COOKIE, handle)
    };
    let handle = handle.filter(|handle| !handle.is_empty());
    let handle = handle.ok_or_else(|| Refusal::unknown(USER, "send the header x-cruddur-user: HANDLE"))?;
    let user = postgres.user(sql::USER_BY_HANDLE, handle).await?;
    user.ok_or_else(|| Refusal::unknown(field, "there is no user with this handle"))
}

/// Whether the request comes from a page of this server. Browsers send the origin with each POST.
/// <https://www.rfc-editor.org/rfc/rfc6454#section-7>
pub(crate) fn is_from_own_page(headers: &HeaderMap) -> bool {
    let origin = single(headers, ORIGIN.as_str()).and_then(|origin| origin.strip_prefix("http://"));
    origin.is_some() && origin == host(headers)
}

fn host(headers: &HeaderMap) -> Option<&str> {
    single(headers, HOST.as_str())
}

fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The handle in the first cookie of this name.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE_HEADER).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim() == COOKIE).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_host_s_name_is_the_text_before_its_port() {
        assert_eq!(name("localhost:4567"), "localhost");
        assert_eq!(name("[::1]:4567"), "[::1]");
        assert_eq!(name("localhost"), "localhost");
        assert_eq!(name("[::1]"), "[::1]");
        assert_eq!(name("localhost:evil"), "localhost:evil");
    }

    #[test]
    fn only_the_same_origin_is_the_own_page() {
        let own = |origin| is_from_own_page(&headers(&[(HOST, "localhost:4567"), (ORIGIN, origin)]));
        assert!(own("http://localhost:4567"));
        for other in ["http://localhost:3000", "https://localhost:4567", "null", "http://evil.example"] {
            assert!(!own(other), "{other}");
        }
        assert!(!is_from_own_page(&headers(&[(HOST, "localhost:4567")])));
        assert!(!is_from_own_page(&headers(&[])));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let found = |cookies| cookie(&headers(&[(COOKIE_HEADER, cookies)])).map(str::to_owned);
        assert_eq!(found("a=b; cruddur_user=bayko; c=d"), Some("bayko".to_owned()));
        assert_eq!(found("xcruddur_user=bayko"), None);
    }
}
