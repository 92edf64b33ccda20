//! `GET /api/users`: who uses the gateway, for administrators. A search by the beginning of the id, page by page.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::caller::Administrator;
use super::error::ApiError;
use super::query::{PageSize, Query, page};
use super::state::ApiState;
use crate::store::KnownUser;

/// Users of a page.
const LIMIT: PageSize = PageSize { default: 50, max: 500 };

/// The longest beginning that is searched for, in bytes: no id in the ledger is longer.
const PREFIX_BYTES_MAX: usize = 512;

/// Query of `users`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersQuery {
    #[serde(default)]
    prefix: String,
    /// The last id of the page before.
    #[serde(default)]
    cursor: String,
    limit: Option<u32>,
}

/// A page of users, in the order of their ids. Who was never charged a message is not known.
pub async fn read(
    State(state): State<ApiState>,
    _: Administrator,
    Query(query): Query<UsersQuery>,
) -> Result<impl IntoResponse, ApiError> {
    let max = LIMIT.of(query.limit)?;
    if query.prefix.len() > PREFIX_BYTES_MAX {
        return Err(ApiError::bad_request(format!(
            "`prefix` must not be longer than {PREFIX_BYTES_MAX} bytes."
        )));
    }
    let users = state.reads.users(&query.prefix, &query.cursor, max + 1).await?;
    let item = |user: &KnownUser| json!({ "userId": user.user, "lastDay": user.last_day });
    Ok(page(users, max, |last| last.user.clone(), item))
}
