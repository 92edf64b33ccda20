//! An entry in the flat form that the SQL ledgers write: texts made safe and bounded, numbers made to fit `i64`.
//!
//! What stands here is a pure function of the entry, so a repeated entry always makes the same row and the same key.
//! It must not know which database takes the row. No entry is refused: one bad row would hold up its whole batch.

use std::borrow::Cow;

use chrono::Utc;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::day::is_day;
use super::entry::{Entry, charges};
use super::totals::BucketTotal;
use crate::clock::Timestamp;
use crate::quota::{Bucket, Charge, Domain, Scope};

/// Longest domain, owner, user or team in bytes: an id of 256 bytes, percent-encoded, with its kind. Two of them, a
/// limit and a period fit a PostgreSQL index row (2,704 bytes).
const KEY_BYTES_MAX: usize = 800;
/// Longest limit, period or client's request id in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Longest other text in bytes, such as the model a client asked for.
const TEXT_BYTES_MAX: usize = 1024;
/// The month of a row whose month is none; it has its own partition.
const UNKNOWN_MONTH: &str = "unknown";
/// The group whose messages history and analytics count apart.
const PREMIUM: &str = "premium";

/// One row of `message_logs`, without the time of its ingestion, which is the store's.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "it mirrors a table")]
pub(super) struct Row<'a> {
    pub month: Cow<'a, str>,
    pub day: Cow<'a, str>,
    pub id: Uuid,
    pub request_id: Cow<'a, str>,
    pub admitted_at_ms: i64,
    pub ended_at_ms: i64,
    pub domain: Cow<'a, str>,
    pub user: Option<Cow<'a, str>>,
    pub team: Option<Cow<'a, str>>,
    pub plan: Cow<'a, str>,
    pub dialect: Cow<'a, str>,
    pub endpoint: Cow<'a, str>,
    pub upstream: Cow<'a, str>,
    pub model_requested: Cow<'a, str>,
    pub model_dispatched: Cow<'a, str>,
    /// JSON array of names.
    pub groups: String,
    pub stream: bool,
    pub outcome: &'static str,
    pub status: i32,
    pub messages: i64,
    pub premium: bool,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cached_tokens: i64,
    pub reasoning_tokens: i64,
    pub estimated: bool,
    pub charges: Vec<Charge>,
    pub cost_micro_usd: i64,
    pub price: Cow<'a, str>,
    pub task: Cow<'a, str>,
    pub attempt: i32,
    pub message_hash: Cow<'a, str>,
    pub first_byte_ms: Option<i64>,
    pub duration_ms: i64,
    pub degraded: bool,
}

impl<'a> From<&'a Entry> for Row<'a> {
    fn from(entry: &'a Entry) -> Self {
        let groups: Vec<_> = entry.groups.iter().map(|group| safe(group, NAME_BYTES_MAX)).collect();
        Self {
            month: month(&entry.month),
            day: day(entry),
            id: entry.id,
            request_id: safe(&entry.request_id, NAME_BYTES_MAX),
            admitted_at_ms: entry.admitted_at_ms,
            ended_at_ms: entry.ended_at_ms,
            domain: key(&entry.domain),
            user: entry.user.as_deref().map(key),
            team: entry.team.as_deref().map(key),
            plan: safe(&entry.plan, TEXT_BYTES_MAX),
            dialect: safe(&entry.dialect, TEXT_BYTES_MAX),
            endpoint: safe(&entry.endpoint, TEXT_BYTES_MAX),
            upstream: safe(&entry.upstream, TEXT_BYTES_MAX),
            model_requested: safe(&entry.model_requested, TEXT_BYTES_MAX),
            model_dispatched: safe(&entry.model_dispatched, TEXT_BYTES_MAX),
            groups: serde_json::Value::from_iter(groups).to_string(),
            stream: entry.stream,
            outcome: entry.outcome.as_str(),
            status: i32::from(entry.status),
            messages: number(entry.messages()),
            premium: entry.groups.iter().any(|group| group == PREMIUM),
            input_tokens: number(entry.tokens.input),
            output_tokens: number(entry.tokens.output),
            cached_tokens: number(entry.tokens.cached),
            reasoning_tokens: number(entry.tokens.reasoning),
            estimated: entry.tokens.estimated,
            charges: entry.charges.iter().map(charge).collect(),
            cost_micro_usd: number(entry.cost_micro_usd),
            price: safe(&entry.price, TEXT_BYTES_MAX),
            task: safe(&entry.task, TEXT_BYTES_MAX),
            attempt: i32::try_from(entry.attempt).unwrap_or(i32::MAX),
            message_hash: safe(&entry.message_hash, NAME_BYTES_MAX),
            first_byte_ms: entry.first_byte_ms.map(number),
            duration_ms: number(entry.duration_ms),
            degraded: entry.degraded,
        }
    }
}

impl Row<'_> {
    /// The charges as they stand in the column.
    pub fn charges_json(&self) -> String {
        charges::to_json(&self.charges)
    }
}

/// A domain, owner or user as it stands in a column: for rows and for look-ups alike.
pub(super) fn key(text: &str) -> Cow<'_, str> {
    safe(text, KEY_BYTES_MAX)
}

/// A number as it stands in a column: what is over 2^63 - 1 stops there.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number from a column. No column that is read this way is ever negative.
pub(super) fn count(number: i64) -> Result<u64, String> {
    u64::try_from(number).map_err(|_| format!("a count in the ledger is negative: {number}"))
}

/// An epoch from a column.
pub(super) fn epoch(number: i64) -> Result<u32, String> {
    u32::try_from(number).map_err(|_| format!("an epoch in the ledger is out of range: {number}"))
}

/// A row of `user_usage`, as read.
pub(super) struct UsageRow {
    pub scope: String,
    pub owner: String,
    pub limit: String,
    pub period: String,
    pub epoch: i64,
    pub period_start_ms: i64,
    pub period_end_ms: i64,
    pub used: i64,
}

impl TryFrom<UsageRow> for BucketTotal {
    type Error = String;

    fn try_from(row: UsageRow) -> Result<Self, String> {
        let scope = match row.scope.as_str() {
            "user" => Scope::User,
            "team" => Scope::Team,
            other => return Err(format!("unknown scope `{other}` in the ledger")),
        };
        let bucket =
            Bucket { scope, owner: row.owner.into(), limit: row.limit.into(), period: row.period.into() };
        Ok(Self {
            bucket,
            epoch: epoch(row.epoch)?,
            period_start_ms: row.period_start_ms,
            period_end_ms: row.period_end_ms,
            used: count(row.used)?,
        })
    }
}

/// Is this `YYYY-MM`?
pub(super) fn is_month(month: &str) -> bool {
    let bytes = month.as_bytes();
    bytes.len() == 7
        && bytes[4] == b'-'
        && bytes.iter().enumerate().all(|(at, byte)| at == 4 || byte.is_ascii_digit())
        && matches!(
            &month[5..],
            "01" | "02" | "03" | "04" | "05" | "06" | "07" | "08" | "09" | "10" | "11" | "12"
        )
}

fn month(month: &str) -> Cow<'_, str> {
    if is_month(month) {
        return Cow::Borrowed(month);
    }
    tracing::warn!(month = %safe(month, NAME_BYTES_MAX), "a ledger row has no valid month, it is kept as `{UNKNOWN_MONTH}`");
    Cow::Borrowed(UNKNOWN_MONTH)
}

/// What is no day becomes the day of the admission in UTC, so that the roll-ups hold days alone.
fn day(entry: &Entry) -> Cow<'_, str> {
    if is_day(&entry.day) {
        return Cow::Borrowed(&entry.day);
    }
    let day = Timestamp::from_millisecond(entry.admitted_at_ms).in_zone(&Utc).date_naive().to_string();
    if is_day(&day) { Cow::Owned(day) } else { Cow::Borrowed("1970-01-01") }
}

fn charge(charge: &Charge) -> Charge {
    let Bucket { scope, owner, limit, period } = &charge.bucket;
    let part = |part: &std::sync::Arc<str>, bytes_max| match safe(part, bytes_max) {
        Cow::Borrowed(_) => part.clone(),
        Cow::Owned(changed) => changed.into(),
    };
    Charge {
        bucket: Bucket {
            scope: *scope,
            owner: part(owner, KEY_BYTES_MAX),
            limit: part(limit, NAME_BYTES_MAX),
            period: part(period, NAME_BYTES_MAX),
        },
        amount: charge.amount.min(i64::MAX.unsigned_abs()),
        ..charge.clone()
    }
}

/// NUL, which PostgreSQL's text cannot hold, becomes U+FFFD in every store. What is longer than the bound keeps its
/// beginning and ends in a hash of the whole, so two long ids never become one.
fn safe(text: &str, bytes_max: usize) -> Cow<'_, str> {
    let clean =
        if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{FFFD}")) } else { Cow::Borrowed(text) };
    if clean.len() <= bytes_max {
        return clean;
    }
    let mark = format!("~{:x}", Sha256::digest(text.as_bytes()));
    let end = clean.floor_char_boundary(bytes_max.saturating_sub(mark.len()));
    Cow::Owned(format!("{}{mark}", &clean[..end]))
}

/// The domain of a look-up.
pub(super) fn domain(domain: &Domain) -> Cow<'_, str> {
    key(domain.as_str())
}

#[cfg(test)]
mod tests;
