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

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

/// The most pieces one answer may have: a long stream for load tests, still a bounded one.
const MAX_PIECES: usize = 100_000;

/// The longest wait, in milliseconds: beyond every timeout a test sets.
const MAX_DELAY_MS: u64 = 600_000;

/// The controls of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Controls {
    pub status: Option<StatusCode>,
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
        let ms = |name| number(headers, name, 0, MAX_DELAY_MS).map(|ms| ms.map(Duration::from_millis));
        let status = number(headers, "x-stub-status", 400, 599)?;
        Ok(Self {
            status: status.and_then(|status: u16| StatusCode::from_u16(status).ok()),
            pieces: number(headers, "x-stub-pieces", 1, MAX_PIECES)?,
            delay: ms("x-stub-delay-ms")?.unwrap_or_default(),
            piece_delay: ms("x-stub-piece-delay-ms")?.unwrap_or(piece_delay),
            cut_after: number(headers, "x-stub-cut-after", 0, MAX_PIECES)?,
            no_usage: headers.contains_key("x-stub-no-usage"),
            echo_hash: headers.contains_key("x-stub-echo-hash"),
            tool: headers.contains_key("x-stub-tool"),
            body_sha256: None,
        })
    }
}

fn number<T>(headers: &HeaderMap, name: &str, min: T, max: T) -> Result<Option<T>, String>
where
    T: Copy + PartialOrd + FromStr + Display,
{
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    match number.filter(|number| (&min..=&max).contains(&number)) {
        None => Err(format!("`{name}` is {value:?}; allowed: a whole number from {min} to {max}")),
        number => Ok(number),
    }
}
