//! Every metric, its name and its labels (`/metrics` on the admin listener).

use std::time::Duration;

use prometheus::{
    Counter, Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::outcome;
use super::table::metrics;

metrics! {
    /// All metrics of a process.
    pub struct Metrics {
        requests: IntCounterVec = "tollgate_requests_total", "requests by outcome",
            by ["dialect", "upstream", "group", "plan", "outcome"];
        duration: HistogramVec = "tollgate_request_duration_seconds", "whole requests",
            in SECONDS, by ["dialect", "upstream"];
        overhead: Histogram = "tollgate_overhead_seconds", "the gateway's own part of a request",
            in OVERHEAD_SECONDS;
        first_byte: HistogramVec = "tollgate_time_to_first_byte_seconds", "until the upstream's first byte",
            in SECONDS, by ["dialect", "upstream"];
        tokens: IntCounterVec = "tollgate_tokens_total", "tokens by direction", by ["direction"];
        cost_usd: Counter = "tollgate_cost_usd_total", "cost at the price table, in US dollars";
        unpriced: IntCounterVec = "tollgate_unpriced_answers_total",
            "answers by models that the price list does not name", by ["model"];
        moved_on: IntCounterVec = "tollgate_upstream_failovers_total",
            "requests that went on to another upstream, by the one that failed and why", by ["upstream", "reason"];
        in_flight: IntGauge = "tollgate_in_flight_requests", "requests in flight";
        active_users: IntGaugeVec = "tollgate_active_users", "signed-in users who sent a message", by ["window"];
        config_reloads: IntCounterVec = "tollgate_config_reloads_total", "configuration reloads by result",
            by ["result"];
        build_info: IntGauge = "tollgate_build_info", "the running version",
            with ("version", env!("CARGO_PKG_VERSION"));

        pub holds_open: IntGauge = "tollgate_holds_open", "quota holds of this gateway";
        pub degraded: IntCounter = "tollgate_degraded_admissions_total", "requests admitted without the counters";
        pub late: IntCounter = "tollgate_late_settles_total", "settles that came after their lease had ended";
        pub expired: IntCounter = "tollgate_holds_expired_total", "holds whose lease ended without a settle";
        pub rebuilds: IntCounter = "tollgate_counter_rebuilds_total", "domains loaded from the ledger";
        pub abandoned: IntCounter = "tollgate_abandoned_settles_total",
            "settles that were given up: the counters are loaded anew from the ledger";
        pub drift: IntCounter = "tollgate_counter_drift_total", "counters that differed from the ledger";
        pub unrecorded: IntCounter = "tollgate_journal_unrecorded_ends_total",
            "ends of requests that the journal did not take";

        pub journal_pending: IntGauge = "tollgate_journal_pending_events", "records that the ledger does not have";
        pub journal_damaged: IntGauge = "tollgate_journal_damaged_segments",
            "journal segments with damage inside; copies are in `journal/quarantine`";
        pub journal_poisoned: IntGauge = "tollgate_journal_poisoned_segments",
            "journal segments given up after a failed write or sync since the start";
        pub journal_full: IntGauge = "tollgate_journal_full", "1 while the journal takes no more requests";
        pub journal_unsynced: IntGauge = "tollgate_journal_unsynced",
            "1 when the journal's records are no longer synced to the disk until a restart";

        pub ledger_lag_seconds: Gauge = "tollgate_ledger_lag_seconds",
            "age of the oldest record that the ledger does not have";
        pub ledger_rows: IntCounter = "tollgate_ledger_rows_total", "rows written to the ledger";
        pub ledger_duplicates: IntCounter = "tollgate_ledger_duplicates_total", "rows that the ledger had already";
        pub ledger_quarantined: IntCounter = "tollgate_ledger_quarantined_total",
            "rows that the ledger refused for good; they are in `journal/quarantine`";
        pub ledger_replays: IntCounter = "tollgate_ledger_replays_total",
            "times that retained rows were sent again, because the ledger was set back";
        pub replica_failures: IntCounter = "tollgate_replica_failures_total", "reads that the replica did not answer";

        webhook_attempts: IntCounterVec = "tollgate_webhooks_total", "attempts to deliver a webhook, by result",
            by ["webhook", "result"];
        webhooks_pending: IntGauge = "tollgate_webhooks_pending", "webhooks that are not delivered yet";
        webhooks_dead: IntGauge = "tollgate_webhooks_dead", "webhooks that were given up";

        store_duration: HistogramVec = "tollgate_store_duration_seconds", "calls of a store, those that failed too",
            in STORE_SECONDS, by ["store", "op"];
        store_errors: IntCounterVec = "tollgate_store_errors_total", "calls of a store that failed", by ["store", "op"];
        token_hits: IntCounter = "tollgate_cache_hits_total", "look-ups that found something",
            with ("cache", "tokens");
        token_misses: IntCounter = "tollgate_cache_misses_total", "look-ups that found nothing",
            with ("cache", "tokens");
    }
}

/// Brings a counter to a total that is counted elsewhere. Counters never go back.
pub fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

/// Sets a gauge to a number that may be larger than it can show.
pub fn set(gauge: &IntGauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// The labels of one request. All bounded by the configuration.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// `openai`, `anthropic`, `gemini` or empty.
    pub dialect: &'static str,
    /// The upstream's configured name.
    pub upstream: String,
    /// The first group of the model; empty: none.
    pub group: String,
    /// The plan's configured name.
    pub plan: String,
}

/// A request between its header and its end, however it ends: also by a panic.
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The values of the label `direction`.
const DIRECTIONS: [&str; 3] = ["input", "output", "cached"];

/// The values of the label `reason` of a request that went on to another upstream.
const MOVED_ON: [&str; 5] = ["connect", "busy", "status", "timeout", "broken"];

/// The values of the label `window`: today, the last 7 days, the last 30.
const WINDOWS: [&str; 3] = ["day", "week", "month"];

/// Latency buckets in seconds: from the gateway's own microseconds to a long answer.
const SECONDS: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// Buckets of the gateway's own part.
const OVERHEAD_SECONDS: &[f64] = &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5];

/// Buckets of a store's calls: from counters in memory to a database that is about to time out.
const STORE_SECONDS: &[f64] =
    &[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

impl Metrics {
    /// Registers every metric, and makes the series whose labels are known before anything happens: who watches a rate
    /// must not miss the first event.
    ///
    /// # Errors
    /// Only if a name is wrong or stands twice: a mistake of this file, found by its test.
    pub fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self::register()?;
        metrics.build_info.set(1);
        for outcome in outcome::ALL {
            metrics.requests.with_label_values(&["", "", "", "", outcome]);
        }
        for direction in DIRECTIONS {
            metrics.tokens.with_label_values(&[direction]);
        }
        for window in WINDOWS {
            metrics.active_users.with_label_values(&[window]);
        }
        for result in ["ok", "refused"] {
            metrics.config_reloads.with_label_values(&[result]);
        }
        Ok(metrics)
    }

    /// Makes the series of an upstream that the configuration names, for a dialect that it serves.
    pub fn expect_upstream(&self, upstream: &str, dialect: &str) {
        for reason in MOVED_ON {
            self.moved_on.with_label_values(&[upstream, reason]);
        }
        for histogram in [&self.duration, &self.first_byte] {
            histogram.with_label_values(&[dialect, upstream]);
        }
    }

    /// Makes the series of a store's calls.
    pub fn expect_store(&self, store: &str, operations: &[&str]) {
        for operation in operations {
            self.store_duration.with_label_values(&[store, operation]);
            self.store_errors.with_label_values(&[store, operation]);
        }
    }

    /// Makes the series of a webhook that the configuration names.
    pub fn expect_webhook(&self, webhook: &str) {
        for result in ["delivered", "failed", "dead"] {
            self.webhook_attempts.with_label_values(&[webhook, result]);
        }
    }

    /// A request has begun: it is in flight until what this gives is dropped.
    pub fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// One request has ended.
    pub fn request(&self, labels: &Labels, outcome: &str) {
        let Labels { dialect, upstream, group, plan } = labels;
        self.requests.with_label_values(&[*dialect, upstream, group, plan, outcome]).inc();
    }

    /// Durations of a request that reached an upstream.
    pub fn timing(&self, labels: &Labels, whole: Duration, first_byte: Option<Duration>, overhead: Duration) {
        let by = [labels.dialect, labels.upstream.as_str()];
        self.duration.with_label_values(&by).observe(whole.as_secs_f64());
        if let Some(first_byte) = first_byte {
            self.first_byte.with_label_values(&by).observe(first_byte.as_secs_f64());
        }
        self.overhead.observe(overhead.as_secs_f64());
    }

    /// Tokens and cost of an answer.
    pub fn consumed(&self, input: u64, output: u64, cached: u64, cost_micro_usd: u64) {
        for (direction, count) in DIRECTIONS.iter().zip([input, output, cached]) {
            self.tokens.with_label_values(&[*direction]).inc_by(count);
        }
        #[expect(clippy::cast_precision_loss, reason = "a metric in dollars; the ledger keeps the integer")]
        self.cost_usd.inc_by(cost_micro_usd as f64 / 1e6);
    }

    /// Users who sent a message today, in the last 7 and in the last 30 days.
    pub fn active_users(&self, users: [u64; 3]) {
        for (window, users) in WINDOWS.iter().zip(users) {
            set(&self.active_users.with_label_values(&[*window]), users);
        }
    }

    /// An attempt to deliver a webhook: `delivered`, `failed` or `dead`.
    pub fn webhook(&self, webhook: &str, result: &str) {
        self.webhook_attempts.with_label_values(&[webhook, result]).inc();
    }

    /// Webhooks in the outbox that are not delivered yet, and those that were given up.
    pub fn webhooks_open(&self, pending: u64, dead: u64) {
        set(&self.webhooks_pending, pending);
        set(&self.webhooks_dead, dead);
    }

    /// An answer by a model that has no price. `model` is one that the configuration names, or `other`.
    pub fn unpriced(&self, model: &str) {
        self.unpriced.with_label_values(&[model]).inc();
    }

    /// A request went on from this upstream to another: `connect`, `busy`, `status`, `timeout` or `broken`.
    pub fn moved_on(&self, upstream: &str, reason: &str) {
        self.moved_on.with_label_values(&[upstream, reason]).inc();
    }

    /// A call of a store has ended: `redis`, `reserve`.
    pub fn store_call(&self, store: &str, operation: &str, took: Duration, failed: bool) {
        let labels = [store, operation];
        self.store_duration.with_label_values(&labels).observe(took.as_secs_f64());
        // a counter at zero as well: the first failure must show in its rate
        self.store_errors.with_label_values(&labels).inc_by(failed.into());
    }

    /// A token was looked up among the verified ones.
    pub fn token_looked_up(&self, found: bool) {
        if found { self.token_hits.inc() } else { self.token_misses.inc() }
    }

    /// A reload of the configuration: `ok` or `refused`.
    pub fn reloaded(&self, result: &str) {
        self.config_reloads.with_label_values(&[result]).inc();
    }

    /// The page, in the text exposition format 0.0.4.
    ///
    /// # Errors
    /// Only if a metric is broken.
    pub fn page(&self) -> Result<String, prometheus::Error> {
        let mut page = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut page)?;
        Ok(String::from_utf8_lossy(&page).into_owned())
    }
}

#[cfg(test)]
mod tests;
