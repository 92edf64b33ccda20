//! Stores whose calls are timed: the one place where that is done, for counters and ledgers of any kind. It takes two
//! readings of the clock a call and decides nothing. Who wants the times is told by a callback.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::audit::AuditRecord;
use super::{
    Analytics, Announcement, AuditFilter, BucketTotal, Counters, CountersEvent, Day, DomainDump,
    DomainTotals, Entry, Ingested, KnownUser, Ledger, LedgerTotals, Messages, MonthUsage, OwnerEpoch,
    RefusalTotal, Reserve, Reserved, ResetRequest, Seen, Settled, StoreError,
};
use crate::clock::Stopwatch;
use crate::quota::{Charge, Domain, LimitHold};

/// Is told of each call: the operation's name, how long it took, whether it failed. Calls that are dropped half-way are
/// not told.
pub type Observe = Arc<dyn Fn(&'static str, Duration, bool) + Send + Sync>;

/// A store and who is told of its calls.
pub struct Measured<S: ?Sized> {
    inner: Arc<S>,
    observe: Observe,
}

impl<S: ?Sized> Measured<S> {
    /// Times the calls of `inner`.
    pub fn new(inner: Arc<S>, observe: Observe) -> Self {
        Self { inner, observe }
    }

    async fn timed<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let started = Stopwatch::start();
        let answer = call.await;
        (self.observe)(operation, started.elapsed(), answer.is_err());
        answer
    }
}

#[async_trait]
impl Counters for Measured<dyn Counters> {
    async fn reserve(&self, reserve: &mut Reserve<'_>) -> Result<Reserved, StoreError> {
        self.timed("reserve", self.inner.reserve(reserve)).await
    }

    async fn settle(&self, domain: &Domain, rid: Uuid, charges: &[Charge]) -> Result<Settled, StoreError> {
        self.timed("settle", self.inner.settle(domain, rid, charges)).await
    }

    fn settle_now(&self, domain: &Domain, rid: Uuid, charges: &[Charge]) -> Option<Settled> {
        let started = Stopwatch::start();
        let settled = self.inner.settle_now(domain, rid, charges)?;
        (self.observe)("settle", started.elapsed(), false);
        Some(settled)
    }

    async fn renew(&self, domain: &Domain, rids: &[Uuid], lease_ms: u64) -> Result<Vec<Uuid>, StoreError> {
        self.timed("renew", self.inner.renew(domain, rids, lease_ms)).await
    }

    async fn read(&self, domain: &Domain, holds: &mut [LimitHold]) -> Result<Option<i64>, StoreError> {
        self.timed("read", self.inner.read(domain, holds)).await
    }

    async fn rebuild(&self, domain: &Domain, totals: &DomainTotals) -> Result<bool, StoreError> {
        self.timed("rebuild", self.inner.rebuild(domain, totals)).await
    }

    async fn announce(&self, domain: &Domain, announcements: &[Announcement]) -> Result<(), StoreError> {
        self.timed("announce", self.inner.announce(domain, announcements)).await
    }

    async fn open_epoch(&self, domain: &Domain, owner: &OwnerEpoch) -> Result<(), StoreError> {
        self.timed("open_epoch", self.inner.open_epoch(domain, owner)).await
    }

    async fn dump(&self, domain: &Domain) -> Result<Option<DomainDump>, StoreError> {
        self.timed("dump", self.inner.dump(domain)).await
    }

    async fn repair(&self, domain: &Domain, total: &BucketTotal) -> Result<bool, StoreError> {
        self.timed("repair", self.inner.repair(domain, total)).await
    }

    async fn forget(&self, domain: &Domain) -> Result<(), StoreError> {
        self.timed("forget", self.inner.forget(domain)).await
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        self.timed("sweep", self.inner.sweep()).await
    }

    async fn next_event(&self) -> CountersEvent {
        self.inner.next_event().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.timed("ping", self.inner.ping()).await
    }
}

#[async_trait]
impl Ledger for Measured<dyn Ledger> {
    async fn migrate(&self) -> Result<(), StoreError> {
        self.timed("migrate", self.inner.migrate()).await
    }

    async fn ingest(&self, batch: &[Entry]) -> Result<Ingested, StoreError> {
        self.timed("ingest", self.inner.ingest(batch)).await
    }

    async fn load(&self, domain: &Domain, now_ms: i64) -> Result<DomainTotals, StoreError> {
        self.timed("load", self.inner.load(domain, now_ms)).await
    }

    async fn reset(&self, request: &ResetRequest<'_>) -> Result<OwnerEpoch, StoreError> {
        self.timed("reset", self.inner.reset(request)).await
    }

    async fn domains_of(&self, user: &str, max: u32) -> Result<Vec<Domain>, StoreError> {
        self.timed("domains_of", self.inner.domains_of(user, max)).await
    }

    async fn messages_since(&self, user: &str, since_ms: i64, but: &[Uuid]) -> Result<Messages, StoreError> {
        self.timed("messages_since", self.inner.messages_since(user, since_ms, but)).await
    }

    async fn last_seen(&self, user: &str) -> Result<Option<Seen>, StoreError> {
        self.timed("last_seen", self.inner.last_seen(user)).await
    }

    async fn history(&self, user: &str, months: u32) -> Result<Vec<MonthUsage>, StoreError> {
        self.timed("history", self.inner.history(user, months)).await
    }

    async fn domains(&self, after: &str, max: u32, now_ms: i64) -> Result<Vec<Domain>, StoreError> {
        self.timed("domains", self.inner.domains(after, max, now_ms)).await
    }

    async fn fold_differences(&self) -> Result<Vec<(BucketTotal, u64)>, StoreError> {
        self.timed("fold_differences", self.inner.fold_differences()).await
    }

    async fn totals(&self) -> Result<LedgerTotals, StoreError> {
        self.timed("totals", self.inner.totals()).await
    }

    async fn analytics(&self, from: &Day, to: &Day) -> Result<Analytics, StoreError> {
        self.timed("analytics", self.inner.analytics(from, to)).await
    }

    async fn users(&self, prefix: &str, after: &str, max: u32) -> Result<Vec<KnownUser>, StoreError> {
        self.timed("users", self.inner.users(prefix, after, max)).await
    }

    async fn record_refusals(&self, gateway: &str, totals: &[RefusalTotal]) -> Result<(), StoreError> {
        self.timed("record_refusals", self.inner.record_refusals(gateway, totals)).await
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        self.timed("audit", self.inner.audit(filter)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.timed("ping", self.inner.ping()).await
    }
}

#[cfg(test)]
mod tests;
