//! What is held and what is charged: the words that gate, stores, journal and ledger share.

use std::sync::Arc;

use super::{Limit, Scope};
use crate::clock::Timestamp;

/// A counter's name inside its domain. Together with the owner's epoch it is one bucket of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket {
    /// Whose counter.
    pub scope: Scope,
    /// Encoded id of the user, address or team.
    pub owner: Arc<str>,
    /// Name of the limit.
    pub limit: Arc<str>,
    /// Name of the period, `rate` or `open`.
    pub period: Arc<str>,
}

impl Bucket {
    /// The text form: `scope|owner|limit|period`. Ids are encoded and limit names are plain, so `|` cannot be forged.
    pub fn key(&self) -> String {
        format!("{}|{}|{}|{}", self.scope.as_str(), self.owner, self.limit, self.period)
    }

    /// The text form of the owner whose epoch the bucket follows: `scope|owner`.
    pub fn owner_key(&self) -> String {
        format!("{}|{}", self.scope.as_str(), self.owner)
    }
}

/// How a store decides about a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Admit if `used + held + amount <= max`; the amount is settled into `used`, which the ledger keeps.
    Quota {
        /// The limit.
        max: u64,
        /// First instant of the period, milliseconds since 1970.
        period_start_ms: i64,
        /// End of the period, milliseconds since 1970: after it the counter is of no more use.
        period_end_ms: i64,
    },
    /// Admit if `held + amount <= max`; nothing is settled.
    Open {
        /// The limit.
        max: u64,
    },
    /// GCRA (ATM Forum TM 4.0 §4.4.2): `max` a window, evenly refilled, the whole of it as burst. Nothing is held: a
    /// request counts when it is admitted and is not given back.
    Rate {
        /// The limit.
        max: u64,
        /// Length of the window in microseconds.
        window_us: u64,
    },
}

impl Rule {
    /// The limit.
    pub fn max(&self) -> u64 {
        match *self {
            Self::Quota { max, .. } | Self::Open { max } | Self::Rate { max, .. } => max,
        }
    }

    /// Is its amount kept in the ledger?
    pub fn is_quota(&self) -> bool {
        matches!(self, Self::Quota { .. })
    }
}

/// One hold of a reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Which counter.
    pub bucket: Bucket,
    /// How it is decided.
    pub rule: Rule,
    /// How much.
    pub amount: u64,
}

/// What one request adds to one bucket of the ledger. Period and epoch are those of its admission, for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Which counter.
    pub bucket: Bucket,
    /// The owner's epoch when the hold was taken: an administrator's reset opens the next.
    pub epoch: u32,
    /// First instant of the period, milliseconds since 1970.
    pub period_start_ms: i64,
    /// End of the period, milliseconds since 1970.
    pub period_end_ms: i64,
    /// How much; 0 when nothing is charged.
    pub amount: u64,
}

/// The numbers of one limit at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Settled in this period and epoch. For a rate: how much of the burst is gone, rounded up. Open at once: 0.
    pub used: u64,
    /// Held by requests in flight, this one included if it was admitted.
    pub held: u64,
    /// The limit.
    pub max: u64,
    /// Rate windows: milliseconds until one more is admitted (0: now); else 0.
    pub wait_ms: u64,
}

impl Standing {
    /// What is left; never negative.
    pub fn remaining(&self) -> u64 {
        self.max.saturating_sub(self.used).saturating_sub(self.held)
    }
}

/// One limit that a request touches, from the reserve to the header: what is asked of its counter, and what the counter
/// answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitHold {
    /// The limit as it was when the request came. Stores do not look at it.
    pub limit: Arc<Limit>,
    /// What is asked of its counter.
    pub hold: Hold,
    /// The epoch of the counter's owner; 0 until the counters say otherwise.
    pub epoch: u32,
    /// The counter's numbers; nothing used until the counters say otherwise.
    pub standing: Standing,
}

impl LimitHold {
    /// A hold that no counter has seen yet.
    pub fn new(limit: Arc<Limit>, hold: Hold) -> Self {
        let standing = Standing { max: hold.rule.max(), ..Standing::default() };
        Self { limit, hold, epoch: 0, standing }
    }

    /// When a calendar limit begins anew.
    pub fn resets_at(&self) -> Option<Timestamp> {
        match self.hold.rule {
            Rule::Quota { period_end_ms, .. } => Some(Timestamp::from_millisecond(period_end_ms)),
            Rule::Open { .. } | Rule::Rate { .. } => None,
        }
    }

    /// Length of the window in seconds; `None` for open at once.
    pub fn window_s(&self) -> Option<u64> {
        match self.hold.rule {
            Rule::Quota { period_start_ms, period_end_ms, .. } => {
                Some(seconds(period_end_ms - period_start_ms))
            }
            Rule::Rate { window_us, .. } => Some(window_us / 1_000_000),
            Rule::Open { .. } => None,
        }
    }

    /// Seconds until it begins anew (calendar) or is wholly refilled (rate).
    pub fn reset_s(&self, now_ms: i64) -> u64 {
        match self.hold.rule {
            Rule::Quota { period_end_ms, .. } => seconds(period_end_ms - now_ms),
            Rule::Rate { window_us, .. } => {
                let Standing { used, max, .. } = self.standing;
                (window_us * used).checked_div(max).unwrap_or(0).div_ceil(1_000_000)
            }
            Rule::Open { .. } => 0,
        }
    }
}

fn seconds(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0).div_ceil(1000)
}
