//! A ledger in memory that can be told to misbehave.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Mutex;

use async_trait::async_trait;
use uuid::Uuid;

use crate::quota::Domain;
use crate::store::{
    Analytics, AuditFilter, Day, DomainTotals, Entry, Ingested, Ledger, LedgerTotals, MonthUsage, OwnerEpoch,
    RefusalTotal, ResetRequest, Seen, StoreError, StoreKind,
};

/// What the next ingest does instead of its work.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mishap {
    /// Fails before anything is written.
    Unreachable,
    /// Writes everything and loses the answer.
    AnswerLost,
}

#[derive(Default)]
pub(super) struct FakeLedger {
    pub(super) state: Mutex<FakeState>,
}

#[derive(Default)]
pub(super) struct FakeState {
    pub(super) rows: BTreeMap<Uuid, Entry>,
    pub(super) batches: Vec<usize>,
    pub(super) mishaps: VecDeque<Mishap>,
    pub(super) down: bool,
    /// It goes down by itself after so many more batches.
    pub(super) batches_until_down: Option<usize>,
    /// Rows that are refused for good, with the batch they are in.
    pub(super) bad: HashSet<Uuid>,
    /// The table is missing: everything is refused for good.
    pub(super) broken: bool,
    /// It is mended by itself after so many more batches.
    pub(super) batches_until_mended: Option<usize>,
    pub(super) incarnation: u64,
}

impl FakeLedger {
    pub(super) fn edit<T>(&self, change: impl FnOnce(&mut FakeState) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }
}

fn unused<T>(operation: &'static str) -> Result<T, StoreError> {
    Err(StoreError::permanent(StoreKind::Sqlite, operation, "not part of this test"))
}

#[async_trait]
impl Ledger for FakeLedger {
    async fn ingest(&self, batch: &[Entry]) -> Result<Ingested, StoreError> {
        let mut state = self.state.lock().unwrap();
        state.batches.push(batch.len());
        let mishap = state.mishaps.pop_front();
        match &mut state.batches_until_down {
            Some(0) => state.down = true,
            Some(left) => *left -= 1,
            None => {}
        }
        match &mut state.batches_until_mended {
            Some(0) => state.broken = false,
            Some(left) => *left -= 1,
            None => {}
        }
        if state.down || matches!(mishap, Some(Mishap::Unreachable)) {
            return Err(StoreError::transient(StoreKind::Sqlite, "ingest", "connection refused"));
        }
        if state.broken || batch.iter().any(|entry| state.bad.contains(&entry.id)) {
            return Err(StoreError::permanent(StoreKind::Sqlite, "ingest", "violates a constraint"));
        }
        let before = state.rows.len();
        for entry in batch {
            state.rows.entry(entry.id).or_insert_with(|| entry.clone());
        }
        let inserted = (state.rows.len() - before) as u64;
        if matches!(mishap, Some(Mishap::AnswerLost)) {
            return Err(StoreError::transient(StoreKind::Sqlite, "ingest", "connection reset"));
        }
        let duplicates = batch.len() as u64 - inserted;
        Ok(Ingested { inserted, duplicates, incarnation: state.incarnation })
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        unused("migrate")
    }
    async fn load(&self, _: &Domain, _: i64) -> Result<DomainTotals, StoreError> {
        unused("load")
    }
    async fn reset(&self, _: &ResetRequest<'_>) -> Result<OwnerEpoch, StoreError> {
        unused("reset")
    }
    async fn domains_of(&self, _: &str, _: u32) -> Result<Vec<Domain>, StoreError> {
        unused("domains_of")
    }
    async fn last_seen(&self, _: &str) -> Result<Option<Seen>, StoreError> {
        unused("last_seen")
    }
    async fn messages_since(
        &self,
        _: &str,
        _: i64,
        _: &[uuid::Uuid],
    ) -> Result<crate::store::Messages, StoreError> {
        unused("messages_since")
    }

    async fn history(&self, _: &str, _: u32) -> Result<Vec<MonthUsage>, StoreError> {
        unused("history")
    }
    async fn domains(&self, _: &str, _: u32, _: i64) -> Result<Vec<Domain>, StoreError> {
        unused("domains")
    }
    async fn fold_differences(&self) -> Result<Vec<(crate::store::BucketTotal, u64)>, StoreError> {
        unused("fold_differences")
    }
    async fn totals(&self) -> Result<LedgerTotals, StoreError> {
        unused("totals")
    }
    async fn analytics(&self, _: &Day, _: &Day) -> Result<Analytics, StoreError> {
        unused("analytics")
    }
    async fn users(&self, _: &str, _: &str, _: u32) -> Result<Vec<crate::store::KnownUser>, StoreError> {
        unused("users")
    }
    async fn record_refusals(&self, _: &str, _: &[RefusalTotal]) -> Result<(), StoreError> {
        unused("record_refusals")
    }
    async fn audit(&self, _: &AuditFilter) -> Result<Vec<crate::store::audit::AuditRecord>, StoreError> {
        unused("audit")
    }
    async fn ping(&self) -> Result<(), StoreError> {
        unused("ping")
    }
}
