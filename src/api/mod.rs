//! The usage API and the admin pages, as axum routers. Runs inside the proxy's listener (clients) and on the admin
//! listener (operators). Must not know Pingora.

mod admin;
mod analytics;
mod audit;
mod caller;
mod error;
mod operate;
mod pages;
mod query;
mod state;
mod stream;
mod usage;
mod users;
mod webhooks;

use axum::Router;
use axum::routing::{MethodRouter, get, post};

pub use admin::router as admin_router;
pub use state::{ApiState, stream_places};

/// Each path of the API with its methods. `openapi.json` describes these.
fn routes() -> [(&'static str, MethodRouter<ApiState>); 11] {
    [
        ("/api/usage", get(usage::read).delete(usage::reset)),
        ("/api/usage/history", get(usage::history)),
        ("/api/usage/stream", get(stream::stream)),
        ("/api/analytics", get(analytics::read)),
        ("/api/audit", get(audit::read)),
        ("/api/users", get(users::read)),
        ("/api/explain", get(operate::explain)),
        ("/api/verify", post(operate::verify)),
        ("/api/webhooks", get(webhooks::list)),
        ("/api/webhooks/retry", post(webhooks::retry)),
        ("/api/openapi.json", get(openapi)),
    ]
}

/// Everything that is served to clients outside `/v1` and `/v1beta`.
pub fn router(state: ApiState) -> Router {
    let api = routes().into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    api.merge(pages::router())
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .with_state(state)
}

/// The description of this API (`OpenAPI` 3.1).
const OPENAPI: &str = include_str!("openapi.json");

async fn openapi() -> impl axum::response::IntoResponse {
    ([(http::header::CONTENT_TYPE, "application/json")], OPENAPI)
}

#[cfg(test)]
mod tests;
