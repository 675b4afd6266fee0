//! A proxy in front of dynoxide's server, which would answer any web page and accept any Host. The proxy refuses
//! browsers' requests and logs failures.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use dynoxide::Database;
use dynoxide::server::serve_with_shutdown;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::{connections, log};

/// Ports for dynoxide's server, which can listen only on TCP. Browsers never connect to these ports.
/// <https://fetch.spec.whatwg.org/#port-blocking>
const PORTS_BROWSERS_REFUSE: [u16; 19] = [
    1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679,
    6697, 10080,
];

/// How many characters of an error are logged. Some errors of dynoxide's repeat the whole request.
const LOGGED: usize = 300;

/// The maximum size of an error that is read for the log.
const LONGEST_ERROR: usize = 32 << 20;

/// The maximum size of a request, which is DynamoDB's.
const LONGEST_REQUEST: usize = 16 << 20;

/// How long requests under way may continue after the server is told to stop.
const STOP_BOUND: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Forward {
    client: Client<HttpConnector, Body>,
    address: SocketAddr,
    patience: Duration,
}

/// Serves until `stop` completes, then finishes the requests under way, unless they take too long. dynoxide's server
/// listens at `behind`. `patience` is how long a client may take to send a request, and may go without reading the
/// answer.
pub(crate) async fn serve(
    listener: TcpListener,
    behind: TcpListener,
    database: Database,
    patience: Duration,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let forward = Forward { client, address: behind.local_addr()?, patience };
    let app = Router::new().fallback(answer).with_state(forward);
    let (stopped, is_stopped) = oneshot::channel::<()>();
    let behind = tokio::spawn(serve_with_shutdown(behind, database, async { _ = is_stopped.await }));
    let open = connections::accept(listener, app, patience, stop).await;
    let end = async {
        open.shutdown().await;
        drop(stopped);
        behind.await
    };
    let Ok(ended) = tokio::time::timeout(STOP_BOUND, end).await else {
        log(format_args!("some requests were still under way after {} s", STOP_BOUND.as_secs()));
        return Ok(());
    };
    ended?.map_err(|error| anyhow!(error))
}

/// Listens at an internal port. Linux has several loopback addresses, each with its own ports.
pub(crate) async fn listen_behind() -> Result<TcpListener> {
    for last in 1..=250 {
        for port in PORTS_BROWSERS_REFUSE {
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), port)).await {
                return Ok(listener);
            }
        }
    }
    bail!("all ports that browsers refuse are taken")
}

async fn answer(State(forward): State<Forward>, request: Request) -> Response {
    let operation = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = operation.unwrap_or(request.method().as_str()).to_owned();
    if let Some(why) = refusal(request.headers(), request.uri()) {
        return logged(&operation, StatusCode::FORBIDDEN, refused(why));
    }
    let (parts, body) = request.into_parts();
    // Read the whole body first, so that a slow client does not occupy dynoxide's server.
    let body = match tokio::time::timeout(forward.patience, to_bytes(body, LONGEST_REQUEST)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return logged(&operation, StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        Err(_) => {
            let error = format!("the request did not arrive within {} s", forward.patience.as_secs());
            return logged(&operation, StatusCode::REQUEST_TIMEOUT, error);
        }
    };
    match forward.send(Request::from_parts(parts, Body::from(body))).await {
        // Errors of the client are not logged. Some are normal, such as asking for a table that does not exist.
        Ok(response) if !response.status().is_server_error() => response,
        Ok(response) => {
            let (parts, body) = response.into_parts();
            let text = to_bytes(body, LONGEST_ERROR).await.unwrap_or_default();
            log_error(&operation, parts.status, &String::from_utf8_lossy(&text));
            Response::from_parts(parts, Body::from(text))
        }
        Err(error) => logged(&operation, StatusCode::BAD_GATEWAY, format!("{error:#}")),
    }
}

impl Forward {
    async fn send(&self, request: Request) -> Result<Response> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        parts.uri = format!("http://{}{path}", self.address).parse()?;
        let answered = self.client.request(Request::from_parts(parts, body)).await?;
        Ok(answered.map(Body::new))
    }
}

/// Why a request is refused; `None` if it is not. A browser sends a web page's Origin. If the page's name resolves to
/// this machine (DNS rebinding), it sends that name as the Host.
fn refusal(headers: &HeaderMap, uri: &Uri) -> Option<&'static str> {
    if headers.contains_key(ORIGIN) {
        return Some("requests of web pages are refused: this one has an Origin header");
    }
    let mut hosts =
        headers.get_all(HOST).iter().map(|host| Authority::try_from(host.as_bytes()).ok()).peekable();
    let is_ours =
        |host: &str| matches!(host.to_ascii_lowercase().as_str(), "127.0.0.1" | "localhost" | "[::1]");
    let all_ours = hosts.peek().is_some() && hosts.all(|host| host.is_some_and(|host| is_ours(host.host())));
    if !all_ours || !uri.host().is_none_or(is_ours) {
        return Some("requests to another host than 127.0.0.1, localhost or [::1] are refused");
    }
    None
}

fn refused(why: &str) -> String {
    format!("{{\"__type\":\"com.amazon.coral.service#AccessDeniedException\",\"message\":\"{why}\"}}")
}

fn logged(operation: &str, status: StatusCode, text: String) -> Response {
    log_error(operation, status, &text);
    (status, [("content-type", "application/x-amz-json-1.0")], text).into_response()
}

fn log_error(operation: &str, status: StatusCode, text: &str) {
    let text: String = text.chars().take(LOGGED).flat_map(char::escape_default).collect();
    let operation = operation.escape_default();
    log(format_args!("{operation}: {}: {text}", status.as_u16()));
}
