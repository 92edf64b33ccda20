//! Every metric, its name and its labels (`/metrics` on the admin listener).

use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use super::outcome;
use super::parts::{GateCounters, JournalGauges, LedgerCounters, Webhooks};
use super::registrar::Registrar;
use super::stores::{CacheCounts, Stores};

/// Brings a counter to a total that is counted elsewhere. Counters never go back.
pub fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
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

/// All metrics of a process.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    overhead: Histogram,
    first_byte: HistogramVec,
    tokens: IntCounterVec,
    cost_usd: prometheus::Counter,
    unpriced: IntCounterVec,
    moved_on: IntCounterVec,
    in_flight: IntGauge,
    /// Holds of this gateway.
    pub holds_open: IntGauge,
    /// Age of the oldest record the ledger does not have.
    pub ledger_lag_seconds: prometheus::Gauge,
    /// Admission and settlement.
    pub gate: GateCounters,
    /// The journal.
    pub journal: JournalGauges,
    /// The writer to the ledger.
    pub ledger: LedgerCounters,
    /// Reads that the replica did not answer.
    pub replica_failures: IntCounter,
    active_users: IntGaugeVec,
    config_reloads: IntCounterVec,
    webhooks: Webhooks,
    stores: Stores,
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

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// Only if a name is wrong or stands twice: a mistake of this file, found by its test.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let set = Registrar(&registry);
        let by_request = &["dialect", "upstream", "group", "plan", "outcome"];
        let metrics = Self {
            requests: set.counters("tollgate_requests_total", "requests by outcome", by_request)?,
            duration: set.histograms(
                "tollgate_request_duration_seconds",
                "whole requests",
                SECONDS,
                &["dialect", "upstream"],
            )?,
            overhead: set.histogram(
                "tollgate_overhead_seconds",
                "the gateway's own part of a request",
                OVERHEAD_SECONDS,
            )?,
            first_byte: set.histograms(
                "tollgate_time_to_first_byte_seconds",
                "until the upstream's first byte",
                SECONDS,
                &["dialect", "upstream"],
            )?,
            tokens: set.counters("tollgate_tokens_total", "tokens by direction", &["direction"])?,
            cost_usd: set.sum("tollgate_cost_usd_total", "cost at the price table, in US dollars")?,
            unpriced: set.counters(
                "tollgate_unpriced_answers_total",
                "answers by models that the price list does not name",
                &["model"],
            )?,
            moved_on: set.counters(
                "tollgate_upstream_failovers_total",
                "requests that went on to another upstream, by the one that failed and why",
                &["upstream", "reason"],
            )?,
            in_flight: set.gauge("tollgate_in_flight_requests", "requests in flight")?,
            holds_open: set.gauge("tollgate_holds_open", "quota holds of this gateway")?,
            ledger_lag_seconds: set.level(
                "tollgate_ledger_lag_seconds",
                "age of the oldest record that the ledger does not have",
            )?,
            gate: GateCounters::new(&set)?,
            journal: JournalGauges::new(&set)?,
            ledger: LedgerCounters::new(&set)?,
            replica_failures: set
                .counter("tollgate_replica_failures_total", "reads that the replica did not answer")?,
            active_users: set.gauges(
                "tollgate_active_users",
                "signed-in users who sent a message",
                &["window"],
            )?,
            config_reloads: set.counters(
                "tollgate_config_reloads_total",
                "configuration reloads by result",
                &["result"],
            )?,
            webhooks: Webhooks::new(&set)?,
            stores: Stores::new(&set)?,
            registry,
        };
        Registrar(&metrics.registry).build_info()?;
        metrics.begin_at_zero();
        Ok(metrics)
    }

    /// Makes the series whose labels are known before anything happens: who watches a rate must not miss the first event.
    fn begin_at_zero(&self) {
        for outcome in outcome::ALL {
            self.requests.with_label_values(&["", "", "", "", outcome]);
        }
        for direction in DIRECTIONS {
            self.tokens.with_label_values(&[direction]);
        }
        for window in WINDOWS {
            self.active_users.with_label_values(&[window]);
        }
        for result in ["ok", "refused"] {
            self.config_reloads.with_label_values(&[result]);
        }
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
            self.stores.expect(store, operation);
        }
    }

    /// Makes the series of a webhook that the configuration names.
    pub fn expect_webhook(&self, webhook: &str) {
        for result in ["delivered", "failed", "dead"] {
            self.webhooks.attempts.with_label_values(&[webhook, result]);
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
            self.active_users.with_label_values(&[*window]).set(i64::try_from(users).unwrap_or(i64::MAX));
        }
    }

    /// An attempt to deliver a webhook: `delivered`, `failed` or `dead`.
    pub fn webhook(&self, webhook: &str, result: &str) {
        self.webhooks.attempts.with_label_values(&[webhook, result]).inc();
    }

    /// Webhooks in the outbox that are not delivered yet, and those that were given up.
    pub fn webhooks_open(&self, pending: u64, dead: u64) {
        self.webhooks.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
        self.webhooks.dead.set(i64::try_from(dead).unwrap_or(i64::MAX));
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
        self.stores.ended(store, operation, took, failed);
    }

    /// The cache of verified tokens.
    pub fn tokens_cache(&self) -> &CacheCounts {
        &self.stores.tokens
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
