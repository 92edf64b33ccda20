//! `GET /api/usage`, `DELETE /api/usage`, `GET /api/usage/history`.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::caller::{Administrator, SignedIn};
use super::error::ApiError;
use super::query::{Query, private};
use super::state::ApiState;
use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::gate::{UsageView, Who};
use crate::quota::LimitHold;
use crate::store::Audit;

/// Months shown when the query names none, and the most that may be asked for.
const HISTORY_MONTHS: (u32, u32) = (6, 60);

/// Longest reason of a reset, in bytes.
const REASON_MAX: usize = 1000;

/// Query of the usage calls.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UsageQuery {
    user_id: Option<String>,
    months: Option<u32>,
}

/// Body of a reset.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetBody {
    #[serde(default)]
    reason: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageBody {
    user_id: String,
    total_messages: u64,
    premium_messages: u64,
    last_reset: String,
    can_send_message: bool,
    can_send_premium_message: bool,
    plan: String,
    resets_at: String,
    limits: Vec<LimitBody>,
    premium_models: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degraded: bool,
}

/// One limit as the API shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitBody {
    name: String,
    meter: &'static str,
    models: Vec<String>,
    scope: &'static str,
    per: Option<&'static str>,
    max: u64,
    used: u64,
    held: u64,
    remaining: u64,
    resets_at: Option<String>,
}

/// Own usage; an administrator may name another user.
pub async fn read(
    State(state): State<ApiState>,
    SignedIn(caller): SignedIn,
    Query(query): Query<UsageQuery>,
) -> Result<impl IntoResponse, ApiError> {
    let (user_id, who) = subject(&state, &caller, query.user_id.as_deref()).await?;
    let view = state.gate.reports.usage(&who).await?;
    Ok(private(body(&state, user_id, &who, &view)))
}

/// An administrator's reset: the counters of the running periods begin anew, the ledger keeps its rows.
pub async fn reset(
    State(state): State<ApiState>,
    Administrator(caller): Administrator,
    Query(query): Query<UsageQuery>,
    raw: axum::body::Bytes,
) -> Result<impl IntoResponse, ApiError> {
    let user =
        query.user_id.ok_or_else(|| ApiError::bad_request("Say whose usage to reset: `?userId=…`."))?;
    let ResetBody { reason } = if raw.is_empty() {
        ResetBody::default()
    } else {
        serde_json::from_slice(&raw).map_err(|error| {
            ApiError::bad_request(format!("The body must be `{{\"reason\": \"…\"}}`: {error}."))
        })?
    };
    if reason.len() > REASON_MAX {
        return Err(ApiError::bad_request(format!("`reason` is longer than {REASON_MAX} bytes.")));
    }
    let actor = caller.user.as_deref().unwrap_or_default();
    let audit = Audit { actor, action: "usage.reset", subject: &user, reason: &reason, detail: "{}" };
    let reset_at = state.gate.reports.reset_user(&user, audit).await?;
    let (_, who) = subject(&state, &caller, Some(&user)).await?;
    let view = state.gate.reports.usage(&who).await?;
    Ok(Json(
        json!({ "userId": user, "resetAt": reset_at.to_millis(), "usage": body(&state, user.clone(), &who, &view) }),
    ))
}

/// One row a month, newest first.
pub async fn history(
    State(state): State<ApiState>,
    SignedIn(caller): SignedIn,
    Query(query): Query<UsageQuery>,
) -> Result<impl IntoResponse, ApiError> {
    let (user_id, _) = subject(&state, &caller, query.user_id.as_deref()).await?;
    let months = query.months.unwrap_or(HISTORY_MONTHS.0).clamp(1, HISTORY_MONTHS.1);
    let rows = state.reads.history(&user_id, months).await?;
    let row = |row: &crate::store::MonthUsage| {
        json!({
            "month": row.month,
            "messages": row.messages,
            "premiumMessages": row.premium_messages,
            "inputTokens": row.input_tokens,
            "outputTokens": row.output_tokens,
            "costUsd": dollars(row.cost_micro_usd),
        })
    };
    let items: Vec<_> = rows.iter().map(row).collect();
    Ok(private(json!({ "userId": user_id, "items": items, "next": null })))
}

/// Whose usage is asked for: one's own, or for administrators anybody's, as it was last seen.
async fn subject(state: &ApiState, caller: &Caller, asked: Option<&str>) -> Result<(String, Who), ApiError> {
    let own = caller.user.as_deref().unwrap_or_default();
    match asked {
        Some(user) if user != own => {
            if !caller.is_admin() {
                return Err(ApiError::forbidden());
            }
            Ok((user.to_owned(), state.gate.reports.last_seen(user).await?))
        }
        _ => Ok((own.to_owned(), state.gate.identify(caller)?)),
    }
}

/// The usage object as text, for the stream.
pub fn usage_json(state: &ApiState, user_id: String, who: &Who, view: &UsageView) -> String {
    json!(body(state, user_id, who, view)).to_string()
}

fn body(state: &ApiState, user_id: String, who: &Who, view: &UsageView) -> UsageBody {
    let rules = state.gate.rules();
    let premium = rules
        .policy
        .groups
        .get(&*rules.policy.premium_group)
        .map(|group| group.patterns.as_slice())
        .unwrap_or_default();
    UsageBody {
        user_id,
        total_messages: view.total_messages,
        premium_messages: view.premium_messages,
        last_reset: view.last_reset.to_millis(),
        can_send_message: view.can_send_message,
        can_send_premium_message: view.can_send_premium_message,
        plan: who.plan.name.to_string(),
        resets_at: view.resets_at.to_millis(),
        limits: view.limits.iter().map(limit_body).collect(),
        premium_models: premium.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
        degraded: view.degraded,
    }
}

/// One limit as the API shows it.
pub fn limit_body(it: &LimitHold) -> LimitBody {
    let LimitHold { limit, standing, .. } = it;
    LimitBody {
        name: limit.name.to_string(),
        meter: limit.meter.as_str(),
        models: limit.models.as_ref().map(|set| set.written.clone()).unwrap_or_default(),
        scope: limit.scope.as_str(),
        per: limit.window.per(),
        max: standing.max,
        used: standing.used,
        held: standing.held,
        remaining: standing.remaining(),
        resets_at: it.resets_at().map(Timestamp::to_millis),
    }
}

/// Millionths of a US dollar as dollars.
#[expect(clippy::cast_precision_loss, reason = "a display value in dollars; the ledger keeps the integer")]
pub(super) fn dollars(micro_usd: u64) -> f64 {
    micro_usd as f64 / 1e6
}
