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
mod stream;
mod usage;
mod users;
mod webhooks;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use axum::Router;
use axum::routing::{get, post};

pub use admin::{AdminState, router as admin_router};
pub use stream::OpenStreams;

use crate::auth::Authenticator;
use crate::clock::Clock;
use crate::gate::Gate;
use crate::store::Outbox;
use crate::store::replica::Reads;
use crate::telemetry::Metrics;

/// What the API's handlers need.
#[derive(Clone)]
pub struct ApiState {
    /// Quota.
    pub gate: Arc<Gate>,
    /// History and analytics.
    pub reads: Arc<Reads>,
    /// Webhooks that are not delivered.
    pub outbox: Arc<dyn Outbox>,
    /// The time.
    pub clock: Clock,
    /// Who is calling.
    pub auth: Arc<ArcSwap<Authenticator>>,
    /// For the cache of verified tokens.
    pub metrics: Arc<Metrics>,
    /// True while the gateway stops.
    pub draining: Arc<AtomicBool>,
    /// Usage streams that are open.
    pub streams: OpenStreams,
}

/// Everything that is served to clients outside `/v1` and `/v1beta`.
pub fn router(state: ApiState) -> Router {
    Router::new()
        .route("/api/usage", get(usage::read).delete(usage::reset))
        .route("/api/usage/history", get(usage::history))
        .route("/api/analytics", get(analytics::read))
        .route("/api/audit", get(audit::read))
        .route("/api/users", get(users::read))
        .route("/api/usage/stream", get(stream::stream))
        .route("/api/explain", get(operate::explain))
        .route("/api/verify", post(operate::verify))
        .route("/api/webhooks", get(webhooks::list))
        .route("/api/webhooks/retry", post(webhooks::retry))
        .route("/api/openapi.json", get(openapi))
        .merge(pages::router())
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .with_state(state)
}

/// The description of this API (`OpenAPI` 3.1).
async fn openapi() -> impl axum::response::IntoResponse {
    ([(http::header::CONTENT_TYPE, "application/json")], include_str!("openapi.json"))
}
