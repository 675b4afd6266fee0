//! The issuer's public keys, fetched when a token first needs them, and cached.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt as _, Limited};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::http;
use crate::server::refusal::Refusal;

/// The age at which keys are fetched again, because the issuer may withdraw one.
const AGE: Duration = Duration::from_secs(3600);

/// The maximum age of keys while the issuer does not answer.
const OLD_AGE: Duration = Duration::from_secs(24 * 3600);

/// The minimum time between two fetches, even if tokens name unknown keys.
const PAUSE: Duration = Duration::from_secs(30);

/// The minimum time between two fetches if the issuer did not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How long the issuer may take to answer.
const BOUND: Duration = Duration::from_secs(5);

/// The maximum size of the issuer's answer. Cognito's two keys take less than 1,000 bytes.
const LONGEST_ANSWER: usize = 64 << 10;

pub(crate) struct Keys {
    pub(crate) url: String,
    connector: Connector,
    /// The keys by id, and when they were fetched.
    known: RwLock<Option<(HashMap<String, DecodingKey>, Instant)>>,
    /// The earliest time of the next fetch. It is locked during a fetch.
    due: Mutex<Instant>,
}

impl Keys {
    /// The keys that the issuer publishes at `url`.
    pub(super) fn new(url: String) -> Self {
        let connector = http::connector(&url);
        Self { url, connector, known: RwLock::default(), due: Mutex::new(Instant::now()) }
    }

    /// The key with this id, if the issuer has it. For a known key the caller does not wait for the issuer.
    pub(super) async fn get(self: &Arc<Self>, id: &str) -> Result<Option<DecodingKey>, Refusal> {
        let (key, age) = self.find(id);
        if key.is_some() && age < OLD_AGE {
            if age >= AGE {
                self.fetch_if_due();
            }
            return Ok(key);
        }
        // An error means that the server is stopping.
        _ = self.fetch_if_due().await;
        match self.find(id) {
            (key, age) if age < OLD_AGE => Ok(key),
            _ => Err(Refusal::unavailable("cognito", "its keys are not known")),
        }
    }

    /// Fetches the keys in a separate task, so that a cancelled request does not cancel the fetch for others.
    fn fetch_if_due(self: &Arc<Self>) -> JoinHandle<()> {
        let keys = Arc::clone(self);
        tokio::spawn(async move { keys.refresh().await })
    }

    /// The key with this id, and the age of all keys.
    fn find(&self, id: &str) -> (Option<DecodingKey>, Duration) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((keys, fetched)) => (keys.get(id).cloned(), fetched.elapsed()),
            None => (None, Duration::MAX),
        }
    }

    /// Fetches the keys, unless another task has just done so.
    async fn refresh(&self) {
        let mut due = self.due.lock().await;
        if Instant::now() < *due {
            return;
        }
        let fetched = tokio::time::timeout(BOUND, self.fetch()).await.context("no answer in time").flatten();
        let pause = match fetched {
            Ok(keys) => {
                let known = Some((keys, Instant::now()));
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
                PAUSE
            }
            Err(error) => {
                tracing::error!(url = self.url, cause = format!("{error:#}"), "cannot get the issuer's keys");
                RETRY_PAUSE
            }
        };
        *due = Instant::now() + pause;
    }

    async fn fetch(&self) -> Result<HashMap<String, DecodingKey>> {
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_method("GET")?;
        request.set_uri(self.url.as_str())?;
        let response = self.connector.call(request).await?;
        let status = response.status().as_u16();
        ensure!(status == 200, "HTTP status {status}");
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        parse(&body.map_err(|error| anyhow!(error)).context("cannot read the answer")?.to_bytes())
    }
}

/// Parses the signing keys, by id. Skips keys of other kinds.
fn parse(answer: &[u8]) -> Result<HashMap<String, DecodingKey>> {
    let set: JwkSet = serde_json::from_slice(answer).context("the answer is not a set of keys")?;
    let signs = |key: &Jwk| {
        let is_rsa = matches!(key.algorithm, AlgorithmParameters::RSA(_));
        is_rsa && key.common.public_key_use != Some(PublicKeyUse::Encryption)
    };
    let by_id = |key: Jwk| Some((key.common.key_id.clone()?, DecodingKey::from_jwk(&key).ok()?));
    Ok(set.keys.into_iter().filter(signs).filter_map(by_id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An issuer that accepts connections but never answers.
    fn silent_issuer() -> (std::net::TcpListener, Arc<Keys>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let keys = Keys::new(format!("http://{}/", listener.local_addr().unwrap()));
        (listener, Arc::new(keys))
    }

    #[tokio::test]
    async fn a_known_key_does_not_wait_for_the_issuer() {
        let (_listener, keys) = silent_issuer();
        let key = DecodingKey::from_rsa_components("AQAB", "AQAB").unwrap();
        let fetched = Instant::now().checked_sub(AGE * 2).unwrap();
        *keys.known.write().unwrap() = Some(([("known".to_owned(), key)].into(), fetched));
        let known = async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
                assert!(keys.get("known").await.unwrap().is_some());
            }
        };
        tokio::select! {
            biased;
            _ = keys.get("unknown") => panic!("the issuer does not answer"),
            () = known => {}
        }
    }

    #[test]
    fn only_signing_keys_are_used() {
        let set = br#"{"keys": [
            {"kid": "one", "kty": "RSA", "use": "sig", "alg": "RS256", "n": "AQAB", "e": "AQAB"},
            {"kid": "encrypts", "kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"},
            {"kid": "curve", "kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB"},
            {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
            {"kid": "no base64", "kty": "RSA", "n": "*", "e": "AQAB"}
        ]}"#;
        let keys = parse(set).unwrap();
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["one"]);
        assert!(parse(b"{}").is_err());
    }
}
