//! The page's style and script, compiled in.

use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};

type Asset = ([(HeaderName, &'static str); 2], &'static str);

/// `GET /page.css`
pub(super) async fn style() -> Asset {
    asset("text/css; charset=utf-8", include_str!("page.css"))
}

/// `GET /page.js`
pub(super) async fn script() -> Asset {
    asset("text/javascript; charset=utf-8", include_str!("page.js"))
}

fn asset(kind: &'static str, text: &'static str) -> Asset {
    // Asked for anew each time: whoever develops has changed it.
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text)
}
