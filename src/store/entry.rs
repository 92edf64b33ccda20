//! One metered request as the journal and the ledger keep it. No prompt, no answer, no credential.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::quota::{Bucket, Charge, Scope};

/// How a request ended (the outcome table of `ARCHITECTURE.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// 2xx, whole.
    Ok,
    /// 2xx, then the client left: charged.
    Cancelled,
    /// 2xx, then the upstream broke off: charged.
    Truncated,
    /// Connect failure, time-out or a status that is not 2xx: not charged.
    UpstreamError,
    /// The client left before the upstream answered: not charged.
    ClientGone,
    /// The gateway died or panicked; charged if the upstream had answered 2xx.
    Crashed,
}

impl Outcome {
    /// The word used in the ledger and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Cancelled => "cancelled",
            Self::Truncated => "truncated",
            Self::UpstreamError => "upstream_error",
            Self::ClientGone => "client_gone",
            Self::Crashed => "crashed",
        }
    }
}

/// A row of `message_logs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Our own id (UUIDv7).
    pub id: Uuid,
    /// Month of the admission in the configured zone, `2026-11`: the partition, fixed at reserve.
    pub month: String,
    /// Day of the admission in the configured zone, `2026-11-24`, fixed at reserve. A record of a version that did not
    /// write it counts on its day in UTC.
    #[serde(default)]
    pub day: String,
    /// The `x-request-id` the client saw.
    pub request_id: String,
    /// When it was admitted, milliseconds since 1970.
    pub admitted_at_ms: i64,
    /// When it ended, milliseconds since 1970; equal to `admitted_at_ms` until then.
    pub ended_at_ms: i64,
    /// The domain, text form.
    pub domain: String,
    /// The user's id as it stands in the token; `None` for anonymous callers.
    pub user: Option<String>,
    /// The team's id.
    pub team: Option<String>,
    /// Name of the plan that applied.
    pub plan: String,
    /// `openai`, `anthropic` or `gemini`.
    pub dialect: String,
    /// The endpoint, such as `chat_completions`.
    pub endpoint: String,
    /// Which upstream served it.
    pub upstream: String,
    /// The model that was asked for.
    pub model_requested: String,
    /// The model that was sent upstream.
    pub model_dispatched: String,
    /// Groups of the dispatched model.
    pub groups: Vec<String>,
    /// Does the dispatched model belong to the configured premium group? Fixed at admission.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub premium: bool,
    /// Was the answer asked for as a stream?
    pub stream: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// The upstream's HTTP status; 0 if there was none.
    pub status: u16,
    /// Tokens, as far as known.
    pub tokens: Tokens,
    /// What was charged to which bucket. The holds of a request that costs nothing stand here with amount 0.
    #[serde(with = "charges")]
    pub charges: Vec<Charge>,
    /// Cost in millionths of a US dollar, at the price of the day.
    pub cost_micro_usd: u64,
    /// The price that was used, as text (`input/output/cached` micro-USD per million tokens); empty: none known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub price: String,
    /// What the client said the request is for, where it was counted as background (a chat app's title, say); empty:
    /// counted as a message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task: String,
    /// Which attempt of its message it is, as far as its client is believed: 2 and 3 are not charged. 0: no message was
    /// named.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// The hash of the message that was named; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message_hash: String,
    /// Milliseconds to the upstream's first byte; `None` if there was none.
    pub first_byte_ms: Option<u64>,
    /// Milliseconds from admission to the end.
    pub duration_ms: u64,
    /// Decided without the counters, by the `allow` policy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub degraded: bool,
    /// Whom to tell of thresholds; absent when no limit of the request has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<Alerts>,
}

/// What webhooks are to be told when a total of this request's buckets reaches a threshold. As the configuration was when
/// the request was admitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alerts {
    /// Names of the webhooks.
    pub webhooks: Vec<String>,
    /// The limits that have thresholds.
    pub limits: Vec<LimitAlert>,
}

/// The thresholds of one limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitAlert {
    /// The limit's name: of one of the entry's charges.
    pub limit: String,
    /// What it counts.
    pub meter: String,
    /// The limit; over 0.
    pub max: u64,
    /// Thresholds in thousandths of the limit: 1 to 1,000.
    pub permille: Vec<u16>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Tokens of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Prompt tokens, cached ones included.
    pub input: u64,
    /// Answer tokens, reasoning included.
    pub output: u64,
    /// Prompt tokens read from the provider's cache.
    pub cached: u64,
    /// Reasoning tokens.
    pub reasoning: u64,
    /// True if the upstream did not report (all of) them and the gateway estimated.
    pub estimated: bool,
}

impl Entry {
    /// 1 if the request was a message of the user's: its upstream answered 2xx, whatever happened then. Else 0, as for
    /// every background call and every repeat of a charged message.
    pub fn messages(&self) -> u64 {
        if !self.task.is_empty() || self.attempt > 1 {
            return 0;
        }
        let began = match self.outcome {
            Outcome::Ok | Outcome::Cancelled | Outcome::Truncated | Outcome::Crashed => true,
            Outcome::UpstreamError | Outcome::ClientGone => false,
        };
        u64::from(began && (200..300).contains(&self.status))
    }
}

/// Charges as short arrays: `[scope, owner, limit, period, epoch, start_ms, end_ms, amount]`.
pub mod charges {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Bucket, Charge, Scope};

    type Wire = (String, String, String, String, u32, i64, i64, u64);

    /// Writes charges.
    pub fn serialize<S: Serializer>(charges: &[Charge], to: S) -> Result<S::Ok, S::Error> {
        charges.iter().map(wire).collect::<Vec<_>>().serialize(to)
    }

    /// Reads charges.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Charge>, D::Error> {
        Vec::<Wire>::deserialize(from)?.into_iter().map(charge).collect()
    }

    /// Charges as JSON text, for a column of the ledger.
    pub fn to_json(charges: &[Charge]) -> String {
        serde_json::to_string(&charges.iter().map(wire).collect::<Vec<_>>()).unwrap_or_default()
    }

    /// Charges from a column of the ledger.
    pub fn from_json(text: &str) -> Result<Vec<Charge>, String> {
        deserialize(&mut serde_json::Deserializer::from_str(text))
            .map_err(|error| format!("the charges of a row cannot be read: {error}"))
    }

    fn wire(charge: &Charge) -> Wire {
        let Bucket { scope, owner, limit, period } = &charge.bucket;
        (
            scope.as_str().to_owned(),
            owner.to_string(),
            limit.to_string(),
            period.to_string(),
            charge.epoch,
            charge.period_start_ms,
            charge.period_end_ms,
            charge.amount,
        )
    }

    fn charge<E: serde::de::Error>(wire: Wire) -> Result<Charge, E> {
        let (scope, owner, limit, period, epoch, period_start_ms, period_end_ms, amount) = wire;
        let scope = match scope.as_str() {
            "user" => Scope::User,
            "team" => Scope::Team,
            other => return Err(E::custom(format_args!("unknown scope `{other}`"))),
        };
        let bucket = Bucket { scope, owner: owner.into(), limit: limit.into(), period: period.into() };
        Ok(Charge { bucket, epoch, period_start_ms, period_end_ms, amount })
    }
}
