//! The one place where refusals and errors get their shape: status, headers and body in the caller's dialect, so that
//! each SDK raises its own exception and shows our sentence.
//! It does not know why something was refused; the caller brings kind, sentence and figures.

use serde::Serialize;

use super::{Dialect, Endpoint};

mod body;
#[cfg(test)]
mod tests;

/// The longest wait an SDK may sleep through by itself, in milliseconds. Above it some sleep for days and some come
/// back at once.
const MAX_CLIENT_WAIT_MS: u64 = 60_000;

/// An error of our own, before it has a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status; [`Kind::status`] unless the caller changes it.
    pub status: u16,
    /// What went wrong, as the contract's table has it.
    pub kind: Kind,
    /// One sentence or more for a person, the important words first.
    pub message: String,
    /// The figures of the limit that refused.
    pub limit: Option<LimitFacts>,
    /// What the client shall do next.
    pub retry: Retry,
}

/// The rows of the contract's error table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 400: the request cannot be read, or not in one way only.
    InvalidRequest,
    /// 401: the credential is missing, bad or expired.
    InvalidApiKey,
    /// 403: the plan, the team role or the anonymous caller may not do this.
    ModelNotAllowed,
    /// 404: no upstream serves this model.
    ModelNotFound,
    /// 404: no such call.
    UnknownPath,
    /// 405: the call exists with another method.
    MethodNotAllowed {
        /// The value of the `allow` header.
        allow: &'static str,
    },
    /// 413: the body is over the limit.
    TooLarge,
    /// 429: a limit of an hour or longer is spent.
    QuotaSpent,
    /// 429: a shorter limit is spent.
    RateLimited,
    /// 500: the gateway's own storage or logic failed.
    Internal,
    /// 502: the upstream could not be reached, or broke off.
    Upstream,
    /// 504: the upstream did not answer in time.
    UpstreamTimeout,
    /// 503: draining, or too much at once.
    Overloaded,
}

/// The figures of a limit, as its members may see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitFacts {
    /// The limit's name in the plan.
    pub limit: String,
    /// Units used in this period.
    pub used: u64,
    /// Units allowed in this period.
    pub max: u64,
    /// Units held by requests in flight, when it is they that fill the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<u64>,
    /// When the period ends, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<String>,
}

/// What the client shall do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Nothing is said.
    None,
    /// Do not come back by yourself; a person may try again after this many seconds.
    Never {
        /// Seconds until it can succeed, where that is known.
        after_s: Option<u64>,
    },
    /// Come back after this many milliseconds.
    After {
        /// The exact wait.
        ms: u64,
    },
    /// Come back after this many whole seconds.
    Soon {
        /// The wait.
        s: u64,
    },
}

/// An answer that is ready to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The HTTP status.
    pub status: u16,
    /// All headers but `content-length` and `x-request-id`, which the sender sets on every answer.
    pub headers: Vec<(&'static str, String)>,
    /// A JSON object.
    pub body: String,
}

impl Problem {
    /// A problem with its kind's status and the retry advice that the kind alone decides.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let retry = match kind {
            Kind::InvalidApiKey => Retry::Never { after_s: None },
            Kind::Overloaded => Retry::Soon { s: 1 },
            _ => Retry::None,
        };
        Self { status: kind.status(), kind, message: message.into(), limit: None, retry }
    }

    /// The same with the figures of the limit that refused.
    #[must_use]
    pub fn with_limit(self, limit: LimitFacts) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// The same with other advice.
    #[must_use]
    pub fn with_retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }
}

impl Kind {
    /// The status of the contract's table.
    pub fn status(self) -> u16 {
        self.row().0
    }

    /// A stable word for logs and metrics: the `code` of the `openai` dialect.
    pub fn code(self) -> &'static str {
        self.row().2
    }

    /// The contract's table: status, type and code of `openai`, type of `anthropic`, status of `gemini`.
    fn row(self) -> (u16, &'static str, &'static str, &'static str, &'static str) {
        const BAD: &str = "invalid_request_error";
        const LOGIN: &str = "authentication_error";
        const SPENT: &str = "insufficient_quota";
        const RATE: &str = "rate_limit_exceeded";
        match self {
            Self::InvalidRequest => (400, BAD, "invalid_request", BAD, "INVALID_ARGUMENT"),
            Self::InvalidApiKey => (401, LOGIN, "invalid_api_key", LOGIN, "UNAUTHENTICATED"),
            Self::ModelNotAllowed => {
                (403, "permission_error", "model_not_allowed", "permission_error", "PERMISSION_DENIED")
            }
            Self::ModelNotFound | Self::UnknownPath => {
                (404, BAD, "model_not_found", "not_found_error", "NOT_FOUND")
            }
            Self::MethodNotAllowed { .. } => (405, BAD, "method_not_allowed", BAD, "INVALID_ARGUMENT"),
            Self::TooLarge => (413, BAD, "request_too_large", "request_too_large", "INVALID_ARGUMENT"),
            Self::QuotaSpent => (429, SPENT, SPENT, "rate_limit_error", "RESOURCE_EXHAUSTED"),
            Self::RateLimited => (429, RATE, RATE, "rate_limit_error", "RESOURCE_EXHAUSTED"),
            Self::Internal => (500, "server_error", "internal_error", "api_error", "INTERNAL"),
            Self::Upstream => (502, "server_error", "upstream_error", "api_error", "UNAVAILABLE"),
            Self::Overloaded => (503, "server_error", "overloaded", "overloaded_error", "UNAVAILABLE"),
            Self::UpstreamTimeout => {
                (504, "server_error", "upstream_timeout", "api_error", "DEADLINE_EXCEEDED")
            }
        }
    }
}

/// Builds the answer. `request_id` is the id that the caller sees.
pub fn render(dialect: Dialect, problem: &Problem, request_id: &str) -> Rendered {
    let body = body::of(dialect, problem, Some(request_id));
    let mut headers =
        vec![("content-type", "application/json".to_owned()), ("cache-control", "no-store".to_owned())];
    if dialect == Dialect::Anthropic {
        headers.push(("request-id", request_id.to_owned()));
    }
    if problem.kind == Kind::InvalidApiKey {
        headers.push(("www-authenticate", "Bearer realm=\"tollgate\"".to_owned()));
    }
    if let Kind::MethodNotAllowed { allow } = problem.kind {
        headers.push(("allow", allow.to_owned()));
    }
    headers.extend(retry_headers(problem));
    Rendered { status: problem.status, headers, body }
}

/// The event that tells a client in mid-stream that its answer ends here with an error; after it the connection is to
/// be broken off. Begins a new event: the sender puts a blank line before it when the last one was torn.
pub fn stream_error_event(dialect: Dialect, endpoint: Endpoint, problem: &Problem) -> String {
    match dialect {
        Dialect::OpenAi if endpoint == Endpoint::Responses => {
            format!("event: error\ndata: {}\n\n", body::responses_event(problem))
        }
        Dialect::Anthropic => format!("event: error\ndata: {}\n\n", body::of(dialect, problem, None)),
        Dialect::OpenAi | Dialect::Gemini => format!("data: {}\n\n", body::of(dialect, problem, None)),
    }
}

fn retry_headers(problem: &Problem) -> Vec<(&'static str, String)> {
    let no = || ("x-should-retry", "false".to_owned());
    let after = |seconds: u64| ("retry-after", seconds.to_string());
    match problem.retry {
        Retry::None if problem.kind == Kind::InvalidApiKey => vec![no()],
        Retry::None => Vec::new(),
        Retry::Never { after_s } => [Some(no()), after_s.map(after)].into_iter().flatten().collect(),
        Retry::After { ms } if ms <= MAX_CLIENT_WAIT_MS => {
            vec![after(ms.div_ceil(1_000).max(1)), ("retry-after-ms", ms.to_string())]
        }
        Retry::After { ms } => vec![no(), after(ms.div_ceil(1_000))],
        Retry::Soon { s } => vec![after(s.max(1))],
    }
}
