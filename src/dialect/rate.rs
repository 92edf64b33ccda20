//! The headers that tell a client what is left: the IETF's structured fields for every limit, the API's own headers for
//! the tightest. It does not compute anything: the numbers are those the decision used.

use percent_encoding::{CONTROLS, utf8_percent_encode};

use super::Dialect;

#[cfg(test)]
mod tests;

/// What a limit counts, as far as headers can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateUnit {
    /// Requests.
    Requests,
    /// Tokens, in whatever direction.
    Tokens,
    /// Requests open at once.
    Concurrent,
}

/// One limit that applies to the request, after the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateItem {
    /// The limit's name in the plan.
    pub name: String,
    /// What it counts.
    pub unit: RateUnit,
    /// Units a period.
    pub max: u64,
    /// Units left.
    pub remaining: u64,
    /// The period's length in seconds, where it has one.
    pub window_s: Option<u64>,
    /// Seconds until the period ends, rounded up.
    pub reset_s: u64,
    /// When the period ends, RFC 3339.
    pub reset_at: String,
}

/// The largest integer of a structured field (RFC 9651 §3.3.1).
const MAX_SF_INTEGER: u64 = 999_999_999_999_999;

/// The headers for an answer, none when no limit applies. IETF: draft-ietf-httpapi-ratelimit-headers-10.
/// `openai`: <https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers>; `anthropic`:
/// <https://docs.anthropic.com/en/api/rate-limits#response-headers>. Gemini has none of its own.
pub fn rate_headers(dialect: Dialect, items: &[RateItem]) -> Vec<(&'static str, String)> {
    if items.is_empty() {
        return Vec::new();
    }
    let list = |write: fn(&RateItem) -> String| items.iter().map(write).collect::<Vec<_>>().join(", ");
    let mut headers = vec![("ratelimit-policy", list(policy)), ("ratelimit", list(state))];
    for unit in [RateUnit::Requests, RateUnit::Tokens] {
        if let (Some(names), Some(item)) = (vendor_names(dialect, unit), tightest(items, unit)) {
            let reset = match dialect {
                Dialect::Anthropic => item.reset_at.clone(),
                Dialect::OpenAi | Dialect::Gemini => go_duration(item.reset_s),
            };
            headers.extend(names.into_iter().zip([item.max.to_string(), item.remaining.to_string(), reset]));
        }
    }
    headers
}

/// The limit that leaves the least, and of equal ones the one that resets last.
fn tightest(items: &[RateItem], unit: RateUnit) -> Option<&RateItem> {
    items
        .iter()
        .filter(|item| item.unit == unit)
        .min_by_key(|item| (item.remaining, std::cmp::Reverse(item.reset_s)))
}

fn vendor_names(dialect: Dialect, unit: RateUnit) -> Option<[&'static str; 3]> {
    match (dialect, unit) {
        (Dialect::OpenAi, RateUnit::Requests) => Some([
            "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
        ]),
        (Dialect::OpenAi, RateUnit::Tokens) => {
            Some(["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"])
        }
        (Dialect::Anthropic, RateUnit::Requests) => Some([
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ]),
        (Dialect::Anthropic, RateUnit::Tokens) => Some([
            "anthropic-ratelimit-tokens-limit",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ]),
        (Dialect::Gemini, _) | (_, RateUnit::Concurrent) => None,
    }
}

fn policy(item: &RateItem) -> String {
    let mut text = format!("{};q={}", sf_string(&item.name), item.max.min(MAX_SF_INTEGER));
    match item.unit {
        RateUnit::Requests => {}
        RateUnit::Concurrent => text.push_str(";qu=\"concurrent-requests\""),
        // tokens have no registered unit
        RateUnit::Tokens => text.push_str(";tg-unit=\"tokens\""),
    }
    if let Some(window) = item.window_s.filter(|window| *window > 0) {
        text.push_str(&format!(";w={}", window.min(MAX_SF_INTEGER)));
    }
    text
}

fn state(item: &RateItem) -> String {
    let mut text = format!("{};r={}", sf_string(&item.name), item.remaining.min(MAX_SF_INTEGER));
    // what is open at once has no reset
    if item.unit != RateUnit::Concurrent {
        text.push_str(&format!(";t={}", item.reset_s.min(MAX_SF_INTEGER)));
    }
    text
}

/// A structured-field string: visible ASCII and blanks; the rest is percent-encoded so that names stay distinct.
fn sf_string(name: &str) -> String {
    let escaped = name.replace('\\', r"\\").replace('"', r#"\""#);
    format!("\"{}\"", utf8_percent_encode(&escaped, CONTROLS))
}

/// Seconds as Go prints a duration: `1s`, `6m0s`, `720h0m0s`.
fn go_duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}
