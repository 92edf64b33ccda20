//! Counters against ledger, and the ledger against its own rows: the invariants as a command that operators run.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::book::Book;
use super::shared::{CountersTime, GateCounts, Parts};
use crate::quota::Domain;
use crate::store::journal::Journal;
use crate::store::{Announcement, BucketTotal, Counters, DomainDump, DomainTotals, Ledger, StoreError};

/// Domains compared in one step.
const PAGE: u32 = 500;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// Domains that were compared.
    pub domains: u64,
    /// Of these, domains whose counters are not loaded: nothing to compare.
    pub cold: u64,
    /// Requests in flight while it ran: their buckets may differ for a moment.
    pub in_flight: u64,
    /// Records of this gateway that the ledger does not have yet; they are taken into account.
    pub pending: u64,
    /// Buckets whose counter is not the ledger's total.
    pub counters: Vec<Difference>,
    /// Buckets whose total is not the sum of their rows: (bucket, total, sum of rows).
    pub ledger: Vec<Difference>,
}

/// One bucket that is not as it should be.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The domain; empty for the ledger's own differences.
    pub domain: String,
    /// `scope|owner|limit|period` and epoch.
    pub bucket: String,
    /// What stands there.
    pub found: u64,
    /// What should.
    pub expected: u64,
    /// Was it set right?
    pub repaired: bool,
}

impl Verification {
    /// Is everything as it should be (or was set right)?
    pub fn is_clean(&self) -> bool {
        self.ledger.is_empty() && self.counters.iter().all(|difference| difference.repaired)
    }
}

/// Compares.
pub struct Verifier {
    counters: Arc<dyn Counters>,
    ledger: Arc<dyn Ledger>,
    journal: Arc<Journal>,
    book: Arc<Book>,
    time: Arc<CountersTime>,
    counts: Arc<GateCounts>,
}

impl Verifier {
    pub(super) fn new(
        parts: &Parts,
        book: Arc<Book>,
        time: Arc<CountersTime>,
        counts: Arc<GateCounts>,
    ) -> Self {
        let (counters, ledger) = (Arc::clone(&parts.counters), Arc::clone(&parts.ledger));
        Self { counters, ledger, journal: Arc::clone(&parts.journal), book, time, counts }
    }

    /// Compares every domain with usage in a running period. With `repair`, counters are set right where no request is
    /// in flight.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn verify(&self, repair: bool) -> Result<Verification, StoreError> {
        let mut found = Verification { pending: self.journal.pending_events(), ..Verification::default() };
        let mut after = String::new();
        loop {
            let page = self.ledger.domains(&after, PAGE, self.time.now().as_millisecond()).await?;
            let Some(last) = page.last() else { break };
            last.as_str().clone_into(&mut after);
            for domain in &page {
                self.verify_domain(domain, repair, &mut found).await?;
            }
        }
        for (total, folded) in self.ledger.fold_differences().await? {
            let bucket = name(&total);
            found.ledger.push(Difference {
                domain: String::new(),
                bucket,
                found: total.used,
                expected: folded,
                repaired: false,
            });
        }
        Ok(found)
    }

    async fn verify_domain(
        &self,
        domain: &Domain,
        repair: bool,
        found: &mut Verification,
    ) -> Result<(), StoreError> {
        found.domains += 1;
        // the counters first: what ends in between is then in the ledger or known here
        let Some(dump) = self.counters.dump(domain).await? else {
            found.cold += 1;
            return Ok(());
        };
        let totals = self.ledger.load(domain, self.time.now().as_millisecond()).await?;
        found.in_flight += dump.leases.len() as u64;
        for expected in self.expected(domain, totals) {
            let counted = counted(&dump, &expected);
            if counted == expected.used {
                continue;
            }
            self.counts.drift.fetch_add(1, Ordering::Relaxed);
            let repaired = repair && self.counters.repair(domain, &expected).await?;
            found.counters.push(Difference {
                domain: domain.to_string(),
                bucket: name(&expected),
                found: counted,
                expected: expected.used,
                repaired,
            });
        }
        Ok(())
    }

    /// The ledger's totals plus what stands in this gateway's journal only.
    fn expected(&self, domain: &Domain, totals: DomainTotals) -> Vec<BucketTotal> {
        let DomainTotals { mut buckets, recent, .. } = totals;
        for announcement in self.book.announcements(domain, self.time.own_ms()) {
            let Announcement::Ended { rid, charges } = announcement else { continue };
            if recent.contains(&rid) {
                continue;
            }
            for charge in charges {
                let same =
                    |total: &&mut BucketTotal| total.bucket == charge.bucket && total.epoch == charge.epoch;
                match buckets.iter_mut().find(same) {
                    Some(total) => total.used += charge.amount,
                    None => buckets.push(BucketTotal {
                        bucket: charge.bucket,
                        epoch: charge.epoch,
                        period_start_ms: charge.period_start_ms,
                        period_end_ms: charge.period_end_ms,
                        used: charge.amount,
                    }),
                }
            }
        }
        buckets
    }
}

fn counted(dump: &DomainDump, of: &BucketTotal) -> u64 {
    let same = |total: &&BucketTotal| total.bucket == of.bucket && total.epoch == of.epoch;
    dump.buckets.iter().find(same).map_or(0, |total| total.used)
}

fn name(total: &BucketTotal) -> String {
    format!("{} epoch {}", total.bucket.key(), total.epoch)
}
