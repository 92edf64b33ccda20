//! Every metric, its name and its labels (`/metrics` on the admin listener).

use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use super::stores::{CacheCounts, Stores};

/// The values of the label `outcome`.
pub mod outcome {
    /// A 2xx answer, whole.
    pub const OK: &str = "ok";
    /// The client left.
    pub const CANCELLED: &str = "cancelled";
    /// The upstream failed, or answered with a status that is not 2xx.
    pub const UPSTREAM_ERROR: &str = "upstream_error";
    /// A limit of an hour or longer is spent.
    pub const REFUSED_QUOTA: &str = "refused_quota";
    /// A shorter limit is spent.
    pub const REFUSED_RATE: &str = "refused_rate";
    /// No good credential.
    pub const REFUSED_AUTH: &str = "refused_auth";
    /// The plan does not include the model, or nobody serves it.
    pub const REFUSED_MODEL: &str = "refused_model";
    /// The request could not be read.
    pub const BAD_REQUEST: &str = "bad_request";
    /// The gateway failed.
    pub const ERROR: &str = "error";

    /// Was the request refused by a rule: quota, rate, credential or model?
    pub fn is_refusal(outcome: &str) -> bool {
        matches!(outcome, REFUSED_QUOTA | REFUSED_RATE | REFUSED_AUTH | REFUSED_MODEL)
    }
}

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
    /// Holds whose lease ended without a settle.
    pub holds_expired: IntCounter,
    /// Age of the oldest record the ledger does not have.
    pub ledger_lag_seconds: prometheus::Gauge,
    /// The journal.
    pub journal: JournalGauges,
    /// Rows this gateway has written to the ledger.
    pub ledger_rows: IntCounter,
    /// Counters that differed from the ledger when they were compared.
    pub counter_drift: IntCounter,
    /// Requests admitted without the counters.
    pub degraded: IntCounter,
    /// Settles that came after their lease had ended.
    pub late_settles: IntCounter,
    /// Domains loaded from the ledger.
    pub rebuilds: IntCounter,
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

/// Of the journal.
pub struct JournalGauges {
    /// Records the ledger does not have.
    pub pending: IntGauge,
    /// Segments with damage inside.
    pub damaged: IntGauge,
    /// Segments that were given up since the start.
    pub poisoned: IntGauge,
}

impl JournalGauges {
    fn new(set: &Registrar<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            pending: set.gauge("tollgate_journal_pending_events", "records that the ledger does not have")?,
            damaged: set.gauge(
                "tollgate_journal_damaged_segments",
                "journal segments with damage inside; copies are in `journal/quarantine`",
            )?,
            poisoned: set.gauge(
                "tollgate_journal_poisoned_segments",
                "journal segments given up after a failed write or sync since the start",
            )?,
        })
    }
}

/// Of the notifier.
struct Webhooks {
    attempts: IntCounterVec,
    pending: IntGauge,
    dead: IntGauge,
}

impl Webhooks {
    fn new(set: &Registrar<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            attempts: set.counters(
                "tollgate_webhooks_total",
                "attempts to deliver a webhook, by result",
                &["webhook", "result"],
            )?,
            pending: set.gauge("tollgate_webhooks_pending", "webhooks that are not delivered yet")?,
            dead: set.gauge("tollgate_webhooks_dead", "webhooks that were given up")?,
        })
    }
}

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
            holds_expired: set
                .counter("tollgate_holds_expired_total", "holds whose lease ended without a settle")?,
            ledger_lag_seconds: set.level(
                "tollgate_ledger_lag_seconds",
                "age of the oldest record that the ledger does not have",
            )?,
            journal: JournalGauges::new(&set)?,
            ledger_rows: set.counter("tollgate_ledger_rows_total", "rows written to the ledger")?,
            counter_drift: set
                .counter("tollgate_counter_drift_total", "counters that differed from the ledger")?,
            degraded: set
                .counter("tollgate_degraded_admissions_total", "requests admitted without the counters")?,
            late_settles: set
                .counter("tollgate_late_settles_total", "settles that came after their lease had ended")?,
            rebuilds: set.counter("tollgate_counter_rebuilds_total", "domains loaded from the ledger")?,
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
        Ok(metrics)
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
        for (direction, count) in [("input", input), ("output", output), ("cached", cached)] {
            self.tokens.with_label_values(&[direction]).inc_by(count);
        }
        #[expect(clippy::cast_precision_loss, reason = "a metric in dollars; the ledger keeps the integer")]
        self.cost_usd.inc_by(cost_micro_usd as f64 / 1e6);
    }

    /// Users who sent a message today, in the last 7 and in the last 30 days.
    pub fn active_users(&self, [day, week, month]: [u64; 3]) {
        for (window, users) in [("day", day), ("week", week), ("month", month)] {
            self.active_users.with_label_values(&[window]).set(i64::try_from(users).unwrap_or(i64::MAX));
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

/// What registers under names.
pub(super) struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn register<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: C,
    ) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.register(IntCounter::new(name, help)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::new(name, help)?)
    }

    /// A counter that is no integer.
    fn sum(&self, name: &str, help: &str) -> Result<prometheus::Counter, prometheus::Error> {
        self.register(prometheus::Counter::new(name, help)?)
    }

    /// A gauge that is no integer.
    fn level(&self, name: &str, help: &str) -> Result<prometheus::Gauge, prometheus::Error> {
        self.register(prometheus::Gauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// 1, with the version as a label.
    fn build_info(&self) -> Result<(), prometheus::Error> {
        let version = Opts::new("tollgate_build_info", "the running version")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        self.register(IntGauge::with_opts(version)?)?.set(1);
        Ok(())
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        self.register(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
    }
}

#[cfg(test)]
mod tests;
