//! What runs beside the requests: settles, announcements, renewal of leases, sweeps, mending after an outage, and the
//! totals of refusals.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

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

/// More settles under way than this are not followed one by one.
const UNSETTLED_MAX: usize = 10_000;

/// A place in the journal, and what had ended before it and was not settled yet.
struct Mark {
    up_to: Position,
    unsettled: Vec<(Domain, Uuid)>,
}

impl Gate {
    /// Runs all of it until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(
            self.run_settles(),
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
            let charges: Vec<_> = entry.charges.iter().filter(|charge| charge.amount > 0).cloned().collect();
            let domain = Domain::from_text(&entry.domain);
            // known here before the writer can see it, so that its acknowledgement finds it
            self.live.ended(&domain, entry.id, charges.clone(), self.clock.now_ms());
            if let Err(error) = self.journal.end(&entry) {
                tracing::error!(%error, id = %entry.id, "the journal did not take the end of a crashed request");
            }
            // the hold of the crashed process need not wait for its lease
            self.settles.push(domain, entry.id, charges);
        }
    }

    /// To be called before the writer starts: what it acknowledges until [`Gate::all_read_back`] is not lost.
    pub fn read_back(&self) {
        self.live.read_back();
    }

    /// Every request of an earlier run was handed to [`Gate::inherit`], or stands in the ledger.
    pub fn all_read_back(&self) {
        self.live.all_read_back();
    }

    /// Remembers a request that stands in the journal and not yet in the ledger.
    pub fn inherit(&self, entry: &Entry) {
        let charges = entry.charges.iter().filter(|charge| charge.amount > 0).cloned().collect();
        self.live.inherited(&Domain::from_text(&entry.domain), entry.id, charges, self.clock.now_ms());
    }

    async fn run_renewals(&self) {
        loop {
            let lease_ms = self.rules.load().lease_ms;
            tokio::time::sleep(Duration::from_millis(lease_ms / 3)).await;
            for (domain, rids) in self.live.open_requests() {
                match self.counters.renew(&domain, &rids, lease_ms).await {
                    Ok(lost) => {
                        let ends_ms = self.clock.now_ms().saturating_add_unsigned(lease_ms);
                        self.live.renewed(&domain, &rids, ends_ms);
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
        let known = self.live.announcements(domain, self.clock.now_ms());
        if let Err(error) = self.counters.announce(domain, &known).await {
            tracing::debug!(%error, "holds were not put back");
        }
    }

    async fn run_sweeps(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            let now_ms = self.clock.now_ms();
            self.live.acknowledged(&[], now_ms);
            if self.journal.pending_events() == 0 {
                self.live.all_acknowledged(now_ms);
            }
            match self.counters.sweep().await {
                Ok(expired) => _ = self.counts.expired.fetch_add(expired, Ordering::Relaxed),
                Err(error) => tracing::debug!(%error, "expired holds were not swept"),
            }
        }
    }

    /// Is all settled now that had ended when `mark` was made? Then the journal need not be read up to there again.
    fn note_settled(&self, mark: &mut Option<Mark>) {
        if let Some(old) = mark {
            old.unsettled.retain(|(domain, rid)| !self.live.is_settled(domain, *rid));
            if !old.unsettled.is_empty() {
                return;
            }
            self.journal.settled(old.up_to);
        }
        // a request is known as ended before its END is written: what is settled by then is settled
        let up_to = self.journal.last_end();
        *mark = self.live.unsettled(UNSETTLED_MAX).map(|unsettled| Mark { up_to, unsettled });
    }

    /// After an outage, and for domains whose settles were given up: forget, so that the next request loads them.
    async fn run_mending(&self) {
        let mut mark = None;
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
            let mut spoiled = self.settles.take_dirty();
            spoiled.extend(self.outage.take_touched());
            if spoiled.is_empty() {
                self.note_settled(&mut mark);
                continue;
            }
            // a settle that was given up looks settled
            mark = None;
            if !self.can_load(&spoiled).await {
                for domain in spoiled {
                    self.settles.spoil(domain);
                }
                continue;
            }
            for domain in spoiled {
                if let Err(error) = self.counters.forget(&domain).await {
                    tracing::debug!(%error, "a domain could not be made cold");
                    self.settles.spoil(domain);
                }
            }
        }
    }

    /// Does the ledger answer? While it does not, counters that may lack something are better than none: a cold domain
    /// could not be loaded, and its users would be refused.
    async fn can_load(&self, domains: &HashSet<Domain>) -> bool {
        let Some(domain) = domains.iter().next() else { return true };
        self.live.is_complete() && self.ledger.load(domain, self.now().as_millisecond()).await.is_ok()
    }

    /// Has every domain been loaded anew that had to be?
    pub fn is_mended(&self) -> bool {
        !self.settles.is_dirty() && !self.outage.has_touched()
    }

    async fn freshen_fallback(&self) {
        let Some(fallback) = &self.fallback else { return };
        let touched = self.outage.take_touched();
        if !self.can_load(&touched).await {
            for domain in &touched {
                self.outage.touched(domain);
            }
            return;
        }
        for domain in touched {
            if let Err(error) = fallback.forget(&domain).await {
                tracing::debug!(%error, "a fall-back domain could not be made cold");
            }
            self.outage.touched(&domain);
        }
    }
}
