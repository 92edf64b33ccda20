//! What runs beside the requests: settles, announcements, renewal of leases, sweeps, mending after an outage, and the
//! totals of refusals.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Gate;
use crate::quota::Domain;
use crate::store::journal::{OpenRequest, Position};
use crate::store::{Entry, Outcome};

/// How often expired holds are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(2);

/// How often the gate looks whether an outage is over.
const MEND_EVERY: Duration = Duration::from_millis(500);

/// How often the fall-back counters are loaded anew during an outage, to see what other gateways have recorded.
const FALLBACK_FRESH_ROUNDS: u32 = 2;

/// How long a reader, or a request that would be refused, waits for this gateway's own settles.
const OWN_SETTLES_WAIT: Duration = Duration::from_millis(250);

impl Gate {
    /// Runs all of it until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(
            self.settler.run(),
            self.run_announcements(),
            self.run_renewals(),
            self.run_sweeps(),
            self.run_mending(),
            self.run_refusals()
        );
    }

    /// Ends the requests that an earlier run of this gateway left open: charged if the upstream had answered.
    pub fn end_crashed(&self, open: Vec<OpenRequest>) {
        for OpenRequest { mut entry, first_byte } in open {
            entry.outcome = Outcome::Crashed;
            match first_byte {
                Some((status, at_ms)) => {
                    entry.status = status;
                    entry.first_byte_ms = u64::try_from(at_ms - entry.admitted_at_ms).ok();
                }
                None => entry.charges.iter_mut().for_each(|charge| charge.amount = 0),
            }
            let settlement = self.enter_end(&Domain::from_text(&entry.domain), &entry);
            // the hold of the crashed process need not wait for its lease
            self.settler.settle_soon(settlement);
        }
    }

    /// Remembers a request that stands in the journal and not yet in the ledger.
    pub fn inherit(&self, end: Position, entry: &Entry) {
        self.book.inherit(end, entry);
    }

    /// Waits for this gateway's own settles of a domain, so that what has ended no longer counts as in flight.
    pub(super) async fn settle_own(&self, domain: &Domain) {
        self.book.wait_settled(Some(domain), OWN_SETTLES_WAIT).await;
    }

    /// Waits until all that was handed over is settled or given up. False: some is not after `at_most`.
    pub async fn settled(&self, at_most: Duration) -> bool {
        self.book.wait_settled(None, at_most).await
    }

    async fn run_renewals(&self) {
        loop {
            let lease_ms = self.rules.load().lease_ms;
            tokio::time::sleep(Duration::from_millis(lease_ms / 3)).await;
            for (domain, rids) in self.book.open_requests() {
                match self.counters.renew(&domain, &rids, lease_ms).await {
                    Ok(lost) => {
                        let ends_ms = self.clock.now_ms().saturating_add_unsigned(lease_ms);
                        self.book.renewed(&domain, &rids, ends_ms);
                        if !lost.is_empty() {
                            self.announce_again(&domain).await;
                        }
                    }
                    Err(error) => tracing::debug!(%error, "leases were not renewed"),
                }
            }
        }
    }

    async fn announce_again(&self, domain: &Domain) {
        let known = self.book.announcements(domain, self.clock.now_ms());
        if let Err(error) = self.counters.announce(domain, &known).await {
            tracing::debug!(%error, "holds were not put back");
        }
    }

    async fn run_sweeps(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            self.book.sweep(self.clock.now_ms());
            match self.counters.sweep().await {
                Ok(expired) => _ = self.counts.expired.fetch_add(expired, Ordering::Relaxed),
                Err(error) => tracing::debug!(%error, "expired holds were not swept"),
            }
        }
    }

    /// After an outage, and for domains that are dirty for another reason.
    async fn run_mending(&self) {
        for round in 0_u32.. {
            tokio::time::sleep(MEND_EVERY).await;
            if self.outage.is_open() {
                if round.is_multiple_of(FALLBACK_FRESH_ROUNDS) {
                    self.freshen_fallback().await;
                }
                if self.counters.ping().await.is_err() {
                    continue;
                }
                self.outage.closed();
            }
            let left = self.mend(self.book.take_dirty()).await;
            self.book.mended(left);
        }
    }

    /// Makes dirty domains cold, so that the next request loads them. Gives those that could not be.
    async fn mend(&self, dirty: HashSet<Domain>) -> HashSet<Domain> {
        if !self.can_load(&dirty).await {
            return dirty;
        }
        let mut left = HashSet::new();
        for domain in dirty {
            if let Err(error) = self.counters.forget(&domain).await {
                tracing::debug!(%error, "a domain could not be made cold");
                left.insert(domain);
            }
        }
        left
    }

    /// Does the ledger answer? While it does not, counters that may lack something are better than none: a cold domain
    /// could not be loaded, and its users would be refused.
    async fn can_load(&self, domains: &HashSet<Domain>) -> bool {
        let Some(domain) = domains.iter().next() else { return true };
        self.book.is_complete() && self.ledger.load(domain, self.now().as_millisecond()).await.is_ok()
    }

    /// Has every domain been made cold that had to be?
    pub fn is_mended(&self) -> bool {
        !self.book.is_dirty()
    }

    async fn freshen_fallback(&self) {
        let Some(fallback) = &self.fallback else { return };
        let dirty = self.book.dirty();
        if !self.can_load(&dirty).await {
            return;
        }
        for domain in dirty {
            if let Err(error) = fallback.forget(&domain).await {
                tracing::debug!(%error, "a fall-back domain could not be made cold");
            }
        }
    }
}
