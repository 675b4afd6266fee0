//! The issuer's public keys, fetched when a token first needs them, and kept for a while.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::http;
use crate::server::refusal::Refusal;

/// How old keys may be before they are fetched again: the issuer may withdraw one.
const AGE: Duration = Duration::from_secs(3600);

/// How old keys may be while the issuer does not answer.
const OLD_AGE: Duration = Duration::from_secs(24 * 3600);

/// How often keys are fetched at most, whatever keys tokens name.
const PAUSE: Duration = Duration::from_secs(30);

/// How long the issuer may take to answer.
const BOUND: Duration = Duration::from_secs(5);

/// How long the issuer's answer may be. Cognito's two keys are less than 1,000 bytes.
const LONGEST_ANSWER: usize = 64 << 10;

/// The keys of the issuer at one URL.
pub(super) struct Keys {
    url: String,
    connector: Connector,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    keys: HashMap<String, DecodingKey>,
    fetched: Option<Instant>,
    asked: Option<Instant>,
}

/// A set of keys as RFC 7517 writes it.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kid: Option<String>,
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Keys {
    /// The keys that will be found at `url`.
    pub(super) fn new(url: String) -> Self {
        let connector = http::connector(Connector::builder(), Some(&url));
        Self { url, connector, known: Mutex::default() }
    }

    /// The key of this id, if the issuer has it.
    ///
    /// # Errors
    /// The issuer has not answered for so long that nothing it once said counts.
    pub(super) async fn get(&self, id: &str) -> Result<Option<DecodingKey>, Refusal> {
        // Who comes while keys are fetched waits, and does not fetch them again.
        let mut known = self.known.lock().await;
        let is_young = |at: Option<Instant>, age| at.is_some_and(|at| at.elapsed() < age);
        if known.keys.contains_key(id) && is_young(known.fetched, AGE) {
            return Ok(known.keys.get(id).cloned());
        }
        if !is_young(known.asked, PAUSE) {
            known.asked = Some(Instant::now());
            match self.fetch().await {
                Ok(keys) => (known.keys, known.fetched) = (keys, Some(Instant::now())),
                Err(error) => {
                    tracing::error!(cause = format!("{error:#}"), "the issuer's keys cannot be had")
                }
            }
        }
        if !is_young(known.fetched, OLD_AGE) {
            return Err(Refusal::unavailable("cognito", "its keys are not known"));
        }
        Ok(known.keys.get(id).cloned())
    }

    async fn fetch(&self) -> Result<HashMap<String, DecodingKey>> {
        let fetch = async {
            let mut request = HttpRequest::new(SdkBody::empty());
            request.set_method("GET")?;
            request.set_uri(self.url.as_str())?;
            let response = self.connector.call(request).await?;
            let status = response.status().as_u16();
            ensure!(status == 200, "HTTP status {status}");
            parse(&whole(response.into_body()).await?)
        };
        tokio::time::timeout(BOUND, fetch)
            .await
            .context("no answer in time")
            .flatten()
            .with_context(|| self.url.clone())
    }
}

/// A body to its end.
async fn whole(mut body: SdkBody) -> Result<Vec<u8>> {
    use http_body::Body as _;
    let mut read = Vec::new();
    let mut body = std::pin::Pin::new(&mut body);
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let frame = frame.map_err(|error| anyhow!(error)).context("the answer broke off")?;
        read.extend_from_slice(&frame.into_data().unwrap_or_default());
        ensure!(read.len() <= LONGEST_ANSWER, "the answer has more than {LONGEST_ANSWER} bytes");
    }
    Ok(read)
}

/// The keys that sign, by id. Keys of an unknown form are ignored.
fn parse(answer: &[u8]) -> Result<HashMap<String, DecodingKey>> {
    let set: KeySet = serde_json::from_slice(answer).context("the answer is no set of keys")?;
    let signing = set.keys.into_iter().filter(|key| key.kty == "RSA" && key.usage.as_deref() != Some("enc"));
    let key = |key: Key| {
        let components = DecodingKey::from_rsa_components(key.n.as_deref()?, key.e.as_deref()?);
        Some((key.kid?, components.ok()?))
    };
    Ok(signing.filter_map(key).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_sign_are_taken_and_others_passed_over() {
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
