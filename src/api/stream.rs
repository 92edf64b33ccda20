//! `GET /api/usage/stream`: a usage object at once and after each change, as server-sent events.
//!
//! The counters are asked every [`LOOK_EVERY`], so a change through any gateway shows within a second. Streams are
//! bounded in number, and end when the gateway stops.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, HeaderName};
use http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::caller::SignedIn;
use super::error::ApiError;
use super::state::ApiState;
use super::usage::usage_json;
use crate::gate::Who;

/// How often the counters are asked.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// A comment is sent after this much silence, so that proxies keep the connection and a client that left is noticed.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What a client that reconnects has seen last.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

struct Watch {
    state: ApiState,
    user_id: String,
    who: Who,
    seen: String,
    first: bool,
    _place: OwnedSemaphorePermit,
}

/// The stream of one's own usage.
pub async fn stream(
    State(state): State<ApiState>,
    SignedIn(caller): SignedIn,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    let who = state.gate.identify(&caller)?;
    let busy = || {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", "Too many usage streams are open.")
    };
    let place = Arc::clone(&state.streams).try_acquire_owned().map_err(|_| busy())?;
    let seen = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let user_id = caller.user.clone().unwrap_or_default();
    let watch = Watch { state, user_id, who, seen, first: true, _place: place };
    let keep_alive = KeepAlive::new().interval(HEARTBEAT);
    Ok(([(CACHE_CONTROL, "no-store")], Sse::new(events(watch)).keep_alive(keep_alive)))
}

fn events(watch: Watch) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold(watch, |mut watch| async move {
        loop {
            if *watch.state.stopping.borrow() {
                return None;
            }
            if !std::mem::take(&mut watch.first) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            match watch.state.gate.reports.usage(&watch.who).await {
                Ok(view) => {
                    let body = usage_json(&watch.state, watch.user_id.clone(), &watch.who, &view);
                    let id = digest(&body);
                    if id != watch.seen {
                        watch.seen.clone_from(&id);
                        return Some((Ok(Event::default().event("usage").id(id).data(body)), watch));
                    }
                }
                // the client sees silence and heartbeats; the next look may succeed
                Err(error) => tracing::debug!(%error, "a usage stream could not read the counters"),
            }
        }
    })
}

/// A short name of what was shown: equal states have equal ids, through any gateway.
fn digest(body: &str) -> String {
    Sha256::digest(body.as_bytes())[..8].iter().fold(String::new(), |id, byte| format!("{id}{byte:02x}"))
}
