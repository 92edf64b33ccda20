//! Errors in the shape each provider documents, so that each SDK raises its own class. Owns the three shapes only.
//! Sources: `OpenAI` "Error codes", Anthropic "Errors", Google `google.rpc.Status` as JSON.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::dialect::Dialect;

/// An error answer before it is put into a dialect.
#[derive(Debug)]
pub(super) struct StubError {
    status: StatusCode,
    message: String,
    /// Nobody is there to read this answer.
    pub client_left: bool,
}

impl StubError {
    pub fn new(status: StatusCode, message: String) -> Self {
        Self { status, message, client_left: false }
    }

    pub fn bad_request(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A body that could not be read: too large, or broken off by its sender.
    pub fn unread(error: axum::Error) -> Self {
        let message = format!("the body could not be read: {error}");
        if error.into_inner().is::<http_body_util::LengthLimitError>() {
            return Self::new(StatusCode::PAYLOAD_TOO_LARGE, message);
        }
        Self { client_left: true, ..Self::bad_request(message) }
    }

    pub fn in_dialect(self, dialect: Dialect) -> Response {
        (self.status, Json(self.body(dialect))).into_response()
    }

    fn body(&self, dialect: Dialect) -> Value {
        let (status, message) = (self.status.as_u16(), self.message.as_str());
        let (openai, code, anthropic, gemini) = names(status);
        match dialect {
            Dialect::OpenAi => {
                json!({"error": {"message": message, "type": openai, "param": null, "code": code}})
            }
            Dialect::Anthropic => json!({
                "type": "error", "error": {"type": anthropic, "message": message}, "request_id": "req_stub",
            }),
            Dialect::Gemini => json!({"error": {"code": status, "message": message, "status": gemini}}),
        }
    }
}

/// Type and code of `OpenAI`, type of Anthropic, status of Gemini.
fn names(status: u16) -> (&'static str, Option<&'static str>, &'static str, &'static str) {
    const BAD: &str = "invalid_request_error";
    const SERVER: &str = "server_error";
    match status {
        401 => (BAD, Some("invalid_api_key"), "authentication_error", "UNAUTHENTICATED"),
        402 => (BAD, None, "billing_error", "INVALID_ARGUMENT"),
        403 => (BAD, Some("unsupported_country_region_territory"), "permission_error", "PERMISSION_DENIED"),
        404 => (BAD, Some("model_not_found"), "not_found_error", "NOT_FOUND"),
        413 => (BAD, None, "request_too_large", "INVALID_ARGUMENT"),
        429 => ("requests", Some("rate_limit_exceeded"), "rate_limit_error", "RESOURCE_EXHAUSTED"),
        503 => (SERVER, None, "api_error", "UNAVAILABLE"),
        504 => (SERVER, None, "timeout_error", "DEADLINE_EXCEEDED"),
        529 => (SERVER, None, "overloaded_error", "INTERNAL"),
        500.. => (SERVER, None, "api_error", "INTERNAL"),
        _ => (BAD, None, BAD, "INVALID_ARGUMENT"),
    }
}
