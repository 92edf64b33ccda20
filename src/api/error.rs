//! Errors of the usage API: `{"error": {"code", "message"}}`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;

use crate::auth::AuthError;
use crate::gate::Denied;
use crate::store::StoreError;

/// An error answer.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    /// An error with a status, a stable code and a sentence.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// 403.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Only an administrator may do this.")
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let status =
            if error.is_callers_fault() { StatusCode::UNAUTHORIZED } else { StatusCode::SERVICE_UNAVAILABLE };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let (status, code) = match denied {
            Denied::Unauthenticated => return AuthError::Missing.into(),
            Denied::UnknownPlan(_) => (StatusCode::FORBIDDEN, "unknown_plan"),
            Denied::ModelNotAllowed(_) => (StatusCode::FORBIDDEN, "model_not_allowed"),
            Denied::Refused(_) => (StatusCode::TOO_MANY_REQUESTS, "insufficient_quota"),
            Denied::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        Self::new(status, code, denied.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the usage API could not reach a store");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "storage_unavailable",
            format!("The gateway's {} store did not answer. Try again shortly.", error.store),
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": { "code": self.code, "message": self.message } }));
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                header::HeaderValue::from_static("Bearer realm=\"tollgate\""),
            );
        }
        response
    }
}

/// 404 for every path that is not served.
pub async fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "There is no such page on this gateway.")
}

/// 405.
pub async fn method_not_allowed() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This page does not take that method.",
    )
}
