//! The query of a call of the usage API, and the frame of its answers. A query that cannot be read is refused in this
//! API's own shape.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::IntoResponse;
use http::header::CACHE_CONTROL;
use http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::ApiError;

/// The parameters behind `?`.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let read = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        read.map(|read| Self(read.0)).map_err(|rejection| ApiError::bad_request(rejection.body_text()))
    }
}

/// How many rows a page has.
#[derive(Clone, Copy)]
pub struct PageSize {
    /// When the query names no number.
    pub default: u32,
    /// The most that may be asked for.
    pub max: u32,
}

impl PageSize {
    /// The number that the query names.
    pub fn of(self, asked: Option<u32>) -> Result<u32, ApiError> {
        let limit = asked.unwrap_or(self.default);
        let is_served = (1..=self.max).contains(&limit);
        is_served
            .then_some(limit)
            .ok_or_else(|| ApiError::bad_request(format!("`limit` must be 1 to {}.", self.max)))
    }
}

/// A page of rows, of which one more than `max` was read: that one tells whether there is a next page, which begins behind
/// the `cursor` of the last row shown.
pub fn page<T>(
    mut rows: Vec<T>,
    max: u32,
    cursor: impl Fn(&T) -> String,
    item: impl Fn(&T) -> Value,
) -> impl IntoResponse {
    let has_more = rows.len() > max as usize;
    rows.truncate(max as usize);
    let next = rows.last().filter(|_| has_more).map(cursor);
    private(json!({ "items": rows.iter().map(item).collect::<Vec<_>>(), "next": next }))
}

/// A JSON answer for its reader alone.
pub fn private(body: impl Serialize) -> impl IntoResponse {
    ([(CACHE_CONTROL, "private, no-store")], Json(body))
}
