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

use axum::Router;
use axum::routing::{get, post};
use tokio::sync::watch;

pub use admin::router as admin_router;
pub use stream::OpenStreams;

use crate::clock::Clock;
use crate::gate::Gate;
use crate::snapshot::InForce;
use crate::store::Outbox;
use crate::store::replica::Reads;
use crate::store::writer::WriterHandle;
use crate::telemetry::Metrics;

/// What the handlers of the API and of the admin pages need.
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
    /// The configuration, for who is calling.
    pub config: InForce,
    /// For the cache of verified tokens.
    pub metrics: Arc<Metrics>,
    /// The writer to the ledger, for the admin pages.
    pub writer: WriterHandle,
    /// True once the gateway is asked to stop.
    pub stopping: watch::Receiver<bool>,
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
