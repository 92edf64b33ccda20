//! Upkeep of the counters: a cold domain is loaded from one snapshot of the ledger and what this gateway knows and the
//! ledger may not; flush, eviction, restart, fail-over and a new user are all this one case. Beside the requests: answers to
//! the counters' news, renewal of leases, sweeps, mending after an outage. Owns whether there is an outage.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::StreamExt;

use super::book::Book;
use super::rules::Rules;
use super::shared::{CountersTime, GateCounts, Parts};
use crate::quota::{Domain, LimitHold};
use crate::store::{Counters, CountersEvent, Ledger, StoreError, StoreKind};

/// How often expired holds are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(2);

/// How often the gate looks whether an outage is over.
const MEND_EVERY: Duration = Duration::from_millis(500);

/// How often the fall-back counters are loaded anew during an outage, to see what other gateways have recorded.
const FALLBACK_FRESH_ROUNDS: u32 = 2;

/// Domains made cold at once after a crash.
const COLD_AT_ONCE: usize = 64;

/// Locks that nobody holds any more are swept when there are this many.
const LOCKS_MAX: usize = 10_000;

/// Keeps the counters true.
pub(super) struct Upkeep {
    counters: Arc<dyn Counters>,
    fallback: Option<Arc<dyn Counters>>,
    ledger: Arc<dyn Ledger>,
    rules: Arc<ArcSwap<Rules>>,
    time: Arc<CountersTime>,
    book: Arc<Book>,
    counts: Arc<GateCounts>,
    loads: Loads,
    outage: AtomicBool,
}

/// One load of a domain at a time in this process.
#[derive(Default)]
struct Loads(Mutex<HashMap<Domain, Weak<tokio::sync::Mutex<()>>>>);

impl Loads {
    fn lock_of(&self, domain: &Domain) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(domain).and_then(Weak::upgrade) {
            return lock;
        }
        if locks.len() >= LOCKS_MAX {
            locks.retain(|_, lock| lock.strong_count() > 0);
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        locks.insert(domain.clone(), Arc::downgrade(&lock));
        lock
    }
}

impl Upkeep {
    pub fn new(
        parts: &Parts,
        rules: Arc<ArcSwap<Rules>>,
        time: Arc<CountersTime>,
        book: Arc<Book>,
        counts: Arc<GateCounts>,
    ) -> Self {
        Self {
            counters: Arc::clone(&parts.counters),
            fallback: parts.fallback.clone(),
            ledger: Arc::clone(&parts.ledger),
            rules,
            time,
            book,
            counts,
            loads: Loads::default(),
            outage: AtomicBool::new(false),
        }
    }

    /// The counters failed. Logged once an outage.
    pub fn failed(&self, error: &StoreError) {
        if !self.outage.swap(true, Ordering::AcqRel) {
            tracing::warn!(%error, "the counters cannot be reached: the outage policy decides");
        }
    }

    /// The counters answered.
    pub fn answered(&self) {
        if self.is_outage() && self.outage.swap(false, Ordering::AcqRel) {
            tracing::info!("the counters answer again");
        }
    }

    /// Can the counters not be reached?
    pub fn is_outage(&self) -> bool {
        self.outage.load(Ordering::Relaxed)
    }

    /// Loads a cold domain. Several callers at once load it once.
    ///
    /// # Errors
    /// The ledger's or the counters'; or that the backlog of ended requests is too long to be sure of the totals.
    pub async fn load(&self, counters: &Arc<dyn Counters>, domain: &Domain) -> Result<(), StoreError> {
        let lock = self.loads.lock_of(domain);
        let _held = lock.lock().await;
        if counters.read(domain, &mut []).await?.is_some() {
            return Ok(());
        }
        if !self.book.is_complete() {
            return Err(StoreError::transient(
                StoreKind::Journal,
                "load",
                "the backlog to the ledger is too long to load a domain",
            ));
        }
        let totals = self.ledger.load(domain, self.time.now().as_millisecond()).await?;
        if counters.rebuild(domain, &totals).await? {
            self.counts.rebuilds.fetch_add(1, Ordering::Relaxed);
        }
        // read after the snapshot: what the ledger took meanwhile is a tombstone or still known here
        self.announce(counters, domain).await
    }

    async fn announce(&self, counters: &Arc<dyn Counters>, domain: &Domain) -> Result<(), StoreError> {
        counters.announce(domain, &self.book.announcements(domain, self.time.own_ms())).await
    }

    /// Writes the numbers into these holds; a cold domain is loaded. Returns when the latest of their owners' epochs was
    /// opened, milliseconds since 1970; 0: never.
    pub async fn read(
        &self,
        counters: &Arc<dyn Counters>,
        domain: &Domain,
        holds: &mut [LimitHold],
    ) -> Result<i64, StoreError> {
        if let Some(reset_at_ms) = counters.read(domain, holds).await? {
            return Ok(reset_at_ms);
        }
        self.load(counters, domain).await?;
        let cold = || StoreError::transient(StoreKind::Domain, "read", "the domain stayed cold");
        counters.read(domain, holds).await?.ok_or_else(cold)
    }

    /// After a run that was killed: its last ENDs may have reached the ledger and never the counters. These domains are
    /// made cold, so that the next request loads them; those that cannot be now are mended later.
    pub async fn make_cold(&self, domains: &[String]) {
        let forgotten = futures_util::stream::iter(domains).map(|domain| async move {
            let domain = Domain::from_text(domain);
            if let Err(error) = self.counters.forget(&domain).await {
                tracing::debug!(%error, "a domain could not be made cold yet");
                self.book.mark_dirty(domain);
            }
        });
        forgotten.buffer_unordered(COLD_AT_ONCE).for_each(|()| std::future::ready(())).await;
    }

    /// Runs what stands beside the requests until the task is dropped.
    pub async fn run(&self) {
        tokio::join!(self.run_announcements(), self.run_renewals(), self.run_sweeps(), self.run_mending());
    }

    /// Answers the counters' news with announcements, for ever.
    async fn run_announcements(&self) {
        loop {
            let domains = match self.counters.next_event().await {
                CountersEvent::Rebuilt(domain) => vec![domain],
                CountersEvent::Reconnected => self.book.domains(),
            };
            for domain in domains {
                if let Err(error) = self.announce(&self.counters, &domain).await {
                    tracing::warn!(%error, "could not announce the requests of a domain");
                    self.book.mark_dirty(domain);
                }
            }
        }
    }

    async fn run_renewals(&self) {
        loop {
            let lease_ms = self.rules.load().lease_ms;
            tokio::time::sleep(Duration::from_millis(lease_ms / 3)).await;
            for (domain, rids) in self.book.open_requests() {
                match self.counters.renew(&domain, &rids, lease_ms).await {
                    Ok(lost) => {
                        let ends_ms = self.time.own_ms().saturating_add_unsigned(lease_ms);
                        self.book.renewed(&domain, &rids, ends_ms);
                        if !lost.is_empty()
                            && let Err(error) = self.announce(&self.counters, &domain).await
                        {
                            tracing::debug!(%error, "holds were not put back");
                        }
                    }
                    Err(error) => tracing::debug!(%error, "leases were not renewed"),
                }
            }
        }
    }

    async fn run_sweeps(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            self.book.sweep(self.time.own_ms());
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
            if self.is_outage() {
                if round.is_multiple_of(FALLBACK_FRESH_ROUNDS) {
                    self.freshen_fallback().await;
                }
                if self.counters.ping().await.is_err() {
                    continue;
                }
                self.answered();
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
        self.book.is_complete() && self.ledger.load(domain, self.time.now().as_millisecond()).await.is_ok()
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
