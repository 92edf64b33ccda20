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
    /// Its share among upstreams of the same priority; 1 to 1000.
    pub weight: u32,
    /// Lower numbers are asked first.
    pub priority: u32,
    /// Requests it may have at once; `None`: no limit.
    pub max_concurrent: Option<u32>,
    /// What happens to an answer whose client leaves in the middle.
    pub on_disconnect: OnDisconnect,
    /// The authorities that may sign its certificate, each DER-encoded, instead of the usual ones; empty: those.
    pub ca: Vec<Vec<u8>>,
    /// Ask it from time to time whether it is there.
    pub check: Option<Check>,
}

/// What happens to an answer whose client leaves in the middle. The message is charged either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisconnect {
    /// The upstream is stopped at once; the tokens are estimated.
    Stop,
    /// The answer is read to its end within these bounds, so that the tokens are the upstream's own figures.
    Drain(Drain),
}

/// How much of an answer is read after its client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// At most so many bytes.
    pub max_bytes: u64,
    /// At most for so long, in milliseconds.
    pub max_time_ms: u64,
}

/// An active check: `GET` of a path without a key. Any answer below 500 within the time to connect means that the
/// server is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The path, from the host's root.
    pub path: String,
    /// How often, in milliseconds.
    pub every_ms: u64,
}

impl UpstreamSettings {
    /// An upstream that serves these models, with the defaults of the configuration for all else.
    pub fn new(
        name: &str,
        base_url: BaseUrl,
        models: Vec<Pattern>,
        serves: BTreeMap<String, String>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            base_url,
            api_key: None,
            models,
            serves,
            connect_timeout_ms: 5_000,
            first_byte_timeout_ms: 300_000,
            idle_timeout_ms: 120_000,
            weight: 1,
            priority: 0,
            max_concurrent: None,
            on_disconnect: OnDisconnect::Stop,
            ca: Vec::new(),
            check: None,
        }
    }
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
