//! The three client APIs as data: which call a path is, where its model stands, what usage an answer reports, and the
//! exact shape of every error, rate-limit header and model list.
//! Pure: it knows no store, no socket, no quota policy and no proxy; callers pass bytes in and get values out.

mod answer;
mod ask;
mod endpoint;
mod error;
mod headers;
mod json;
mod models;
mod multipart;
mod rate;
mod rewrite;
mod route;
mod scan;

pub use answer::{AnswerReader, Usage};
pub use ask::Ask;
pub use endpoint::{Body, Endpoint};
pub use error::{Kind, LimitFacts, Problem, Rendered, Retry, render, stream_error_event};
pub use headers::{MODEL_FALLBACK, REQUEST_ID, SERVER_TIMING, is_client_secret_or_hop, is_upstream_private};
pub use models::{ModelInfo, list_form, model_list, model_one};
pub use rate::{RateItem, RateUnit, rate_headers};
pub use rewrite::{needs_usage, rewrite};
pub use route::{Route, RouteError, query_key, route, upstream_path};
pub use scan::{fault::ScanError, scan};

/// One of the client APIs. The path chooses it, never the header that carries the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The API of `OpenAI` and of the many servers that copy it.
    OpenAi,
    /// Anthropic's Messages API.
    Anthropic,
    /// Google's Gemini API (`generativelanguage`).
    Gemini,
}

impl Dialect {
    /// The name used in the configuration, in metrics and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }
}
