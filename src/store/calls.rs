//! How calls end and how long they take, as the roll-ups keep it: which outcomes are errors, the bounds of the histograms,
//! and what a percentile of one is. Plain values; it must not know SQL, nor who asks.

use std::collections::BTreeMap;

use super::entry::Outcome;

/// Upper bounds of the histograms' buckets in milliseconds; a bound does not belong to its bucket. Ten to a decade (ISO 3,
/// series R10, in whole numbers): from 10 ms on a bucket is at most 30 % wide. What takes longer than 66 minutes is one
/// bucket without bound. The bounds stand in the tables' rows, so that these may change and old rows keep their meaning.
pub(super) const BOUNDS_MS: [i64; 64] = [
    1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 63, 80, 100, 125, 160, 200, 250, 315, 400, 500, 630,
    800, 1_000, 1_250, 1_600, 2_000, 2_500, 3_150, 4_000, 5_000, 6_300, 8_000, 10_000, 12_500, 16_000,
    20_000, 25_000, 31_500, 40_000, 50_000, 63_000, 80_000, 100_000, 125_000, 160_000, 200_000, 250_000,
    315_000, 400_000, 500_000, 630_000, 800_000, 1_000_000, 1_250_000, 1_600_000, 2_000_000, 2_500_000,
    3_150_000, 4_000_000,
];

/// Stands for the bound of the last bucket.
pub(super) const NO_BOUND_MS: i64 = i64::MAX;

/// From the admission to the end: the name of this measure in the tables.
pub(super) const DURATION: &str = "duration";
/// From the admission to the upstream's first byte.
pub(super) const FIRST_BYTE: &str = "first_byte";

/// The outcome of the calls whose times are kept: whole answers. A failure ends early or late for reasons of its own.
pub(super) const TIMED: Outcome = Outcome::Ok;

/// The outcomes that are errors: the upstream's or the gateway's doing. What a client broke off is none.
pub(super) const ERRORS: [Outcome; 3] = [Outcome::UpstreamError, Outcome::Truncated, Outcome::Crashed];

/// The bucket of a time: its upper bound.
pub(super) fn bound_ms(ms: i64) -> i64 {
    let at = BOUNDS_MS.partition_point(|bound| *bound <= ms);
    BOUNDS_MS.get(at).copied().unwrap_or(NO_BOUND_MS)
}

/// How many calls took how long, by the upper bound of their bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<i64, u64>);

impl Histogram {
    fn count(&mut self, bound_ms: i64, calls: u64) {
        let sum = self.0.entry(bound_ms).or_default();
        *sum = sum.saturating_add(calls);
    }

    /// Adds another.
    pub fn add(&mut self, more: &Self) {
        for (bound_ms, calls) in &more.0 {
            self.count(*bound_ms, *calls);
        }
    }

    /// How many calls were timed.
    pub fn calls(&self) -> u64 {
        self.0.values().fold(0_u64, |sum, calls| sum.saturating_add(*calls))
    }

    /// The time in milliseconds within which `percent` of the calls (at least one) were done; `None`: there is no call.
    ///
    /// It lies in the bucket of the true value (nearest rank), in which the calls are taken to be spread evenly. In the
    /// bucket without bound it is that bucket's beginning.
    pub fn percentile_ms(&self, percent: u32) -> Option<u64> {
        let total: u128 = self.0.values().copied().map(u128::from).sum();
        let rank = (total * u128::from(percent)).div_ceil(100).clamp(1, total.max(1));
        let mut before = 0;
        for (bound_ms, calls) in &self.0 {
            let calls = u128::from(*calls);
            if before + calls < rank {
                before += calls;
                continue;
            }
            let below = BOUNDS_MS.partition_point(|other| other < bound_ms);
            let begin = below.checked_sub(1).map_or(0, |at| BOUNDS_MS[at]).unsigned_abs();
            if *bound_ms == NO_BOUND_MS {
                return Some(begin);
            }
            let width = u128::from(bound_ms.unsigned_abs().saturating_sub(begin));
            // the middle of the call's share of the bucket
            let into = width * (2 * (rank - before) - 1) / (2 * calls);
            return Some(begin.saturating_add(u64::try_from(into).unwrap_or(u64::MAX)));
        }
        None
    }
}

/// How the calls of a day or a range ended: all that were admitted, charged or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls that have ended.
    pub calls: u64,
    /// Of these, those that the upstream or the gateway failed: `upstream_error`, `truncated`, `crashed`.
    pub errors: u64,
    /// From the admission to the end, of whole answers.
    pub durations: Histogram,
    /// From the admission to the upstream's first byte, of whole answers.
    pub first_bytes: Histogram,
}

impl Calls {
    /// Adds others.
    pub fn add(&mut self, more: &Self) {
        self.calls = self.calls.saturating_add(more.calls);
        self.errors = self.errors.saturating_add(more.errors);
        self.durations.add(&more.durations);
        self.first_bytes.add(&more.first_bytes);
    }

    fn ended(&mut self, outcome: &str, calls: u64) {
        self.calls = self.calls.saturating_add(calls);
        if ERRORS.iter().any(|error| error.as_str() == outcome) {
            self.errors = self.errors.saturating_add(calls);
        }
    }
}

/// How the calls of a model ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelCalls {
    /// The model that was sent upstream.
    pub model: String,
    /// Calls that have ended.
    pub calls: u64,
    /// Of these, errors, as in [`Calls`].
    pub errors: u64,
}

/// What was read of the two tables, put together.
#[derive(Debug, Default)]
pub(super) struct CallsFound {
    /// By day.
    pub days: BTreeMap<String, Calls>,
    /// By outcome.
    pub outcomes: BTreeMap<String, u64>,
    models: BTreeMap<String, Calls>,
}

impl CallsFound {
    /// Calls of a day that ended so.
    pub fn of_day(&mut self, day: String, outcome: &str, calls: u64) {
        self.days.entry(day).or_default().ended(outcome, calls);
    }

    /// Calls of a model that ended so; the sum of all models is the range's.
    pub fn of_model(&mut self, model: String, outcome: String, calls: u64) {
        self.models.entry(model).or_default().ended(&outcome, calls);
        let sum = self.outcomes.entry(outcome).or_default();
        *sum = sum.saturating_add(calls);
    }

    /// Calls of a day that took so long. Fails for a measure that this program does not know.
    pub fn took(&mut self, day: String, measure: &str, bound_ms: i64, calls: u64) -> Result<(), String> {
        let of_day = self.days.entry(day).or_default();
        match measure {
            DURATION => of_day.durations.count(bound_ms, calls),
            FIRST_BYTE => of_day.first_bytes.count(bound_ms, calls),
            other => return Err(format!("unknown measure `{other}` in the ledger")),
        }
        Ok(())
    }

    /// The models, by name.
    pub fn models(&self) -> Vec<ModelCalls> {
        let model = |(model, of): (&String, &Calls)| ModelCalls {
            model: model.clone(),
            calls: of.calls,
            errors: of.errors,
        };
        self.models.iter().map(model).collect()
    }
}

#[cfg(test)]
mod tests;
