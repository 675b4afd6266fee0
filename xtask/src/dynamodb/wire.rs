//! DynamoDB's low-level API: requests and answers as JSON text.
//!
//! All that the tasks ask goes this way. The SDK's own operations take a millisecond of this machine for each
//! request in a development build, and retry by themselves, which hides from the [pace](Pace) that the server
//! throttles. Credentials, endpoint, signature and connections are the SDK's. <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html>

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant, SystemTime};

use crate::dynamodb::items::shortened;
use crate::error::Failure;
use crate::poll::Look;
use crate::ui::{Ui, seconds};
use anyhow::{Context as _, Result, anyhow, ensure};
use aws_sdk_dynamodb::config::{Credentials, ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::dynamodb::pace::Pace;
#[cfg(doc)]
use crate::dynamodb::target::CONNECT_BOUND;
use crate::dynamodb::target::{ATTEMPT_BOUND, CREDENTIALS_BOUND, Trouble};
use crate::dynamodb::throttling::Throttling;
use crate::postgres::target::is_refused;
use crate::targets::DynamoDbTarget;

/// The version that the name of each operation begins with.
const API: &str = "DynamoDB_20120810";

/// The one operation that may do a part of what it was asked.
pub(crate) const BATCH_WRITE: &str = "BatchWriteItem";

/// How often a request is sent when it fails on its way, or in the server.
const ATTEMPTS: u32 = 3;

/// No attempt begins later than this after the first; so a server that says nothing costs one
/// [attempt](ATTEMPT_BOUND), and one that cannot be reached three of their [connections](CONNECT_BOUND).
const RETRY_BOUND: Duration = Duration::from_secs(20);

const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long a server may take to say that it is there.
const PROBE_BOUND: Duration = Duration::from_secs(2);

/// The most bytes of an answer. DynamoDB's are of at most 16 MB of items, and JSON takes a few times more.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
const LONGEST_ANSWER: usize = 64 << 20;

/// ListTables' body, for whoever wants no names.
const LIMIT_ONE: bytes::Bytes = bytes::Bytes::from_static(br#"{"Limit":1}"#);

/// Temporary credentials are replaced this long before they expire.
pub(crate) const BEFORE_EXPIRY: Duration = Duration::from_secs(300);

/// How to reach a DynamoDB.
pub(crate) struct Wire {
    /// Whose answers these are.
    pub(crate) target: DynamoDbTarget,
    /// How many requests may be under way at once.
    pub(crate) pace: Pace,
    /// How it throttles.
    throttling: Throttling,
    /// Who is told.
    pub(crate) ui: Ui,
    url: String,
    host: String,
    region: String,
    provider: SharedCredentialsProvider,
    credentials: RefCell<Option<Credentials>>,
    connector: Connector,
    first_wait: Duration,
    /// Whether an answer said so.
    is_dynoxide: Cell<bool>,
}

/// What a request ended with.
enum Ended {
    Answer(Vec<u8>),
    /// The server has no capacity left for now.
    Throttled(Trouble),
    /// Worth another attempt.
    Lost(Trouble),
    Refused(Trouble),
}

/// An error's body.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(rename = "__type")]
    code: String,
    #[serde(alias = "Message")]
    message: Option<String>,
}

impl Wire {
    /// For the server at `url`. `first_wait` is the longest time before a second attempt; `ui` is told when
    /// it throttles.
    pub(crate) fn new(
        ui: &Ui,
        target: DynamoDbTarget,
        url: &str,
        region: String,
        provider: SharedCredentialsProvider,
        connector: Connector,
        first_wait: Duration,
    ) -> Self {
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = authority.split('/').next().unwrap_or(authority).to_owned();
        let url = format!("{}/", url.trim_end_matches('/'));
        let pace = Pace::up_to(32);
        let credentials = RefCell::new(None);
        let (throttling, ui) = (Throttling::default(), ui.clone());
        let is_dynoxide = Cell::new(false);
        Self {
            target,
            pace,
            throttling,
            ui,
            url,
            host,
            region,
            provider,
            credentials,
            connector,
            first_wait,
            is_dynoxide,
        }
    }

    /// Whether the server is dynoxide, the embedded engine's: from the first answer on it is known.
    pub(crate) fn is_dynoxide(&self) -> bool {
        self.is_dynoxide.get()
    }

    /// Where the requests go.
    pub(crate) fn endpoint(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    /// The region that they are signed for.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// Sends a request, again where that may help, and returns the answer. `operation` is one such as
    /// `Query`; `body` is its request in JSON.
    ///
    /// # Errors
    /// The server refused, throttled and gave nothing for too long, or could not be reached; or the user
    /// asked to stop.
    pub(crate) async fn call(&self, operation: &str, body: String) -> Result<Vec<u8>> {
        self.try_call(operation, body).await?.map_err(|trouble| self.target.failure(trouble))
    }

    /// As [`Wire::call`], with the server's refusal told apart: some mean something to the caller.
    ///
    /// # Errors
    /// There are no credentials to sign with; the server throttled and gave nothing for too long; or the
    /// user asked to stop while it throttled.
    pub(crate) async fn try_call(
        &self,
        operation: &str,
        body: String,
    ) -> Result<std::result::Result<Vec<u8>, Trouble>> {
        self.send(operation, body, ATTEMPTS).await
    }

    /// As [`Wire::try_call`], for a request that must not be done twice: where its answer is lost, it is not
    /// sent again. One that was throttled has not been done.
    ///
    /// # Errors
    /// See [`Wire::try_call`].
    pub(crate) async fn try_once(
        &self,
        operation: &str,
        body: String,
    ) -> Result<std::result::Result<Vec<u8>, Trouble>> {
        self.send(operation, body, 1).await
    }

    /// Whether the server answers a signed request, within `PROBE_BOUND`. It is sent once: whoever waits for a
    /// server looks again, and is to know what it says meanwhile.
    pub(crate) async fn look(&self) -> Look<()> {
        let probe = async { Ok(self.attempt(self.signed("ListTables", &LIMIT_ONE).await?).await) };
        let (trouble, is_final) = match tokio::time::timeout(PROBE_BOUND, probe).await {
            Ok(Ok(Ended::Answer(_))) => return Look::Ready(()),
            Ok(Ok(Ended::Refused(trouble))) => (trouble, true),
            Ok(Ok(Ended::Lost(trouble) | Ended::Throttled(trouble))) => (trouble, false),
            Ok(Err(error)) => return Look::Failed(error),
            Err(_) => return Look::NotYet(format!("no answer within {}", seconds(PROBE_BOUND))),
        };
        let reason = trouble.to_string();
        match trouble {
            _ if is_final => {
                let problem = format!("{} refuses ListTables", self.target);
                Look::Failed(Failure::new(problem, self.target.remedy()).caused_by(reason).into())
            }
            Trouble::Unreachable(error) if is_refused(error.as_ref()) => Look::Nobody(reason),
            _ => Look::NotYet(reason),
        }
    }

    /// Opens a connection for the first request: asks for `/`, as whoever checks a server's health does. Where it
    /// says nothing, the first request tells.
    pub(crate) async fn open(&self) {
        let mut question = HttpRequest::new(SdkBody::empty());
        if question.set_uri(self.url.as_str()).is_ok()
            && let Ok(answer) = self.connector.call(question).await
        {
            whole(answer.into_body()).await.ok();
        }
    }

    async fn send(
        &self,
        operation: &str,
        body: String,
        attempts_if_lost: u32,
    ) -> Result<std::result::Result<Vec<u8>, Trouble>> {
        let body = bytes::Bytes::from(body);
        let started = Instant::now();
        let (mut lost, mut throttled) = (0, 0);
        loop {
            let request = self.signed(operation, &body).await?;
            let sent = Instant::now();
            match self.attempt(request).await {
                Ended::Answer(answer) => {
                    self.pace.answered(sent.elapsed());
                    // How much of a batch was taken, only its answer says.
                    if operation != BATCH_WRITE {
                        self.throttling.gained(0);
                    }
                    return Ok(Ok(answer));
                }
                Ended::Refused(trouble) => return Ok(Err(trouble)),
                Ended::Lost(trouble) => {
                    lost += 1;
                    if lost >= attempts_if_lost || started.elapsed() >= RETRY_BOUND {
                        return Ok(Err(trouble));
                    }
                }
                Ended::Throttled(trouble) => {
                    throttled += 1;
                    self.throttled(&trouble.to_string())?;
                }
            }
            self.wait(lost + throttled).await?;
        }
    }

    /// Reads an answer of the server's.
    ///
    /// # Errors
    /// It has another form.
    pub(crate) fn parsed<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T> {
        serde_json::from_slice(answer)
            .with_context(|| format!("{} answered in a form that is not its API's", self.target))
    }

    /// The server has taken or given items.
    pub(crate) fn gained(&self, items: u64) {
        self.throttling.gained(items);
    }

    /// The server has just throttled.
    ///
    /// # Errors
    /// It has given nothing for too long.
    pub(crate) fn throttled(&self, reason: &str) -> Result<()> {
        self.pace.throttled();
        self.throttling.throttled(&self.ui, &self.target, reason)
    }

    /// Waits after a failed attempt, counted from 1: exponential backoff with full jitter.
    /// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
    ///
    /// # Errors
    /// The user asked to stop.
    pub(crate) async fn wait(&self, attempt: u32) -> Result<()> {
        let wait = longest_wait(self.first_wait, attempt).mul_f64(fastrand::f64());
        let waited = async {
            tokio::time::sleep(wait).await;
            Ok(())
        };
        self.ui.stop.or(waited).await
    }

    async fn signed(&self, operation: &str, body: &bytes::Bytes) -> Result<HttpRequest> {
        let credentials = self.credentials().await?.into();
        let parameters = SigningParams::builder()
            .identity(&credentials)
            .region(&self.region)
            .name("dynamodb")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let target = format!("{API}.{operation}");
        let headers =
            [("content-type", "application/x-amz-json-1.0"), ("host", &self.host), ("x-amz-target", &target)];
        let signable =
            SignableRequest::new("POST", &self.url, headers.into_iter(), SignableBody::Bytes(body))?;
        let (signature, _) = sign(signable, &parameters)?.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(body.clone()));
        request.set_method("POST")?;
        request.set_uri(self.url.as_str())?;
        for (name, value) in headers {
            request.headers_mut().try_insert(name, value.to_owned())?;
        }
        for (name, value) in signature.headers() {
            request.headers_mut().try_insert(name.to_owned(), value.to_owned())?;
        }
        Ok(request)
    }

    async fn credentials(&self) -> Result<Credentials> {
        let soon = SystemTime::now() + BEFORE_EXPIRY;
        let known = self.credentials.borrow().clone();
        if let Some(known) = known.filter(|known| known.expiry().is_none_or(|expiry| expiry > soon)) {
            return Ok(known);
        }
        let fresh = tokio::time::timeout(CREDENTIALS_BOUND, self.provider.provide_credentials()).await;
        let fresh = fresh.map_err(|_| self.target.no_credentials("credentials"))?;
        let fresh = fresh.map_err(|error| self.target.failure(Trouble::Unreachable(error.into())))?;
        self.credentials.replace(Some(fresh.clone()));
        Ok(fresh)
    }

    async fn attempt(&self, request: HttpRequest) -> Ended {
        let exchange = async {
            let response = self.connector.call(request).await?;
            let status = response.status().as_u16();
            let server = response.headers().get("server").unwrap_or_default();
            self.is_dynoxide.set(server.starts_with("Dynoxide/"));
            let body = whole(response.into_body()).await?;
            anyhow::Ok((status, body))
        };
        let (status, body) = match tokio::time::timeout(ATTEMPT_BOUND, exchange).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Ended::Lost(Trouble::Unreachable(error)),
            Err(_) => {
                let waited = anyhow!("no answer within {} s", ATTEMPT_BOUND.as_secs());
                return Ended::Lost(Trouble::Unreachable(waited));
            }
        };
        match status {
            200..300 => Ended::Answer(body),
            _ => refusal(status, &body),
        }
    }
}

/// A body to its end.
async fn whole(mut body: SdkBody) -> Result<Vec<u8>> {
    use http_body::Body as _;
    let announced = usize::try_from(body.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
    let mut read = Vec::with_capacity(announced.min(LONGEST_ANSWER));
    let mut body = std::pin::Pin::new(&mut body);
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let frame = frame.map_err(|error| anyhow!(error)).context("the answer broke off")?;
        read.extend_from_slice(&frame.into_data().unwrap_or_default());
        ensure!(
            read.len().max(announced) <= LONGEST_ANSWER,
            "its answer is longer than {LONGEST_ANSWER} bytes"
        );
    }
    Ok(read)
}

/// What a status that is no success means.
fn refusal(status: u16, body: &[u8]) -> Ended {
    let Ok(error) = serde_json::from_slice::<ErrorBody>(body) else {
        let text = String::from_utf8_lossy(body);
        let text = shortened(&text, 200);
        let trouble = Trouble::Unreachable(anyhow!("it answered with HTTP status {status}: {text}"));
        return if status >= 500 { Ended::Lost(trouble) } else { Ended::Refused(trouble) };
    };
    let code = error.code.rsplit('#').next().unwrap_or_default().to_owned();
    let throttles = matches!(
        code.as_str(),
        "ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded"
    );
    let trouble = Trouble::Service { code, message: error.message.unwrap_or_default() };
    match status {
        _ if throttles => Ended::Throttled(trouble),
        500.. => Ended::Lost(trouble),
        _ => Ended::Refused(trouble),
    }
}

/// The longest wait after an attempt, counted from 1.
fn longest_wait(first: Duration, attempt: u32) -> Duration {
    first.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_within_their_bound() {
        let waits = [1, 2, 3, 40].map(|attempt| longest_wait(Duration::from_millis(50), attempt).as_millis());
        assert_eq!(waits, [50, 100, 200, 5_000]);
    }

    #[test]
    fn refusals_are_told_apart() {
        let body =
            |code: &str| format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"m"}}"#);
        let ended = |status, body: &str| match refusal(status, body.as_bytes()) {
            Ended::Answer(_) => "answer",
            Ended::Throttled(_) => "throttled",
            Ended::Lost(_) => "lost",
            Ended::Refused(_) => "refused",
        };
        assert_eq!(ended(400, &body("ProvisionedThroughputExceededException")), "throttled");
        assert_eq!(ended(400, &body("ValidationException")), "refused");
        assert_eq!(ended(500, &body("InternalServerError")), "lost");
        assert_eq!(ended(503, "<html>"), "lost");
        assert_eq!(ended(404, "<html>"), "refused");
    }
}
