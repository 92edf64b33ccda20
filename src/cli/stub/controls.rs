//! What a test may ask of the stub for one request, by `x-stub-*` headers. Owns their names, ranges and bounds.
//! A header that cannot be read is an error: a typing mistake in a test must not pass as the default.
//!
//! | header | value | does |
//! |---|---|---|
//! | `x-stub-status` | 400–599 | answers this status with an error in the caller's dialect |
//! | `x-stub-pieces` | 1–100000 | the answer has exactly so many pieces (words), and so many output tokens |
//! | `x-stub-delay-ms` | 0–600000 | waits before the first byte |
//! | `x-stub-piece-delay-ms` | 0–600000 | waits between two pieces |
//! | `x-stub-cut-after` | 0–100000 | breaks the connection after so many pieces (JSON: in the middle of the body) |
//! | `x-stub-no-usage` | any | leaves usage out |
//! | `x-stub-echo-hash` | any | says SHA-256 and length of the received body, in the text and in `x-stub-body-sha256` |
//! | `x-stub-tool` | any | answers with a call of the first tool given, unless a tool result is in the prompt already |

use std::time::Duration;

use http::HeaderMap;

/// The most pieces one answer may have: a long stream for load tests, still a bounded one.
pub(super) const MAX_PIECES: u64 = 100_000;

/// The longest wait, in milliseconds: beyond every timeout a test sets.
const MAX_DELAY_MS: u64 = 600_000;

/// The controls of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Controls {
    pub status: Option<u16>,
    pub pieces: Option<usize>,
    pub delay: Duration,
    pub piece_delay: Duration,
    pub cut_after: Option<usize>,
    pub no_usage: bool,
    pub echo_hash: bool,
    pub tool: bool,
    /// Set once the body is read, when `echo_hash` is.
    pub body_sha256: Option<String>,
}

impl Controls {
    /// Reads the headers; `piece_delay` is the default for a request that does not say.
    pub fn read(headers: &HeaderMap, piece_delay: Duration) -> Result<Self, String> {
        let status = number(headers, "x-stub-status", 400, 599)?;
        Ok(Self {
            status: status.map(|status| u16::try_from(status).unwrap_or(u16::MAX)),
            pieces: count(headers, "x-stub-pieces", 1)?,
            delay: Duration::from_millis(number(headers, "x-stub-delay-ms", 0, MAX_DELAY_MS)?.unwrap_or(0)),
            piece_delay: number(headers, "x-stub-piece-delay-ms", 0, MAX_DELAY_MS)?
                .map_or(piece_delay, Duration::from_millis),
            cut_after: count(headers, "x-stub-cut-after", 0)?,
            no_usage: headers.contains_key("x-stub-no-usage"),
            echo_hash: headers.contains_key("x-stub-echo-hash"),
            tool: headers.contains_key("x-stub-tool"),
            body_sha256: None,
        })
    }
}

fn count(headers: &HeaderMap, name: &str, min: u64) -> Result<Option<usize>, String> {
    let value = number(headers, name, min, MAX_PIECES)?;
    Ok(value.map(|value| usize::try_from(value).unwrap_or(usize::MAX)))
}

fn number(headers: &HeaderMap, name: &str, min: u64, max: u64) -> Result<Option<u64>, String> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok());
    match number {
        Some(number) if (min..=max).contains(&number) => Ok(Some(number)),
        _ => Err(format!("`{name}` is {value:?}; allowed: a whole number from {min} to {max}")),
    }
}
