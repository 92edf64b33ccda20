//! `GET /api/audit`: who changed what, when, why, for administrators. Newest first, page by page.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Administrator;
use super::error::ApiError;
use super::query::{PageSize, Query, page};
use super::state::ApiState;
use crate::clock::Timestamp;
use crate::store::AuditFilter;
use crate::store::audit::AuditRecord;

/// Rows of a page.
const LIMIT: PageSize = PageSize { default: 50, max: 500 };

/// Query of `audit`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    since: Option<String>,
    actor: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// A page of the audit log.
pub async fn read(
    State(state): State<ApiState>,
    _: Administrator,
    Query(query): Query<AuditQuery>,
) -> Result<impl IntoResponse, ApiError> {
    let max = LIMIT.of(query.limit)?;
    let filter = AuditFilter {
        before_seq: query.cursor.as_deref().map(cursor).transpose()?,
        since_ms: query.since.as_deref().filter(|since| !since.is_empty()).map(since).transpose()?,
        actor: query.actor.filter(|actor| !actor.is_empty()),
        action: query.action.filter(|action| !action.is_empty()),
        subject: query.subject.filter(|subject| !subject.is_empty()),
        max: max + 1,
    };
    let records = state.gate.ledger().audit(&filter).await?;
    Ok(page(records, max, |last| last.seq.to_string(), item))
}

fn item(record: &AuditRecord) -> Value {
    let detail = serde_json::from_str(&record.detail).unwrap_or_else(|_| json!(record.detail));
    json!({
        "seq": record.seq,
        "at": Timestamp::from_millisecond(record.at_ms).to_millis(),
        "actor": record.actor,
        "action": record.action,
        "subject": record.subject,
        "reason": record.reason,
        "detail": detail,
    })
}

fn cursor(text: &str) -> Result<i64, ApiError> {
    text.parse().map_err(|_| ApiError::bad_request("`cursor` must be the `next` of the page before."))
}

fn since(text: &str) -> Result<i64, ApiError> {
    let at: Timestamp = text
        .parse()
        .map_err(|_| ApiError::bad_request("`since` must be a time such as `2026-11-24T00:00:00Z`."))?;
    Ok(at.as_millisecond())
}
