//! The requested page of a list, and the link to the next page.

use axum::extract::{FromRequestParts, Query};
use axum::http::header::LINK;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::server::refusal::Refusal;
use crate::time;

const DEFAULT_LIMIT: usize = 20;
const LARGEST_LIMIT: usize = 100;

/// `?before=TIME&limit=N`
pub(super) struct PageOf {
    /// Only older items.
    pub(super) before: Option<DateTime<Utc>>,
    /// The maximum number of items.
    pub(super) limit: usize,
}

#[derive(Deserialize)]
struct Parameters {
    before: Option<String>,
    limit: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for PageOf {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let asked = Query::<Parameters>::try_from_uri(&parts.uri);
        let Query(asked) = asked.map_err(|_| Refusal::malformed("query", "has a parameter twice"))?;
        let limit = match asked.limit {
            None => DEFAULT_LIMIT,
            Some(text) => {
                let limit = text.parse().ok().filter(|limit| (1..=LARGEST_LIMIT).contains(limit));
                limit.ok_or_else(|| Refusal::malformed("limit", "is not a number from 1 to 100"))?
            }
        };
        let before = asked.before.map(|text| time("before", &text)).transpose()?;
        Ok(Self { before, limit })
    }
}

impl PageOf {
    /// The header with the link to the next page (RFC 8288), if this one is full. `oldest` is the time of its last
    /// item.
    pub(super) fn next(&self, path: &str, found: usize, oldest: Option<DateTime<Utc>>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(oldest) = oldest.filter(|_| found == self.limit) {
            let before = time::format(oldest).replace('+', "%2B");
            let link = format!("<{path}?before={before}&limit={}>; rel=\"next\"", self.limit);
            headers.extend(HeaderValue::try_from(link).ok().map(|link| (LINK, link)));
        }
        headers
    }
}

/// Parses a time in a query.
pub(crate) fn time(field: &'static str, text: &str) -> Result<DateTime<Utc>, Refusal> {
    // In a query, an unencoded `+` means a space.
    let read = time::parse(text).or_else(|error| match text.rsplit_once(' ') {
        Some((moment, offset)) => time::parse(&format!("{moment}+{offset}")),
        None => Err(error),
    });
    read.map_err(|error| Refusal::malformed(field, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_may_have_become_a_space() {
        for text in ["2023-03-20T14:05:09.000001+00:00", "2023-03-20T14:05:09.000001 00:00"] {
            assert_eq!(time::format(time("before", text).unwrap()), "2023-03-20T14:05:09.000001+00:00");
        }
        assert_eq!(time("before", "yesterday").unwrap_err().field, "before");
    }

    #[test]
    fn the_next_part_is_named_where_there_may_be_one() {
        let page = PageOf { before: None, limit: 2 };
        let oldest = Some(time::parse("2023-03-20T14:05:09Z").unwrap());
        assert!(page.next("/p", 1, oldest).is_empty());
        let link = "</p?before=2023-03-20T14:05:09.000000%2B00:00&limit=2>; rel=\"next\"";
        assert_eq!(page.next("/p", 2, oldest)[LINK], link);
    }
}
