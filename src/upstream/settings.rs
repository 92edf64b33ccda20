//! What the configuration says about one upstream.

use std::collections::BTreeMap;
use std::fmt;

use crate::quota::Pattern;

/// One model provider, or a server of one's own.
#[derive(Clone)]
pub struct UpstreamSettings {
    /// Its name: a metric label and a column of the ledger.
    pub name: String,
    /// Where it listens.
    pub base_url: BaseUrl,
    /// The key that replaces the caller's; `None`: none is sent (Ollama, vLLM without a key).
    pub api_key: Option<String>,
    /// The models it serves.
    pub models: Vec<Pattern>,
    /// Dialect (`openai`, `anthropic`, `gemini`) to the path prefix that replaces `/v1` or `/v1beta`.
    pub serves: BTreeMap<String, String>,
    /// Time to connect, TLS included, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Time from the request's last byte to the answer's first, in milliseconds.
    pub first_byte_timeout_ms: u64,
    /// Longest silence inside an answer, in milliseconds.
    pub idle_timeout_ms: u64,
}

/// Scheme, host and port of an upstream; the path is kept as a prefix of its paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// https?
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path before the dialect's prefix, without a trailing slash; mostly empty.
    pub path: String,
}

impl BaseUrl {
    /// The `Host` header: the port stands there unless it is the scheme's own.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Debug for UpstreamSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamSettings")
            .field("name", &self.name)
            .field("base_url", &self.base_url)
            .field("api_key", &self.api_key.as_ref().map(|_| "…"))
            .finish_non_exhaustive()
    }
}
