//! The ledger in one SQLite file, for a gateway that stands alone. WAL and `synchronous = FULL`: what was acknowledged
//! survives a power cut. One connection writes, one reads, a look at the whole ledger
//! opens its own; all work on blocking threads.
//!
//! It owns the SQL. It must not know who asks, nor what a plan is.

mod error;
mod ingest;
mod outbox;
mod read;
mod schema;
mod session;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use uuid::Uuid;

use self::error::{SqliteFailure, permanent};
use self::session::{Lite, at_once};
use super::analytics::{Analytics, KnownUser, RefusalTotal};
use super::audit::{Audit, AuditFilter, AuditRecord};
use super::day::Day;
use super::entry::Entry;
use super::ledger::{Ingested, Ledger, LedgerTotals, Messages, MonthUsage, ResetRequest, Seen};
use super::timing::Timing;
use super::totals::{BucketTotal, DomainTotals, OwnerEpoch};
use super::{StoreError, row, sql};
use crate::quota::Domain;

/// How long a statement waits for another process's lock: a backup or `tollgate usage` beside a running gateway.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements that a connection keeps prepared: more than all that one batch runs, or each batch would prepare all anew.
const STATEMENTS_MAX: usize = 64;

/// The writer's page cache: all pages that a batch of some thousand rows touches, or SQLite writes them twice.
const CACHE_KIB: i64 = 64 << 10;
/// Pages in the write-ahead log after which a commit copies them into the database, 80 MB: a page that many batches change
/// is copied once.
const CHECKPOINT_PAGES: i64 = 20_000;

/// The ledger in a SQLite file. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SqliteLedger {
    path: Arc<Path>,
    writer: Arc<Mutex<Connection>>,
    reader: Arc<Mutex<Connection>>,
    timing: Timing,
}

impl SqliteLedger {
    /// Opens or creates the file; its folder must stand. The tables are made by [`Ledger::migrate`].
    ///
    /// Blocks for a moment. Fails if the path cannot be written, the file is no database, is locked by another program
    /// for more than 5 s (transient), or was written by a newer version of this program.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let (writer, reader) = connections(path).map_err(|refusal| refusal.at(path))?;
        let (writer, reader) = (Arc::new(Mutex::new(writer)), Arc::new(Mutex::new(reader)));
        Ok(Self { path: path.into(), writer, reader, timing: Timing::default() })
    }

    /// The same ledger, whose calls are told.
    #[must_use]
    pub fn timed(self, timing: Timing) -> Self {
        Self { timing, ..self }
    }

    /// Fails unless the tables are exactly those of this version: for a start that must not migrate.
    pub async fn verify_schema(&self) -> Result<(), StoreError> {
        self.read("verify_schema", |db| schema::verify(db)).await
    }

    /// The audit log in order, after record `after` (0: from the start), at most `max` records.
    pub async fn audit_log(&self, after: i64, max: u32) -> Result<Vec<AuditRecord>, StoreError> {
        self.read("audit_log", move |db| at_once(sql::audit::log(&Lite(db), after, max))).await
    }

    async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, SqliteFailure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.timing.of(operation, on_thread(self.writer.clone(), operation, work)).await
    }

    /// Changes rows in a transaction of their own.
    async fn change<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Lite<'_>) -> Result<T, SqliteFailure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write(operation, move |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&Lite(&transaction))?;
            transaction.commit()?;
            Ok(result)
        })
        .await
    }

    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, SqliteFailure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.timing.of(operation, on_thread(self.reader.clone(), operation, work)).await
    }

    /// Reads the whole ledger on a connection of its own, so that loads need not wait for it.
    async fn scan<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, SqliteFailure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let path = self.path.clone();
        let scan = move || {
            reader(&path).and_then(|mut db| work(&mut db)).map_err(|refusal| refusal.during(operation))
        };
        let scanned = async {
            let scanning = tokio::task::spawn_blocking(scan).await;
            scanning.unwrap_or_else(|stopped| Err(permanent(operation, stopped)))
        };
        self.timing.of(operation, scanned).await
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn migrate(&self) -> Result<(), StoreError> {
        self.write("migrate", schema::migrate).await
    }

    async fn ingest(&self, batch: &[Entry]) -> Result<Ingested, StoreError> {
        // The blocking thread needs its own copy: it may outlive a caller that stops waiting.
        let batch = batch.to_vec();
        self.write("ingest", move |db| ingest::ingest(db, &batch)).await
    }

    async fn load(&self, domain: &Domain, now_ms: i64) -> Result<DomainTotals, StoreError> {
        let domain = row::domain(domain).into_owned();
        self.read("load", move |db| at_once(sql::read::load(&Lite(db), &domain, now_ms))).await
    }

    async fn reset(&self, request: &ResetRequest<'_>) -> Result<OwnerEpoch, StoreError> {
        let (domain, owner_key) = (request.domain.clone(), request.owner_key.to_owned());
        let (now_ms, texts) = (request.now_ms, request.audit.texts());
        self.change("reset", move |session| {
            let audit = Audit::of(&texts);
            let request = ResetRequest { domain: &domain, owner_key: &owner_key, now_ms, audit };
            at_once(sql::audit::reset(session, &request))
        })
        .await
    }

    async fn domains_of(&self, user: &str, max: u32) -> Result<Vec<Domain>, StoreError> {
        let user = row::key(user).into_owned();
        self.read("domains_of", move |db| at_once(sql::read::domains_of(&Lite(db), &user, max))).await
    }

    async fn last_seen(&self, user: &str) -> Result<Option<Seen>, StoreError> {
        let user = row::key(user).into_owned();
        self.read("last_seen", move |db| at_once(sql::read::last_seen(&Lite(db), &user))).await
    }

    async fn messages_since(&self, user: &str, since_ms: i64, but: &[Uuid]) -> Result<Messages, StoreError> {
        let (user, but) = (row::key(user).into_owned(), but.to_vec());
        self.read("messages_since", move |db| {
            at_once(sql::read::messages_since(&Lite(db), &user, since_ms, &but))
        })
        .await
    }

    async fn history(&self, user: &str, months: u32) -> Result<Vec<MonthUsage>, StoreError> {
        let user = row::key(user).into_owned();
        self.read("history", move |db| at_once(sql::read::history(&Lite(db), &user, months))).await
    }

    async fn domains(&self, after: &str, max: u32, now_ms: i64) -> Result<Vec<Domain>, StoreError> {
        let after = row::key(after).into_owned();
        self.read("domains", move |db| at_once(sql::read::domains(&Lite(db), &after, max, now_ms))).await
    }

    async fn fold_differences(&self) -> Result<Vec<(BucketTotal, u64)>, StoreError> {
        self.scan("fold_differences", read::fold_differences).await
    }

    async fn totals(&self) -> Result<LedgerTotals, StoreError> {
        self.scan("totals", |db| at_once(sql::read::totals(&Lite(db)))).await
    }

    async fn analytics(&self, from: &Day, to: &Day) -> Result<Analytics, StoreError> {
        let (from, to) = (from.clone(), to.clone());
        self.scan("analytics", move |db| {
            let snapshot = db.transaction()?;
            at_once(sql::analytics::analytics(&Lite(&snapshot), &from, &to))
        })
        .await
    }

    async fn users(&self, prefix: &str, after: &str, max: u32) -> Result<Vec<KnownUser>, StoreError> {
        let (prefix, after) = (row::key(prefix).into_owned(), row::key(after).into_owned());
        self.scan("users", move |db| at_once(sql::analytics::users(&Lite(db), &prefix, &after, max))).await
    }

    async fn record_refusals(&self, gateway: &str, totals: &[RefusalTotal]) -> Result<(), StoreError> {
        let (gateway, totals) = (gateway.to_owned(), totals.to_vec());
        self.write("record_refusals", move |db| ingest::record_refusals(db, &gateway, &totals)).await
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        let filter = filter.as_written();
        self.read("audit", move |db| at_once(sql::audit::page(&Lite(db), &filter))).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // An empty write transaction: a file that has become read-only or locked answers here.
        self.write("ping", |db| Ok(db.transaction_with_behavior(TransactionBehavior::Immediate)?.commit()?))
            .await
    }
}

async fn on_thread<T: Send + 'static>(
    connection: Arc<Mutex<Connection>>,
    operation: &'static str,
    work: impl FnOnce(&mut Connection) -> Result<T, SqliteFailure> + Send + 'static,
) -> Result<T, StoreError> {
    let work = move || {
        // A panic elsewhere rolled its transaction back when it unwound: the connection is sound.
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut connection).map_err(|refusal| refusal.during(operation))
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| Err(permanent(operation, stopped)))
}

fn connections(path: &Path) -> Result<(Connection, Connection), SqliteFailure> {
    let writer = Connection::open(path)?;
    writer.busy_timeout(BUSY_TIMEOUT)?;
    writer.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    let mode: String = writer.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(SqliteFailure::Stays(format!("no write-ahead log in this place (mode `{mode}`)")));
    }
    writer.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    writer.pragma_update(None, "cache_size", -CACHE_KIB)?;
    writer.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    // Nothing written so far may have needed write permission: ask for it now, not at the first message.
    writer.execute_batch("BEGIN IMMEDIATE; COMMIT;")?;
    schema::refuse_newer(&writer)?;
    Ok((writer, reader(path)?))
}

fn reader(path: &Path) -> Result<Connection, SqliteFailure> {
    let reader = Connection::open_with_flags(path, OpenFlags::default() & !OpenFlags::SQLITE_OPEN_CREATE)?;
    reader.busy_timeout(BUSY_TIMEOUT)?;
    reader.execute_batch("PRAGMA query_only = ON;")?;
    Ok(reader)
}

#[cfg(test)]
mod tests;
