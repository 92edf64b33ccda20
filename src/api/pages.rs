//! The dashboard's files, from the binary: `/dashboard`, `/admin` and what they load. No other origin, no inline script.

use axum::Router;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS,
};

use super::state::ApiState;

/// Nothing from elsewhere, nothing inline.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                   base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// The pages and their files.
pub fn router() -> Router<ApiState> {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/dashboard") }))
        .route("/dashboard", page(HTML, include_str!("../../dashboard/dashboard.html")))
        .route("/dashboard.js", page(SCRIPT, include_str!("../../dashboard/dashboard.js")))
        .route("/dashboard.css", page(STYLE, include_str!("../../dashboard/dashboard.css")))
        .route("/admin", page(HTML, include_str!("../../dashboard/admin.html")))
        .route("/admin.js", page(SCRIPT, include_str!("../../dashboard/admin.js")))
        .route("/admin.css", page(STYLE, include_str!("../../dashboard/admin.css")))
        .route("/usage-dashboard.js", module(include_str!("../../dashboard/usage-dashboard.js")))
}

fn page(content_type: &'static str, text: &'static str) -> axum::routing::MethodRouter<ApiState> {
    get(move || async move { file(content_type, text) })
}

/// The component may be embedded by pages of other origins.
fn module(text: &'static str) -> axum::routing::MethodRouter<ApiState> {
    get(move || async move {
        let open = [
            (HeaderName::from_static("access-control-allow-origin"), "*"),
            (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
        ];
        (open, file(SCRIPT, text))
    })
}

fn file(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, CSP),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
    ];
    (headers, text)
}
