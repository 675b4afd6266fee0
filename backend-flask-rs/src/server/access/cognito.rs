//! In production: Amazon Cognito has signed who a request is from.
//! <https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html>

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;

use super::keys::Keys;
use super::{rs256, single};
use crate::server::postgres::Postgres;
use crate::server::refusal::Refusal;
use crate::server::settings::CognitoSettings;
use crate::users::User;

/// How far the clocks of Cognito and this server may be apart, in seconds.
const LEEWAY: u64 = 30;

/// The longest token that is looked at; Cognito's have about 1,000 bytes.
const LONGEST_TOKEN: usize = 8 << 10;

const FIELD: &str = "authorization";

/// Whose tokens are taken, and the keys that they are signed with.
pub(crate) struct Cognito {
    client_id: String,
    validation: Validation,
    keys: Keys,
}

/// What a token claims, beyond what [`Validation`] looks at.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    token_use: String,
    /// Whom an access token was given to.
    client_id: Option<String>,
    /// Whom an id token is for.
    aud: Option<String>,
}

impl Cognito {
    pub(super) fn new(settings: CognitoSettings) -> Self {
        rs256::install();
        let CognitoSettings { issuer, client_id, keys_url } = settings;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = LEEWAY;
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.validate_nbf = true;
        // Which claim says whom it is for depends on the token's use: see `is_for_us`.
        validation.validate_aud = false;
        Self { client_id, validation, keys: Keys::new(keys_url) }
    }

    /// The user whose token the request carries.
    pub(super) async fn user(&self, postgres: &Postgres, headers: &HeaderMap) -> Result<User, Refusal> {
        let token = bearer(headers).ok_or_else(|| Refusal::unknown(FIELD, "a bearer token is needed"))?;
        let claims = self.claims(token).await?;
        let user = postgres.user_by_cognito_id(&claims.sub).await?;
        user.ok_or_else(|| Refusal::forbidden(FIELD, "nobody at Cruddur has this sign-in"))
    }

    async fn claims(&self, token: &str) -> Result<Claims, Refusal> {
        let bad = |why: &str| Refusal::unknown(FIELD, format!("the token is not good: {why}"));
        if token.len() > LONGEST_TOKEN {
            return Err(bad("it is too long"));
        }
        let header = decode_header(token).map_err(|_| bad("it is no JSON web token"))?;
        if header.alg != Algorithm::RS256 {
            return Err(bad("it is not signed with RS256"));
        }
        let key_id = header.kid.ok_or_else(|| bad("it names no key"))?;
        let key = self.keys.get(&key_id).await?.ok_or_else(|| bad("no key of the issuer's signed it"))?;
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

/// What is wrong with a token, in words that tell a forger nothing of use.
fn reason(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::InvalidIssuer => "another issuer made it",
        ErrorKind::InvalidSignature => "its signature is not the issuer's",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        _ => "its claims are not those of a sign-in",
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = single(headers, AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
