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
/// Most tokens of one row, and the highest cost: a thousand billions. No answer comes near it; what an upstream reports in
/// error adds up to no more than a column holds, in eight million rows.
pub(super) const AMOUNT_MAX: i64 = 1 << 40;
/// The month of a row whose month is none; it has its own partition.
const UNKNOWN_MONTH: &str = "unknown";
/// A value of a column, in the form that both databases take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Number(i64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Id(Uuid),
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnKind {
    Bool,
    Number,
    Text,
    /// Sixteen bytes.
    Id,
    /// A text that PostgreSQL keeps as `jsonb`.
    Json,
}

/// A column of `message_logs`.
pub(super) struct Column {
    pub name: &'static str,
    pub kind: ColumnKind,
    /// How it is read from the entry.
    pub of: for<'a> fn(&'a Entry) -> Value<'a>,
}

const fn column(name: &'static str, kind: ColumnKind, of: for<'a> fn(&'a Entry) -> Value<'a>) -> Column {
    Column { name, kind, of }
}

/// The columns of `message_logs`, but for the time of ingestion, which is the store's own. The first two are the key.
pub(super) const COLUMNS: [Column; 35] = [
    column("month", ColumnKind::Text, |entry| month(&entry.month).into()),
    column("id", ColumnKind::Id, |entry| Value::Id(entry.id)),
    column("day", ColumnKind::Text, |entry| day(entry).into()),
    column("request_id", ColumnKind::Text, |entry| safe(&entry.request_id, NAME_BYTES_MAX).into()),
    column("admitted_at_ms", ColumnKind::Number, |entry| entry.admitted_at_ms.into()),
    column("ended_at_ms", ColumnKind::Number, |entry| entry.ended_at_ms.into()),
    column("domain", ColumnKind::Text, |entry| key(&entry.domain).into()),
    column("user_id", ColumnKind::Text, |entry| entry.user.as_deref().map(key).into()),
    column("team_id", ColumnKind::Text, |entry| entry.team.as_deref().map(key).into()),
    column("plan", ColumnKind::Text, |entry| text(&entry.plan).into()),
    column("dialect", ColumnKind::Text, |entry| text(&entry.dialect).into()),
    column("endpoint", ColumnKind::Text, |entry| text(&entry.endpoint).into()),
    column("upstream", ColumnKind::Text, |entry| text(&entry.upstream).into()),
    column("model_requested", ColumnKind::Text, |entry| text(&entry.model_requested).into()),
    column("model_dispatched", ColumnKind::Text, |entry| text(&entry.model_dispatched).into()),
    column("model_groups", ColumnKind::Json, groups),
    column("stream", ColumnKind::Bool, |entry| Value::Bool(entry.stream)),
    column("outcome", ColumnKind::Text, |entry| entry.outcome.as_str().into()),
    column("status", ColumnKind::Number, |entry| i64::from(entry.status).into()),
    column("messages", ColumnKind::Number, |entry| number(entry.messages()).into()),
    column("premium", ColumnKind::Bool, |entry| Value::Bool(entry.premium)),
    column("input_tokens", ColumnKind::Number, |entry| amount(entry.tokens.input).into()),
    column("output_tokens", ColumnKind::Number, |entry| amount(entry.tokens.output).into()),
    column("cached_tokens", ColumnKind::Number, |entry| amount(entry.tokens.cached).into()),
    column("reasoning_tokens", ColumnKind::Number, |entry| amount(entry.tokens.reasoning).into()),
    column("estimated", ColumnKind::Bool, |entry| Value::Bool(entry.tokens.estimated)),
    column("charges", ColumnKind::Json, |entry| charges_json(entry).into()),
    column("cost_micro_usd", ColumnKind::Number, |entry| amount(entry.cost_micro_usd).into()),
    column("price", ColumnKind::Text, |entry| text(&entry.price).into()),
    column("task", ColumnKind::Text, |entry| text(&entry.task).into()),
    column("attempt", ColumnKind::Number, |entry| i64::from(entry.attempt).min(i32::MAX.into()).into()),
    column("message_hash", ColumnKind::Text, |entry| safe(&entry.message_hash, NAME_BYTES_MAX).into()),
    column("first_byte_ms", ColumnKind::Number, |entry| {
        entry.first_byte_ms.map_or(Value::Null, |ms| number(ms).into())
    }),
    column("duration_ms", ColumnKind::Number, |entry| number(entry.duration_ms).into()),
    column("degraded", ColumnKind::Bool, |entry| Value::Bool(entry.degraded)),
];

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<Option<Cow<'a, str>>> for Value<'a> {
    fn from(text: Option<Cow<'a, str>>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

impl Value<'_> {
    /// The number; 0 for anything else.
    pub fn number(&self) -> i64 {
        if let Self::Number(number) = self { *number } else { 0 }
    }

    /// The text; empty for anything else.
    pub fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    /// The same value, borrowed from nobody.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(yes) => Value::Bool(yes),
            Self::Number(number) => Value::Number(number),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
            Self::Id(id) => Value::Id(id),
        }
    }
}

/// JSON array of the names.
fn groups(entry: &Entry) -> Value<'_> {
    let groups: Vec<_> = entry.groups.iter().map(|group| safe(group, NAME_BYTES_MAX)).collect();
    serde_json::Value::from_iter(groups).to_string().into()
}

/// The charges as they stand in the column.
fn charges_json(entry: &Entry) -> String {
    charges::to_json(&entry.charges.iter().map(charge).collect::<Vec<_>>())
}

/// The key of a charge's total in `user_usage`.
pub(super) fn total_key<'a>(domain: Cow<'a, str>, charge: &'a Charge) -> Vec<Value<'a>> {
    let Bucket { scope, owner, limit, period } = &charge.bucket;
    vec![
        domain.into(),
        scope.as_str().into(),
        key(owner).into(),
        safe(limit, NAME_BYTES_MAX).into(),
        safe(period, NAME_BYTES_MAX).into(),
        i64::from(charge.epoch).into(),
    ]
}

/// A plan, a model or another text that no key holds.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    safe(text, TEXT_BYTES_MAX)
}

/// A domain, owner or user as it stands in a column: for rows and for look-ups alike.
pub(super) fn key(text: &str) -> Cow<'_, str> {
    safe(text, KEY_BYTES_MAX)
}

/// A number as it stands in a column: what is over 2^63 - 1 stops there.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Tokens or a cost as they stand in a column: what is over [`AMOUNT_MAX`] stops there.
pub(super) fn amount(amount: u64) -> i64 {
    number(amount).min(AMOUNT_MAX)
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

pub(super) fn month(month: &str) -> Cow<'_, str> {
    if is_month(month) {
        return Cow::Borrowed(month);
    }
    tracing::warn!(month = %safe(month, NAME_BYTES_MAX), "a ledger row has no valid month, it is kept as `{UNKNOWN_MONTH}`");
    Cow::Borrowed(UNKNOWN_MONTH)
}

/// The day; what is none becomes the day of the admission in UTC, so that the roll-ups hold days alone.
pub(super) fn day(entry: &Entry) -> Cow<'_, str> {
    if is_day(&entry.day) {
        return Cow::Borrowed(&entry.day);
    }
    let day = Timestamp::from_millisecond(entry.admitted_at_ms).in_zone(&Utc).date_naive().to_string();
    if is_day(&day) { Cow::Owned(day) } else { Cow::Borrowed("1970-01-01") }
}

/// A charge with its texts as they stand in a column and its amount as it fits one.
pub(super) fn charge(charge: &Charge) -> Charge {
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
