//! The use case: may this request go upstream, and what does it cost when it has ended? Owns admission, holds in
//! flight, settlement, recovery of the counters and the answers to "what is used".
//!
//! Knows the traits of `store` and the rules of `quota`; must not know Pingora, axum or any concrete store.

mod admit;
mod alerts;
mod book;
mod denied;
mod explain;
mod fallback;
mod outage;
mod permit;
mod recover;
mod refusals;
mod reset;
mod row;
mod settle;
mod upkeep;
mod usage;
mod verify;
mod who;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;

pub use denied::Denied;
pub use explain::{ExplainedLimit, Explanation};
pub use permit::{Ending, FirstByte, Permit};
pub use row::Asked;
pub use usage::UsageView;
pub use verify::{Difference, Verification};
pub use who::Who;

use crate::clock::{Clock, Timestamp};
use crate::quota::Policy;
use crate::store::journal::{Journal, Position};
use crate::store::{Counters, Entry, Ledger};
use book::Book;
use settle::Settler;

/// What to do while the counters cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOutage {
    /// Decide from the ledger's totals and this gateway's own holds.
    #[default]
    Ledger,
    /// Refuse with 503.
    Deny,
    /// Let pass, and record it.
    Allow,
}

/// The rules in force. Swapped whole when the configuration is reloaded.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Plans, groups, zone.
    pub policy: Policy,
    /// How long a hold stands without being renewed, in milliseconds.
    pub lease_ms: u64,
    /// What to do while the counters cannot be reached.
    pub on_outage: OnOutage,
    /// Names of the webhooks that are told of thresholds.
    pub webhooks: Vec<String>,
}

/// What the gate is built from.
pub struct Parts {
    /// The counters of record.
    pub counters: Arc<dyn Counters>,
    /// Counters inside this process, for the `ledger` policy while `counters` cannot be reached.
    pub fallback: Option<Arc<dyn Counters>>,
    /// The truth.
    pub ledger: Arc<dyn Ledger>,
    /// The durable record of this gateway.
    pub journal: Arc<Journal>,
    /// The rules at start.
    pub rules: Arc<Rules>,
    /// The time.
    pub clock: Clock,
}

/// Counts that the gate keeps for the metrics page.
#[derive(Debug, Default)]
pub struct GateCounts {
    /// Requests admitted without the counters.
    pub degraded: AtomicU64,
    /// Settles that came after their lease had ended.
    pub late: AtomicU64,
    /// Leases that ended without a settle.
    pub expired: AtomicU64,
    /// Domains loaded from the ledger.
    pub rebuilds: AtomicU64,
    /// Settles given up after their time: the domain is loaded anew.
    pub abandoned: AtomicU64,
    /// Counters that were not the ledger's totals when they were compared.
    pub drift: AtomicU64,
    /// ENDs that the journal did not take.
    pub unrecorded: AtomicU64,
}

/// Admission and settlement for one gateway process.
pub struct Gate {
    counters: Arc<dyn Counters>,
    fallback: Option<Arc<dyn Counters>>,
    ledger: Arc<dyn Ledger>,
    journal: Arc<Journal>,
    rules: ArcSwap<Rules>,
    book: Arc<Book>,
    settler: Settler,
    loads: recover::Loads,
    outage: outage::Outage,
    refusals: refusals::Refusals,
    clock: Clock,
    /// The counters' clock minus ours, in milliseconds: periods are cut by the store's time, which all gateways share.
    offset_ms: AtomicI64,
    counts: Arc<GateCounts>,
}

impl Gate {
    /// Builds the gate. [`Gate::run`] must run beside it.
    pub fn new(parts: Parts) -> Arc<Self> {
        let book = Arc::new(Book::new(Arc::clone(&parts.journal)));
        let counts = Arc::<GateCounts>::default();
        let (counters, fallback) = (Arc::clone(&parts.counters), parts.fallback.clone());
        let settler = Settler::new(counters, fallback, Arc::clone(&book), Arc::clone(&counts));
        Arc::new(Self {
            counters: parts.counters,
            fallback: parts.fallback,
            ledger: parts.ledger,
            journal: parts.journal,
            rules: ArcSwap::new(parts.rules),
            book,
            settler,
            loads: recover::Loads::default(),
            outage: outage::Outage::default(),
            refusals: refusals::Refusals::new(parts.clock.request_id().simple().to_string()),
            clock: parts.clock,
            offset_ms: AtomicI64::new(0),
            counts,
        })
    }

    /// The rules in force.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Puts new rules in force. Requests in flight keep the buckets they were admitted to.
    pub fn set_rules(&self, rules: Arc<Rules>) {
        self.rules.store(rules);
    }

    /// The time by which periods are cut: the counters' own.
    pub fn now(&self) -> Timestamp {
        let offset = self.offset_ms.load(Ordering::Relaxed);
        Timestamp::from_millisecond(self.clock.now_ms().saturating_add(offset))
    }

    /// A new id for a request that brought none.
    pub fn new_id(&self) -> uuid::Uuid {
        self.clock.request_id()
    }

    /// Takes over the time of the counters of record; the fall-back's is our own.
    fn learn_time(&self, counters: &Arc<dyn Counters>, store_now_ms: i64) {
        if !Arc::ptr_eq(counters, &self.counters) {
            return;
        }
        self.offset_ms.store(store_now_ms.saturating_sub(self.clock.now_ms()), Ordering::Relaxed);
    }

    /// The writer tells which entries the ledger has, and up to which place of the journal that holds for all.
    pub fn acknowledged(&self, entries: &[Entry], up_to: Position) {
        self.book.in_ledger(entries, up_to, self.clock.now_ms());
    }

    /// Holds of requests in flight in this process.
    pub fn holds_open(&self) -> u64 {
        self.book.open_count()
    }

    /// Counts for the metrics page.
    pub fn counts(&self) -> &GateCounts {
        &self.counts
    }

    /// The ledger, for reading.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// The last call: the last refusals are written, the counters' store is told that this gateway is gone.
    pub async fn close(&self) {
        if let Err(error) = self.write_refusals().await {
            tracing::warn!(%error, "the last refusals are missing from analytics");
        }
        self.counters.close().await;
    }

    /// The journal, for its gauges.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Are the counters answering?
    pub fn is_degraded(&self) -> bool {
        self.outage.is_open()
    }
}

#[cfg(test)]
mod tests;
