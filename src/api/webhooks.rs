//! `GET /api/webhooks`, `POST /api/webhooks/retry`: what is not delivered, and sending it again. For administrators.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Administrator;
use super::error::ApiError;
use super::query::{PageSize, Query, private};
use super::state::ApiState;
use crate::clock::Timestamp;
use crate::store::audit::Audit;
use crate::store::outbox::Message;

/// Messages of a page.
const LIMIT: PageSize = PageSize { default: 100, max: 1_000 };
/// Longest reason, in bytes.
const REASON_MAX: usize = 1_024;

/// Query of `list`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    state: Option<String>,
    limit: Option<u32>,
}

/// Body of `retry`: one of `id` and `all`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryBody {
    id: Option<String>,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    reason: String,
}

/// Messages that are not delivered, newest first.
pub async fn list(
    State(state): State<ApiState>,
    _: Administrator,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, ApiError> {
    let max = LIMIT.of(query.limit)?;
    let wanted = query.state.as_deref();
    if wanted.is_some_and(|state| !["pending", "dead"].contains(&state)) {
        return Err(ApiError::bad_request(
            "`state` must be `pending` or `dead`; without it both are listed.",
        ));
    }
    let (messages, counts) =
        tokio::try_join!(state.outbox.undelivered(wanted, max), state.outbox.outbox_counts())?;
    let items: Vec<Value> = messages.iter().map(item).collect();
    let body = json!({ "pending": counts.pending, "dead": counts.dead, "items": items });
    Ok(private(body))
}

/// Sends one message, or all dead ones, again.
pub async fn retry(
    State(state): State<ApiState>,
    Administrator(caller): Administrator,
    raw: axum::body::Bytes,
) -> Result<impl IntoResponse, ApiError> {
    let form = "The body must be `{\"id\": \"msg_…\"}` or `{\"all\": true}`, with a `reason` if you like";
    let body: RetryBody =
        serde_json::from_slice(&raw).map_err(|error| ApiError::bad_request(format!("{form}: {error}.")))?;
    if body.id.is_some() == body.all {
        return Err(ApiError::bad_request(format!("{form}.")));
    }
    if body.reason.len() > REASON_MAX {
        return Err(ApiError::bad_request(format!("`reason` is longer than {REASON_MAX} bytes.")));
    }
    let id = body.id.as_deref();
    let audit = Audit {
        actor: caller.user.as_deref().unwrap_or_default(),
        action: "webhooks.retry",
        subject: id.unwrap_or("all dead"),
        reason: &body.reason,
        detail: "{}",
    };
    let retried = state.outbox.retry(id, state.clock.now_ms(), audit).await?;
    if retried == 0 && id.is_some() {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "No undelivered webhook has this id: `tollgate webhooks` lists them.",
        ));
    }
    Ok(Json(json!({ "retried": retried })))
}

fn item(message: &Message) -> Value {
    let at = |ms| Timestamp::from_millisecond(ms).to_millis();
    let mut data = serde_json::from_str(&message.data).unwrap_or_else(|_| json!({}));
    data["used"] = json!(message.used);
    json!({
        "id": message.id,
        "webhook": message.webhook,
        "type": message.event,
        "state": message.state,
        "timestamp": at(message.at_ms),
        "attempts": message.attempts,
        "nextTryAt": (message.state == "pending").then(|| at(message.next_try_at_ms)),
        "deadAt": message.ended_at_ms.map(at),
        "lastStatus": message.last_status,
        "lastError": message.last_error,
        "data": data,
    })
}
