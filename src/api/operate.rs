//! `GET /api/explain`, `POST /api/verify`: for administrators.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Administrator;
use super::error::ApiError;
use super::query::Query;
use super::state::ApiState;
use super::usage::limit_body;
use crate::gate::{Difference, ExplainedLimit};

/// Query of `explain`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExplainQuery {
    user_id: String,
    model: String,
}

/// Query of `verify`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyQuery {
    #[serde(default)]
    repair: bool,
}

/// Why a user may or may not send a message on a model.
pub async fn explain(
    State(state): State<ApiState>,
    _: Administrator,
    Query(query): Query<ExplainQuery>,
) -> Result<impl IntoResponse, ApiError> {
    let who = state.gate.reports.last_seen(&query.user_id).await?;
    let found = state.gate.reports.explain(&who, &query.model).await?;
    let holds = found.holds.iter().map(|(id, ends)| json!({ "id": id, "leaseEndsAt": ends.to_millis() }));
    Ok(Json(json!({
        "userId": query.user_id,
        "model": query.model,
        "domain": found.domain,
        "plan": found.plan,
        "groups": found.groups,
        "limits": found.limits.iter().map(explained).collect::<Vec<_>>(),
        "holds": holds.collect::<Vec<_>>(),
        "passes": found.passes,
        "verdict": found.verdict,
    })))
}

/// Counters against ledger; with `repair=true` the counters are set right.
pub async fn verify(
    State(state): State<ApiState>,
    _: Administrator,
    Query(query): Query<VerifyQuery>,
) -> Result<impl IntoResponse, ApiError> {
    let found = state.gate.verifier.verify(query.repair).await?;
    Ok(Json(json!({
        "clean": found.is_clean(),
        "domains": found.domains,
        "cold": found.cold,
        "inFlight": found.in_flight,
        "pending": found.pending,
        "counters": found.counters.iter().map(difference).collect::<Vec<_>>(),
        "ledger": found.ledger.iter().map(difference).collect::<Vec<_>>(),
    })))
}

fn explained(limit: &ExplainedLimit) -> Value {
    let mut value = json!(limit_body(&limit.held));
    value["bucket"] = json!(limit.held.hold.bucket.key());
    value["epoch"] = json!(limit.held.epoch);
    value["ledgerUsed"] = json!(limit.ledger_used);
    value
}

fn difference(found: &Difference) -> Value {
    json!({
        "domain": found.domain,
        "bucket": found.bucket,
        "found": found.found,
        "expected": found.expected,
        "repaired": found.repaired,
    })
}
