//! Loading a cold domain: totals from one snapshot of the ledger, then what this gateway knows and the ledger may not.
//! Flush, eviction, restart, fail-over and a new user are all this one case.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::StreamExt;

use super::Gate;
use crate::quota::Domain;
use crate::store::{Counters, CountersEvent, StoreError, StoreKind};

/// One load of a domain at a time in this process.
#[derive(Default)]
pub(super) struct Loads(Mutex<HashMap<Domain, Weak<tokio::sync::Mutex<()>>>>);

/// Domains made cold at once after a crash.
const DISTRUST_AT_ONCE: usize = 64;

/// Locks that nobody holds any more are swept when there are this many.
const LOCKS_MAX: usize = 10_000;

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

impl Gate {
    /// Loads a cold domain. Several callers at once load it once.
    ///
    /// # Errors
    /// The ledger's or the counters'; or that the backlog of ended requests is too long to be sure of the totals.
    pub(super) async fn load(&self, counters: &Arc<dyn Counters>, domain: &Domain) -> Result<(), StoreError> {
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
        let totals = self.ledger.load(domain, self.now().as_millisecond()).await?;
        if counters.rebuild(domain, &totals).await? {
            self.counts.rebuilds.fetch_add(1, Ordering::Relaxed);
        }
        // read after the snapshot: what the ledger took meanwhile is a tombstone or still known here
        counters.announce(domain, &self.book.announcements(domain, self.clock.now_ms())).await
    }

    /// After a run that was killed: its last ENDs may have reached the ledger and never the counters. These domains are
    /// made cold, so that the next request loads them; those that cannot be now are mended later.
    pub async fn distrust(&self, domains: &[String]) {
        let forgotten = futures_util::stream::iter(domains).map(|domain| async move {
            let domain = Domain::from_text(domain);
            if let Err(error) = self.counters.forget(&domain).await {
                tracing::debug!(%error, "a domain could not be made cold yet");
                self.book.mark_dirty(domain);
            }
        });
        forgotten.buffer_unordered(DISTRUST_AT_ONCE).for_each(|()| std::future::ready(())).await;
    }

    /// Answers the counters' news with announcements, for ever.
    pub(super) async fn run_announcements(&self) {
        loop {
            let domains = match self.counters.next_event().await {
                CountersEvent::Rebuilt(domain) => vec![domain],
                CountersEvent::Reconnected => self.book.domains(),
            };
            for domain in domains {
                let known = self.book.announcements(&domain, self.clock.now_ms());
                if let Err(error) = self.counters.announce(&domain, &known).await {
                    tracing::warn!(%error, "could not announce the requests of a domain");
                    self.book.mark_dirty(domain);
                }
            }
        }
    }
}
