//! The operators' listener: `/metrics`, `/health/live`, `/health/ready`. Never on the public port.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::error;
use super::state::ApiState;
use crate::gate::GateCounts;
use crate::store::journal::Health;
use crate::store::writer::WriterCounts;
use crate::telemetry::{raise, set};

/// The admin pages.
pub fn router(state: ApiState) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health/live", get(|| async { Json(json!({ "status": "live" })) }))
        .route("/health/ready", get(ready))
        .fallback(error::not_found)
        .with_state(state)
}

async fn metrics(State(state): State<ApiState>) -> Result<impl IntoResponse, error::ApiError> {
    let ApiState { gate, reads, metrics, writer, .. } = &state;
    // taken apart whole: a count that is added and not shown here does not compile
    let GateCounts { degraded, late, expired, rebuilds, abandoned, drift, unrecorded } = gate.counts();
    for (counter, total) in [
        (&metrics.degraded, degraded),
        (&metrics.late, late),
        (&metrics.expired, expired),
        (&metrics.rebuilds, rebuilds),
        (&metrics.abandoned, abandoned),
        (&metrics.drift, drift),
        (&metrics.unrecorded, unrecorded),
    ] {
        raise(counter, total.load(Ordering::Relaxed));
    }
    set(&metrics.holds_open, gate.holds_open());
    let journal = gate.journal();
    let Health { poisoned_segments, damaged_segments, full, keeper_died } = journal.health();
    set(&metrics.journal_pending, journal.pending_events());
    set(&metrics.journal_damaged, damaged_segments);
    set(&metrics.journal_poisoned, poisoned_segments);
    metrics.journal_full.set(full.is_some().into());
    metrics.journal_unsynced.set(keeper_died.into());
    #[expect(clippy::cast_precision_loss, reason = "a gauge in seconds")]
    metrics.ledger_lag_seconds.set(writer.lag_ms() as f64 / 1e3);
    raise(&metrics.replica_failures, reads.replica_failures());
    let WriterCounts { rows, duplicates, quarantined, replays } = writer.counts();
    for (counter, total) in [
        (&metrics.ledger_rows, rows),
        (&metrics.ledger_duplicates, duplicates),
        (&metrics.ledger_quarantined, quarantined),
        (&metrics.ledger_replays, replays),
    ] {
        raise(counter, total);
    }
    let page = metrics.page().map_err(|failure| {
        error::ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "metrics", failure.to_string())
    })?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page))
}

/// Ready: may be sent requests. Not while draining, and not when the journal cannot take one more. An unreachable
/// ledger or counter store does not make it unready: the gateway serves on by its outage policy.
async fn ready(State(state): State<ApiState>) -> impl IntoResponse {
    let draining = *state.stopping.borrow();
    let journal = state.gate.journal().health();
    let ready = !draining && journal.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": if ready { "ready" } else { "not ready" },
        "draining": draining,
        "journal": {
            "full": journal.full,
            "poisonedSegments": journal.poisoned_segments,
            "damagedSegments": journal.damaged_segments,
            "syncs": !journal.keeper_died,
        },
        "counters": if state.gate.is_degraded() { "unreachable" } else { "ok" },
        "ledgerLagMs": state.writer.lag_ms(),
    });
    (status, Json(body))
}
