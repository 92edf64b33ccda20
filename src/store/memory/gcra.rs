//! GCRA (ATM Forum TM 4.0 §4.4.2) in whole microseconds: how a short window admits, and what it says of itself.
//!
//! Pure. It must not know buckets or stores; `redis/reserve.lua` does the same arithmetic.

use crate::quota::Standing;

/// Microseconds between two units of a window. Rounded up, so that rounding never admits more than `max` a window.
/// A rate that blocks (`max` 0) waits a whole window.
pub(crate) fn interval_us(max: u64, window_us: u64) -> u64 {
    if max == 0 { window_us.max(1) } else { window_us.div_ceil(max).max(1) }
}

/// One rate as it stands: the theoretical arrival time of the next unit, in microseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gcra {
    max: u64,
    interval_us: i64,
    /// How far the arrival time may run ahead of now: `max` intervals.
    burst_us: i64,
}

impl Gcra {
    pub(super) fn new(max: u64, window_us: u64) -> Self {
        let interval_us = signed(interval_us(max, window_us));
        Self { max, interval_us, burst_us: interval_us.saturating_mul(signed(max)) }
    }

    /// The arrival time after `amount` more units, or `None` if they do not fit now.
    pub(super) fn take(&self, tat_us: i64, now_us: i64, amount: u64) -> Option<i64> {
        if self.max == 0 || amount > self.max {
            return None;
        }
        let next = tat_us.max(now_us).saturating_add(self.interval_us.saturating_mul(signed(amount)));
        (next.saturating_sub(now_us) <= self.burst_us).then_some(next)
    }

    /// What of the burst is gone, and how long until one more unit fits.
    pub(super) fn standing(&self, tat_us: i64, now_us: i64) -> Standing {
        let ahead_us = tat_us.saturating_sub(now_us).max(0);
        let used = ceil_div(ahead_us, self.interval_us);
        let wait_us = ahead_us.saturating_add(self.interval_us).saturating_sub(self.burst_us).max(0);
        Standing { used, held: 0, max: self.max, wait_ms: ceil_div(wait_us, 1_000) }
    }
}

fn ceil_div(value: i64, by: i64) -> u64 {
    u64::try_from(value).unwrap_or(0).div_ceil(u64::try_from(by).unwrap_or(1).max(1))
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
