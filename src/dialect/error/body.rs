//! The JSON shapes of errors, one type for each API, fields in the order in which the APIs themselves send them.
//! It knows no header and no status but the one that Gemini repeats in its body.

use serde::Serialize;

use super::{Kind, LimitFacts, Problem, Retry};
use crate::dialect::Dialect;

/// A message is one line for a person; what echoes a caller's bytes must not fill a log.
const MAX_MESSAGE_CHARS: usize = 1_000;

/// The outer object of each API; `type` and `request_id` are Anthropic's.
#[derive(Serialize)]
struct Outer<'a, E> {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'a str>,
    error: E,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: String,
    r#type: &'a str,
    param: Option<&'a str>,
    code: &'a str,
    #[serde(flatten)]
    limit: Option<&'a LimitFacts>,
}

#[derive(Serialize)]
struct ResponsesEvent<'a> {
    r#type: &'a str,
    code: &'a str,
    message: String,
    param: Option<&'a str>,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'a str,
    message: String,
    #[serde(flatten)]
    limit: Option<&'a LimitFacts>,
}

#[derive(Serialize)]
struct GeminiError<'a> {
    code: u16,
    message: String,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<[GeminiDetail; 1]>,
    #[serde(flatten)]
    limit: Option<&'a LimitFacts>,
}

/// The details that Google's clients know: <https://cloud.google.com/apis/design/errors#error_details>
#[derive(Serialize)]
#[serde(tag = "@type")]
enum GeminiDetail {
    #[serde(rename = "type.googleapis.com/google.rpc.ErrorInfo")]
    ErrorInfo { reason: &'static str, domain: &'static str },
    #[serde(rename = "type.googleapis.com/google.rpc.RetryInfo")]
    RetryInfo {
        #[serde(rename = "retryDelay")]
        retry_delay: String,
    },
}

pub(super) fn of(dialect: Dialect, problem: &Problem, request_id: Option<&str>) -> String {
    let message = one_line(&problem.message);
    let limit = problem.limit.as_ref();
    let (_, openai, code, anthropic, gemini) = problem.kind.row();
    match dialect {
        Dialect::OpenAi => {
            let error = OpenAiError { message, r#type: openai, param: None, code, limit };
            text(&Outer { r#type: None, error, request_id: None })
        }
        Dialect::Anthropic => {
            let error = AnthropicError { r#type: anthropic, message, limit };
            text(&Outer { r#type: Some("error"), error, request_id })
        }
        Dialect::Gemini => {
            let details = detail(problem).map(|detail| [detail]);
            let error = GeminiError { code: problem.status, message, status: gemini, details, limit };
            text(&Outer { r#type: None, error, request_id: None })
        }
    }
}

/// The event in a stream of the Responses API, which has a shape of its own.
pub(super) fn responses_event(problem: &Problem) -> String {
    let (code, message) = (problem.kind.code(), one_line(&problem.message));
    text(&ResponsesEvent { r#type: "error", code, message, param: None })
}

fn detail(problem: &Problem) -> Option<GeminiDetail> {
    let delay = |ms: u64| format!("{}.{:03}s", ms / 1_000, ms % 1_000);
    match (problem.kind, problem.retry) {
        (Kind::QuotaSpent, _) => {
            Some(GeminiDetail::ErrorInfo { reason: "QUOTA_EXHAUSTED", domain: "tollgate" })
        }
        (Kind::RateLimited, Retry::After { ms }) => Some(GeminiDetail::RetryInfo { retry_delay: delay(ms) }),
        (Kind::RateLimited, Retry::Soon { s } | Retry::Never { after_s: Some(s) }) => {
            Some(GeminiDetail::RetryInfo { retry_delay: delay(s.saturating_mul(1_000)) })
        }
        _ => None,
    }
}

fn one_line(message: &str) -> String {
    message
        .chars()
        .take(MAX_MESSAGE_CHARS)
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect()
}

/// Strings and numbers in plain structs always serialise; the fallback is a valid error of every API's outer shape.
fn text(body: &impl Serialize) -> String {
    serde_json::to_string(body)
        .unwrap_or_else(|error| serde_json::json!({"error": {"message": error.to_string()}}).to_string())
}
