//! Counters inside the process: for one gateway that needs no server.
//!
//! Owns the shards, the locks and the bounds on memory; `domain` does the arithmetic. A restart makes every domain cold,
//! and the ledger and journal load it again. It must not know policy.

mod domain;
pub(crate) mod gcra;
pub(crate) mod holds;
mod repeats;

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;

use self::domain::DomainState;
use self::holds::check_holds;
use super::timing::Timing;
use super::{
    Announcement, BucketTotal, Counters, DomainDump, DomainTotals, OwnerEpoch, Reserve, Reserved, Settled,
    StoreError, StoreKind,
};
use crate::clock::{Clock, Stopwatch};
use crate::quota::{Charge, Domain, LimitHold};

/// Locks: many more than cores, so that two requests rarely meet on one.
const SHARDS: usize = 64;
/// Domains kept at once (about 1 KiB each). Over it an idle one makes room; one with holds never does.
const MAX_DOMAINS: usize = 1_000_000;
/// A domain without holds that nobody used for this long becomes cold at the next sweep.
const IDLE_MS: i64 = 3_600_000;
/// How many domains of a full shard are looked at to find the one that is idle longest.
const EVICTION_SAMPLE: usize = 32;

/// Counters in memory.
#[derive(Debug)]
pub struct MemoryCounters {
    clock: Clock,
    timing: Timing,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
    max_domains_per_shard: usize,
}

type Shard = HashMap<Domain, DomainState>;

impl MemoryCounters {
    /// Empty counters: every domain is cold.
    pub fn new(clock: Clock) -> Self {
        Self::with_max_domains(clock, MAX_DOMAINS)
    }

    fn with_max_domains(clock: Clock, max_domains: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self {
            clock,
            timing: Timing::default(),
            hasher: RandomState::new(),
            shards,
            max_domains_per_shard: max_domains.div_ceil(SHARDS),
        }
    }

    /// The same counters, whose calls are told.
    #[must_use]
    pub fn timed(self, timing: Timing) -> Self {
        Self { timing, ..self }
    }

    fn shard(&self, domain: &Domain) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(domain);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        lock(&self.shards[index])
    }

    /// Runs `act` on the domain under its lock; `None` if it is cold.
    fn with<T>(
        &self,
        operation: &'static str,
        domain: &Domain,
        act: impl FnOnce(&mut DomainState) -> T,
    ) -> Option<T> {
        let started = Stopwatch::start();
        let done = self.shard(domain).get_mut(domain).map(act);
        self.timing.tell(operation, started, false);
        done
    }

    /// Loads a cold domain. Returns false if it is warm.
    fn load(&self, domain: &Domain, totals: &DomainTotals) -> Result<bool, StoreError> {
        let now_ms = self.clock.now_ms();
        let mut shard = self.shard(domain);
        if shard.len() >= self.max_domains_per_shard && !shard.contains_key(domain) {
            evict_idle(&mut shard)?;
        }
        match shard.entry(domain.clone()) {
            Entry::Occupied(_) => Ok(false),
            Entry::Vacant(place) => {
                place.insert(DomainState::load(totals, now_ms));
                Ok(true)
            }
        }
    }

    fn settled(&self, domain: &Domain, rid: Uuid, charges: &[Charge]) -> Settled {
        let now_ms = self.clock.now_ms();
        self.with("settle", domain, |state| state.settle(rid, charges, now_ms)).unwrap_or(Settled::Cold)
    }
}

#[async_trait]
impl Counters for MemoryCounters {
    async fn reserve(&self, reserve: &mut Reserve<'_>) -> Result<Reserved, StoreError> {
        check_holds(StoreKind::Memory, reserve.holds)?;
        let at_us = self.clock.now_us();
        let reserved = self.with("reserve", reserve.domain, |state| state.reserve(reserve, at_us));
        Ok(reserved.unwrap_or(Reserved::Cold))
    }

    async fn settle(&self, domain: &Domain, rid: Uuid, charges: &[Charge]) -> Result<Settled, StoreError> {
        Ok(self.settled(domain, rid, charges))
    }

    fn settle_now(&self, domain: &Domain, rid: Uuid, charges: &[Charge]) -> Option<Settled> {
        Some(self.settled(domain, rid, charges))
    }

    async fn renew(&self, domain: &Domain, rids: &[Uuid], lease_ms: u64) -> Result<Vec<Uuid>, StoreError> {
        let now_ms = self.clock.now_ms();
        let gone = self.with("renew", domain, |state| {
            rids.iter().copied().filter(|&rid| !state.renew(rid, lease_ms, now_ms)).collect()
        });
        Ok(gone.unwrap_or_else(|| rids.to_vec()))
    }

    async fn read(&self, domain: &Domain, holds: &mut [LimitHold]) -> Result<Option<i64>, StoreError> {
        let at_us = self.clock.now_us();
        Ok(self.with("read", domain, |state| state.read(holds, at_us)))
    }

    async fn rebuild(&self, domain: &Domain, totals: &DomainTotals) -> Result<bool, StoreError> {
        self.timing.of("rebuild", async { self.load(domain, totals) }).await
    }

    async fn announce(&self, domain: &Domain, announcements: &[Announcement]) -> Result<(), StoreError> {
        let now_ms = self.clock.now_ms();
        self.with("announce", domain, |state| announcements.iter().for_each(|it| state.announce(it, now_ms)));
        Ok(())
    }

    async fn open_epoch(&self, domain: &Domain, owner: &OwnerEpoch) -> Result<(), StoreError> {
        self.with("open_epoch", domain, |state| state.open_epoch(owner));
        Ok(())
    }

    async fn dump(&self, domain: &Domain) -> Result<Option<DomainDump>, StoreError> {
        let now_ms = self.clock.now_ms();
        Ok(self.with("dump", domain, |state| state.dump(now_ms)))
    }

    async fn repair(&self, domain: &Domain, total: &BucketTotal) -> Result<bool, StoreError> {
        let now_ms = self.clock.now_ms();
        Ok(self.with("repair", domain, |state| state.repair(total, now_ms)).unwrap_or(false))
    }

    async fn forget(&self, domain: &Domain) -> Result<(), StoreError> {
        self.shard(domain).remove(domain);
        Ok(())
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        let (started, mut given_back) = (Stopwatch::start(), 0);
        for shard in &self.shards {
            let at_us = self.clock.now_us();
            let now_ms = at_us / 1_000;
            lock(shard).retain(|_, state| {
                given_back += state.reap(now_ms);
                state.clean(at_us);
                state.has_holds() || now_ms - state.last_used_ms < IDLE_MS
            });
            // a large sweep must not keep this worker's other tasks waiting
            tokio::task::yield_now().await;
        }
        self.timing.tell("sweep", started, false);
        Ok(given_back)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Makes room in a full shard: of a sample, the domain without holds that is idle longest becomes cold.
fn evict_idle(shard: &mut Shard) -> Result<(), StoreError> {
    let idle = shard
        .iter()
        .filter(|(_, state)| !state.has_holds())
        .take(EVICTION_SAMPLE)
        .min_by_key(|(_, state)| state.last_used_ms)
        .map(|(domain, _)| domain.clone());
    let Some(domain) = idle else {
        let message = "every domain in memory has requests in flight";
        return Err(StoreError::transient(StoreKind::Memory, "rebuild", message));
    };
    shard.remove(&domain);
    Ok(())
}

/// A panic elsewhere must not stop all callers of the shard.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
