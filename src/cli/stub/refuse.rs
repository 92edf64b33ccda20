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
        match dialect {
            Dialect::OpenAi => {
                let (kind, code) = openai_names(status);
                json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
            }
            Dialect::Anthropic => json!({
                "type": "error",
                "error": {"type": anthropic_name(status), "message": message},
                "request_id": "req_stub",
            }),
            Dialect::Gemini => {
                json!({"error": {"code": status, "message": message, "status": gemini_name(status)}})
            }
        }
    }
}

fn openai_names(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        403 => ("invalid_request_error", Some("unsupported_country_region_territory")),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    }
}

fn anthropic_name(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

fn gemini_name(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}
