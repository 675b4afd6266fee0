//! In production, a token signed by Amazon Cognito names the user. Its signature is RS256, verified by ring; no other
//! algorithm is accepted.
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html>

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use chrono::DateTime;
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{Error as SignatureError, Verifier};
use jsonwebtoken::{Algorithm, DecodingKeyKind, Validation, decode, decode_header};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;

use super::keys::Keys;
use super::{Session, single};
use crate::server::postgres::Postgres;
use crate::server::refusal::Refusal;
use crate::sql;

/// The tolerated difference between the clocks of Cognito and this server, in seconds.
const LEEWAY: u64 = 30;

/// The maximum length of a token. Cognito's have about 1,000 bytes.
const LONGEST_TOKEN: usize = 8 << 10;

const FIELD: &str = "authorization";

/// Verifies the tokens of one issuer and client.
pub(crate) struct Cognito {
    client_id: String,
    validation: Validation,
    pub(crate) keys: Arc<Keys>,
}

/// The claims that [`Validation`] does not check.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    /// The expiry in seconds since the Unix epoch.
    exp: i64,
    token_use: String,
    /// The client, in an access token.
    client_id: Option<String>,
    /// The client, in an id token.
    aud: Option<String>,
}

impl Cognito {
    /// Accepts the tokens that `issuer` gives to the client, signed with a key that it publishes at `keys_url`.
    pub(crate) fn new(issuer: String, client_id: String, keys_url: String) -> Self {
        // An error means that a provider is installed already.
        _ = PROVIDER.install_default();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = LEEWAY;
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.validate_nbf = true;
        // The claim with the client depends on the kind of token: see `is_for_us`.
        validation.validate_aud = false;
        Self { client_id, validation, keys: Arc::new(Keys::new(keys_url)) }
    }

    /// The user of the request's token.
    pub(super) async fn session(&self, postgres: &Postgres, headers: &HeaderMap) -> Result<Session, Refusal> {
        let token = bearer(headers).ok_or_else(|| Refusal::unknown(FIELD, "a bearer token is needed"))?;
        let claims = self.claims(token).await?;
        let user = postgres.user(sql::USER_BY_COGNITO_USER_ID, &claims.sub).await?;
        let user = user.ok_or_else(|| Refusal::forbidden(FIELD, "no user has this Cognito id"))?;
        // If chrono cannot represent the expiry, event streams of this session end at once.
        let ends = DateTime::from_timestamp_secs(claims.exp.saturating_add(LEEWAY.cast_signed()));
        Ok(Session { user, ends: ends.or(Some(DateTime::UNIX_EPOCH)) })
    }

    async fn claims(&self, token: &str) -> Result<Claims, Refusal> {
        let bad = |why: &str| Refusal::unknown(FIELD, format!("the token is invalid: {why}"));
        if token.len() > LONGEST_TOKEN {
            return Err(bad("it is too long"));
        }
        let header = decode_header(token).map_err(|_| bad("it is not a JSON web token"))?;
        if header.alg != Algorithm::RS256 {
            return Err(bad("it is not signed with RS256"));
        }
        let key_id = header.kid.ok_or_else(|| bad("it names no key"))?;
        let key = self.keys.get(&key_id).await?.ok_or_else(|| bad("none of the issuer's keys signed it"))?;
        let token = decode::<Claims>(token, &key, &self.validation).map_err(|error| bad(reason(&error)))?;
        if !self.is_for_us(&token.claims) {
            return Err(bad("it was given to another client"));
        }
        Ok(token.claims)
    }

    fn is_for_us(&self, claims: &Claims) -> bool {
        let client = match claims.token_use.as_str() {
            "access" => &claims.client_id,
            "id" => &claims.aud,
            _ => return false,
        };
        client.as_ref() == Some(&self.client_id)
    }
}

/// What is wrong with a token, in words that do not help a forger.
fn reason(error: &jsonwebtoken::errors::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::InvalidIssuer => "it is from another issuer",
        ErrorKind::InvalidSignature => "its signature is not the issuer's",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        _ => "its claims are not those of a sign-in",
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = single(headers, AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: |algorithm, key| match (algorithm, key.kind()) {
        (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            Ok(Box::new(PublicKey(RsaPublicKeyComponents { n: n.clone(), e: e.clone() })))
        }
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct PublicKey(RsaPublicKeyComponents<Vec<u8>>);

impl Verifier<Vec<u8>> for PublicKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let verified = self.0.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature);
        verified.map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for PublicKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}
