//! Determines the user of a request.
//!
//! Handlers learn the user only from [`Session`]; if there is no user, the handler is not called.
//! On the developer's machine, if the settings say so, the request itself names its user. Everywhere else it carries
//! a token that Cognito has signed.

mod cognito;
mod keys;
mod local;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use chrono::{DateTime, Utc};

use super::app::App;
use super::refusal::Refusal;
use crate::users::User;

pub(crate) use cognito::Cognito;
pub(crate) use local::{COOKIE, guard, is_from_own_page};

/// How the server determines the user of a request.
pub(crate) enum Access {
    Local,
    Cognito(Box<Cognito>),
}

impl Access {
    /// Whether the request itself names its user.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::Local)
    }
}

/// The user of a request, and when their token expires.
pub(crate) struct Session {
    pub(crate) user: User,
    pub(crate) ends: Option<DateTime<Utc>>,
}

impl FromRequestParts<Arc<App>> for Session {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let session = match &app.access {
            Access::Local => Self { user: local::user(&app.postgres, parts).await?, ends: None },
            Access::Cognito(cognito) => cognito.session(&app.postgres, &parts.headers).await?,
        };
        tracing::Span::current().record("user", session.user.handle.as_str());
        Ok(session)
    }
}

/// The value of a header, if it occurs once and is text.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}
