//! The outbox of webhooks: what the ledger notes in the transaction of a batch when a total reaches a threshold, and how
//! it is taken out and sent. Owns the message's id and data. It must not know addresses, secrets or HTTP.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::json;

use super::StoreError;
use super::audit::Audit;
use super::digest::key_of;
use super::entry::{Entry, LimitAlert};
use super::rollup::Written;
use super::row::{self, Value, key, total_key};
use crate::clock::Timestamp;
use crate::quota::{Charge, Domain, Scope};

/// The only event so far: a total has reached a threshold of its limit.
pub const THRESHOLD_REACHED: &str = "limit.threshold_reached";

/// How long a message is kept after its period: it is what makes "once per period" hold, and operators look at dead ones.
const KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// Where totals stop.
const TOTAL_MAX: u128 = i64::MAX.unsigned_abs() as u128;

/// What a batch may have to tell, by the key of the total that has to reach it: each by its newest request.
pub(super) struct Watched<'a>(BTreeMap<Vec<Value<'a>>, (&'a Entry, &'a Charge, &'a LimitAlert)>);

impl<'a> Watched<'a> {
    /// The totals of these rows that have thresholds.
    pub fn of(rows: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut newest = BTreeMap::new();
        for entry in rows {
            let limits = entry.alerts.iter().flat_map(|alerts| &alerts.limits);
            for alert in limits {
                let of_limit = |charge: &&Charge| charge.amount > 0 && *charge.bucket.limit == *alert.limit;
                for charge in entry.charges.iter().filter(of_limit) {
                    newest.insert(total_key(key(&entry.domain), charge), (entry, charge, alert));
                }
            }
        }
        Self(newest)
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The messages that a total has reached, as rows of the outbox. One that is noted already stays as it is.
    pub fn reached_by(&self, total: &Written) -> Vec<(Vec<Value<'a>>, Vec<Value<'a>>)> {
        let Some(&(entry, charge, alert)) = self.0.get(&total.key) else { return Vec::new() };
        let charge = row::charge(charge);
        let mut messages = Vec::new();
        for webhook in entry.alerts.iter().flat_map(|alerts| &alerts.webhooks) {
            for &permille in &alert.permille {
                let reached_at = (u128::from(alert.max) * u128::from(permille)).div_ceil(1_000);
                if u128::from(total.sum.unsigned_abs()) < reached_at.min(TOTAL_MAX) {
                    continue;
                }
                let values = vec![
                    webhook.as_str().into(),
                    THRESHOLD_REACHED.into(),
                    data(entry, &charge, alert, permille).into(),
                    total.sum.into(),
                    entry.ended_at_ms.into(),
                    charge.period_end_ms.saturating_add(KEPT_MS).into(),
                ];
                messages.push((vec![id(entry, &charge, webhook, permille).into()], values));
            }
        }
        messages
    }
}

/// The same for the same webhook, total and threshold, whatever is replayed.
fn id(entry: &Entry, charge: &Charge, webhook: &str, permille: u16) -> String {
    let (domain, bucket) = (key(&entry.domain), charge.bucket.key());
    let (epoch, permille) = (charge.epoch.to_string(), permille.to_string());
    format!("msg_{}", key_of(&[webhook, THRESHOLD_REACHED, &domain, &bucket, &epoch, &permille]))
}

/// The message's data, but for `used`, which the ledger's total gives.
fn data(entry: &Entry, charge: &Charge, alert: &LimitAlert, permille: u16) -> String {
    let resets_at = Timestamp::from_millisecond(charge.period_end_ms);
    // as in every column of the ledger: PostgreSQL's text cannot hold NUL
    let clean = |text: &str| text.replace('\0', "\u{FFFD}");
    let mut data = json!({
        "plan": clean(&entry.plan),
        "limit": alert.limit,
        "meter": alert.meter,
        "threshold": f64::from(permille) / 1e3,
        "max": alert.max,
        "period": &*charge.bucket.period,
        "resetsAt": resets_at.to_string(),
    });
    if let Some(team) = &entry.team {
        data["teamId"] = json!(clean(team));
    }
    match (&entry.user, charge.bucket.scope) {
        (_, Scope::Team) => {}
        (Some(user), Scope::User) => data["userId"] = json!(clean(user)),
        (None, Scope::User) => data["address"] = json!(clean(&Domain::from_text(&entry.domain).id())),
    }
    data.to_string()
}

/// A message of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The `webhook-id`.
    pub id: String,
    /// To whom: the configured name.
    pub webhook: String,
    /// Such as `limit.threshold_reached`.
    pub event: String,
    /// JSON object, without `used`.
    pub data: String,
    /// The total that reached the threshold.
    pub used: u64,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// `pending`, `delivered` or `dead`.
    pub state: String,
    /// Attempts begun since it was noted or last retried by hand.
    pub attempts: u32,
    /// When it is due, milliseconds since 1970. While an attempt runs: when another gateway may try.
    pub next_try_at_ms: i64,
    /// When it was delivered or given up, milliseconds since 1970.
    pub ended_at_ms: Option<i64>,
    /// The last HTTP status, if there was any.
    pub last_status: Option<u16>,
    /// Why the last attempt failed; empty: it did not.
    pub last_error: String,
}

/// A claim on due messages.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Of this webhook.
    pub webhook: &'a str,
    /// Now, milliseconds since 1970.
    pub now_ms: i64,
    /// So long nobody else takes them, in milliseconds.
    pub lease_ms: i64,
    /// At most so many.
    pub max: u32,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver has it.
    Delivered,
    /// It is tried again at this time, milliseconds since 1970.
    Again(i64),
    /// It is given up until an operator retries it.
    Dead,
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Which message.
    pub id: String,
    /// Which attempt, as the claim counted: the end of an older one changes nothing unless it delivered.
    pub attempts: u32,
    /// Now, milliseconds since 1970.
    pub now_ms: i64,
    /// How.
    pub attempt: Attempt,
    /// The HTTP status, if there was any.
    pub status: Option<u16>,
    /// Why it failed.
    pub error: String,
}

/// Messages by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Not delivered yet.
    pub pending: u64,
    /// Given up.
    pub dead: u64,
}

/// The outbox. Each call is one transaction.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Takes messages that are due, oldest first; each claim counts as an attempt.
    async fn claim(&self, claim: &Claim<'_>) -> Result<Vec<Message>, StoreError>;

    /// Notes how an attempt ended.
    async fn tried(&self, tried: &Tried) -> Result<(), StoreError>;

    /// Messages that are not delivered, newest first; of one state, or of both.
    async fn undelivered(&self, state: Option<&str>, max: u32) -> Result<Vec<Message>, StoreError>;

    /// How many are not delivered.
    async fn outbox_counts(&self) -> Result<OutboxCounts, StoreError>;

    /// Makes one undelivered message, or (`None`) all dead ones, due at once with all attempts before it, and writes the
    /// audit row. Returns how many; without any there is no audit row.
    async fn retry(&self, id: Option<&str>, now_ms: i64, audit: Audit<'_>) -> Result<u64, StoreError>;

    /// Deletes messages whose time is over, at most `max`; returns how many.
    async fn forget_expired(&self, now_ms: i64, max: u32) -> Result<u64, StoreError>;
}
