//! Memory counters that fail, forget or lose replies on command.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use uuid::Uuid;

use crate::quota::{Charge, Domain, LimitHold};
use crate::store::memory::MemoryCounters;
use crate::store::{
    Announcement, BucketTotal, Counters, DomainDump, DomainTotals, OwnerEpoch, Reserve, Reserved, Settled,
    StoreError, StoreKind,
};

/// See the file's header.
pub struct Faulty {
    inner: MemoryCounters,
    down: AtomicBool,
    late: AtomicBool,
    cold: AtomicBool,
}

impl Faulty {
    pub fn new(inner: MemoryCounters) -> Self {
        let off = AtomicBool::default;
        Self { inner, down: off(), late: off(), cold: off() }
    }

    /// From now on every call fails, or works again.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// From now on reserves take effect, but their answers come too late.
    pub fn set_late(&self, late: bool) {
        self.late.store(late, Ordering::SeqCst);
    }

    /// From now on every domain is cold to a reserve, however often it is loaded.
    pub fn set_cold(&self, cold: bool) {
        self.cold.store(cold, Ordering::SeqCst);
    }

    fn check(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::transient(StoreKind::Memory, operation, "switched off by the test"));
        }
        Ok(())
    }
}

#[async_trait]
impl Counters for Faulty {
    async fn reserve(&self, reserve: &mut Reserve<'_>) -> Result<Reserved, StoreError> {
        self.check("reserve")?;
        if self.cold.load(Ordering::SeqCst) {
            return Ok(Reserved::Cold);
        }
        let answer = self.inner.reserve(reserve).await;
        if self.late.load(Ordering::SeqCst) {
            return Err(StoreError::late(StoreKind::Memory, "reserve", "made late by the test"));
        }
        answer
    }

    async fn settle(&self, domain: &Domain, rid: Uuid, charges: &[Charge]) -> Result<Settled, StoreError> {
        self.check("settle")?;
        self.inner.settle(domain, rid, charges).await
    }

    async fn renew(&self, domain: &Domain, rids: &[Uuid], lease_ms: u64) -> Result<Vec<Uuid>, StoreError> {
        self.check("renew")?;
        self.inner.renew(domain, rids, lease_ms).await
    }

    async fn read(&self, domain: &Domain, holds: &mut [LimitHold]) -> Result<Option<i64>, StoreError> {
        self.check("read")?;
        self.inner.read(domain, holds).await
    }

    async fn rebuild(&self, domain: &Domain, totals: &DomainTotals) -> Result<bool, StoreError> {
        self.check("rebuild")?;
        self.inner.rebuild(domain, totals).await
    }

    async fn announce(&self, domain: &Domain, announcements: &[Announcement]) -> Result<(), StoreError> {
        self.check("announce")?;
        self.inner.announce(domain, announcements).await
    }

    async fn open_epoch(&self, domain: &Domain, owner: &OwnerEpoch) -> Result<(), StoreError> {
        self.check("open_epoch")?;
        self.inner.open_epoch(domain, owner).await
    }

    async fn dump(&self, domain: &Domain) -> Result<Option<DomainDump>, StoreError> {
        self.check("dump")?;
        self.inner.dump(domain).await
    }

    async fn repair(&self, domain: &Domain, total: &BucketTotal) -> Result<bool, StoreError> {
        self.check("repair")?;
        self.inner.repair(domain, total).await
    }

    async fn forget(&self, domain: &Domain) -> Result<(), StoreError> {
        self.check("forget")?;
        self.inner.forget(domain).await
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        self.check("sweep")?;
        self.inner.sweep().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.check("ping")
    }
}
