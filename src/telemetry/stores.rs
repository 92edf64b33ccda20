//! How long the stores take and how often they fail, and what a cache saves. The values of the labels are names that stand
//! in this program.

use std::time::Duration;

use prometheus::{Error, HistogramVec, IntCounter, IntCounterVec};

use super::registrar::Registrar;

/// Buckets in seconds: from counters in memory to a database that is about to time out.
const SECONDS: &[f64] =
    &[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Calls of the stores, and what spares some.
pub(super) struct Stores {
    duration: HistogramVec,
    errors: IntCounterVec,
    pub(super) tokens: CacheCounts,
}

impl Stores {
    pub(super) fn new(set: &Registrar<'_>) -> Result<Self, Error> {
        let labels = &["store", "op"];
        let [tokens] = CacheCounts::of(set, ["tokens"])?;
        Ok(Self {
            duration: set.histograms(
                "tollgate_store_duration_seconds",
                "calls of a store, those that failed too",
                SECONDS,
                labels,
            )?,
            errors: set.counters("tollgate_store_errors_total", "calls of a store that failed", labels)?,
            tokens,
        })
    }

    /// Makes the series of a call before the first one.
    pub(super) fn expect(&self, store: &str, operation: &str) {
        let labels = [store, operation];
        self.duration.with_label_values(&labels);
        self.errors.with_label_values(&labels);
    }

    pub(super) fn ended(&self, store: &str, operation: &str, took: Duration, failed: bool) {
        let labels = [store, operation];
        self.duration.with_label_values(&labels).observe(took.as_secs_f64());
        // a counter at zero as well: the first failure must show in its rate
        self.errors.with_label_values(&labels).inc_by(failed.into());
    }
}

/// Look-ups in one cache.
pub struct CacheCounts {
    hits: IntCounter,
    misses: IntCounter,
}

impl CacheCounts {
    /// Those of all caches.
    pub(super) fn of<const N: usize>(set: &Registrar<'_>, caches: [&str; N]) -> Result<[Self; N], Error> {
        let hits = set.counters("tollgate_cache_hits_total", "look-ups that found something", &["cache"])?;
        let misses =
            set.counters("tollgate_cache_misses_total", "look-ups that found nothing", &["cache"])?;
        let of = |cache| Self {
            hits: hits.with_label_values(&[cache]),
            misses: misses.with_label_values(&[cache]),
        };
        Ok(caches.map(of))
    }

    /// A look-up has come to its end.
    pub fn looked_up(&self, found: bool) {
        if found { self.hits.inc() } else { self.misses.inc() }
    }
}
