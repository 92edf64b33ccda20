//! Counters that are not connected yet. A gateway that starts while its counter store is away serves by its outage
//! policy; until the connection stands, every call is a transient failure.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{
    Announcement, BucketTotal, Counters, CountersEvent, DomainDump, DomainTotals, OwnerEpoch, Reserve,
    Reserved, Settled, StoreError, StoreKind,
};
use crate::quota::{Charge, Domain, LimitHold};

/// Pause between attempts to connect.
const RETRY: Duration = Duration::from_secs(1);

/// How often a waiter for news looks whether the connection stands.
const LOOK: Duration = Duration::from_millis(200);

/// See the file's header.
pub struct LateCounters {
    ready: Arc<OnceCell<Arc<dyn Counters>>>,
}

impl LateCounters {
    /// Begins to connect, and goes on until it succeeds or fails for good.
    pub fn connect<C, F>(connect: C) -> Self
    where
        C: Fn() -> F + Send + 'static,
        F: Future<Output = Result<Arc<dyn Counters>, StoreError>> + Send,
    {
        let ready = Arc::new(OnceCell::new());
        let slot = Arc::clone(&ready);
        tokio::spawn(async move {
            loop {
                match connect().await {
                    Ok(counters) => {
                        tracing::info!("the counters are connected");
                        if slot.set(counters).is_err() {
                            tracing::error!("the counters were connected twice");
                        }
                        return;
                    }
                    Err(error) => tracing::warn!(%error, "the counters could not be connected"),
                }
                tokio::time::sleep(RETRY).await;
            }
        });
        Self { ready }
    }

    fn get(&self, operation: &'static str) -> Result<&Arc<dyn Counters>, StoreError> {
        self.ready.get().ok_or_else(|| {
            StoreError::transient(StoreKind::Redis, operation, "not connected since the start")
        })
    }
}

#[async_trait]
impl Counters for LateCounters {
    async fn reserve(&self, reserve: &mut Reserve<'_>) -> Result<Reserved, StoreError> {
        self.get("reserve")?.reserve(reserve).await
    }

    async fn settle(&self, domain: &Domain, rid: Uuid, charges: &[Charge]) -> Result<Settled, StoreError> {
        self.get("settle")?.settle(domain, rid, charges).await
    }

    async fn renew(&self, domain: &Domain, rids: &[Uuid], lease_ms: u64) -> Result<Vec<Uuid>, StoreError> {
        self.get("renew")?.renew(domain, rids, lease_ms).await
    }

    async fn read(&self, domain: &Domain, holds: &mut [LimitHold]) -> Result<Option<i64>, StoreError> {
        self.get("read")?.read(domain, holds).await
    }

    async fn rebuild(&self, domain: &Domain, totals: &DomainTotals) -> Result<bool, StoreError> {
        self.get("rebuild")?.rebuild(domain, totals).await
    }

    async fn announce(&self, domain: &Domain, announcements: &[Announcement]) -> Result<(), StoreError> {
        self.get("announce")?.announce(domain, announcements).await
    }

    async fn open_epoch(&self, domain: &Domain, owner: &OwnerEpoch) -> Result<(), StoreError> {
        self.get("open_epoch")?.open_epoch(domain, owner).await
    }

    async fn dump(&self, domain: &Domain) -> Result<Option<DomainDump>, StoreError> {
        self.get("dump")?.dump(domain).await
    }

    async fn repair(&self, domain: &Domain, total: &BucketTotal) -> Result<bool, StoreError> {
        self.get("repair")?.repair(domain, total).await
    }

    async fn forget(&self, domain: &Domain) -> Result<(), StoreError> {
        self.get("forget")?.forget(domain).await
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        self.get("sweep")?.sweep().await
    }

    async fn next_event(&self) -> CountersEvent {
        loop {
            if let Some(counters) = self.ready.get() {
                return counters.next_event().await;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.get("ping")?.ping().await
    }

    async fn close(&self) {
        if let Some(counters) = self.ready.get() {
            counters.close().await;
        }
    }
}
