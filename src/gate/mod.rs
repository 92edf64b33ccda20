//! The use case: may this request go upstream, and what does it cost when it has ended? Its parts own admission, holds in
//! flight, settlement, upkeep of the counters and the answers to "what is used"; [`Gate`] puts them together.
//!
//! Knows the traits of `store` and the rules of `quota`; must not know Pingora, axum or any concrete store.

mod admit;
mod book;
mod denied;
mod permit;
mod refusals;
mod reports;
mod row;
mod rules;
mod settle;
mod shared;
mod upkeep;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

pub use denied::Denied;
pub use permit::{Ending, FirstByte, Permit};
pub use refusals::Refusals;
pub use reports::{ExplainedLimit, Explanation, Reports, UsageView};
pub use row::Asked;
pub use rules::{Rules, Who};
pub use shared::{GateCounts, Parts};
pub use verify::{Difference, Verification, Verifier};

use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::store::journal::{Journal, OpenRequest, Position};
use crate::store::{Counters, Entry, Ledger};
use admit::Admission;
use book::Book;
use settle::Settler;
use shared::CountersTime;
use upkeep::Upkeep;

/// The gate of one gateway process.
pub struct Gate {
    /// What is used, and why.
    pub reports: Reports,
    /// Counters against ledger.
    pub verifier: Verifier,
    /// What was refused, for analytics.
    pub refusals: Refusals,
    admission: Admission,
    settler: Arc<Settler>,
    upkeep: Arc<Upkeep>,
    book: Arc<Book>,
    rules: Arc<ArcSwap<Rules>>,
    time: Arc<CountersTime>,
    counts: Arc<GateCounts>,
    counters: Arc<dyn Counters>,
    ledger: Arc<dyn Ledger>,
    journal: Arc<Journal>,
}

impl Gate {
    /// Builds the gate. [`Gate::run`] must run beside it.
    pub fn new(parts: Parts) -> Arc<Self> {
        let counts = Arc::<GateCounts>::default();
        let time = Arc::new(CountersTime::new(parts.clock.clone()));
        let rules = Arc::new(ArcSwap::new(Arc::clone(&parts.rules)));
        let book = Arc::new(Book::new(Arc::clone(&parts.journal)));
        let settler = Arc::new(Settler::new(&parts, book.clone(), counts.clone()));
        let upkeep = Upkeep::new(&parts, rules.clone(), time.clone(), book.clone(), counts.clone());
        let upkeep = Arc::new(upkeep);
        let (at, held, to) = (time.clone(), book.clone(), settler.clone());
        Arc::new(Self {
            admission: Admission::new(&parts, at, held, to, upkeep.clone(), counts.clone()),
            reports: Reports::new(&parts, rules.clone(), time.clone(), book.clone(), upkeep.clone()),
            verifier: Verifier::new(&parts, book.clone(), time.clone(), counts.clone()),
            refusals: Refusals::new(&parts, rules.clone(), time.clone()),
            settler,
            upkeep,
            book,
            rules,
            time,
            counts,
            counters: parts.counters,
            ledger: parts.ledger,
            journal: parts.journal,
        })
    }

    /// Runs what stands beside the requests until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.settler.run(), self.upkeep.run(), self.refusals.run());
    }

    /// Admits one request, or says why not. A refusal changes nothing.
    ///
    /// # Errors
    /// See [`Denied`].
    pub async fn admit(&self, who: &Who, asked: Asked) -> Result<Permit, Denied> {
        self.admission.admit(who, asked).await
    }

    /// Finds the plan of a caller in the rules in force.
    ///
    /// # Errors
    /// As [`Who::of`].
    pub fn identify(&self, caller: &Caller) -> Result<Who, Denied> {
        Who::of(caller, self.rules())
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
        self.time.now()
    }

    /// A new id for a request that brought none.
    pub fn new_id(&self) -> uuid::Uuid {
        self.time.request_id()
    }

    /// Ends the requests that an earlier run of this gateway left open: charged if the upstream had answered.
    pub fn end_crashed(&self, open: Vec<OpenRequest>) {
        self.settler.end_crashed(open);
    }

    /// After a run that was killed: its last ENDs may have reached the ledger and never the counters. These domains are
    /// made cold, so that the next request loads them; those that cannot be now are mended later.
    pub async fn make_cold(&self, domains: &[String]) {
        self.upkeep.make_cold(domains).await;
    }

    /// Remembers a request that stands in the journal and not yet in the ledger.
    pub fn inherit(&self, end: Position, entry: &Entry) {
        self.book.inherit(end, entry);
    }

    /// The writer tells which entries the ledger has, and up to which place of the journal that holds for all.
    pub fn acknowledged(&self, entries: &[Entry], up_to: Position) {
        self.book.in_ledger(entries, up_to, self.time.own_ms());
    }

    /// Waits until all that was handed over is settled or given up. False: some is not after `at_most`.
    pub async fn settled(&self, at_most: Duration) -> bool {
        self.book.wait_settled(None, at_most).await
    }

    /// Has every domain been made cold that had to be?
    pub fn is_mended(&self) -> bool {
        !self.book.is_dirty()
    }

    /// Are the counters out of reach?
    pub fn is_degraded(&self) -> bool {
        self.upkeep.is_outage()
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

    /// The journal, for its gauges.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// The last call: the last refusals are written, the counters' store is told that this gateway is gone.
    pub async fn close(&self) {
        if let Err(error) = self.refusals.write().await {
            tracing::warn!(%error, "the last refusals are missing from analytics");
        }
        self.counters.close().await;
    }
}

#[cfg(test)]
mod tests;
