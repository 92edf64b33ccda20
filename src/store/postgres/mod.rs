//! The ledger in PostgreSQL (14 or newer), shared by several gateways. A batch is one statement; a load is one
//! snapshot; months are partitions.
//!
//! It owns the SQL, the pool and the partitions. It must not know who asks, nor what a plan is. The URL holds a
//! password: no error and no log shows it.

mod columns;
mod error;
mod ingest;
mod outbox;
mod partitions;
mod pool;
mod read;
mod schema;
mod session;
mod settings;
mod tls;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::settings::PostgresSettings;

use deadpool_postgres::{Object, Transaction};
use uuid::Uuid;

use self::error::Failure;
use self::ingest::Timeline;
use self::partitions::Partitions;
use self::pool::{Connections, PoolLimit};
use self::session::Pg;
use super::StoreError;
use super::analytics::{Analytics, KnownUser, RefusalTotal};
use super::audit::{AuditFilter, AuditRecord};
use super::day::Day;
use super::entry::Entry;
use super::ledger::{Ingested, Ledger, LedgerTotals, Messages, MonthUsage, ResetRequest, Seen};
use super::timing::Timing;
use super::totals::{BucketTotal, DomainTotals, OwnerEpoch};
use super::{row, sql};
use crate::quota::Domain;

/// The ledger in a PostgreSQL database. Cheap to clone; all clones share one pool.
#[derive(Clone, Debug)]
pub struct PostgresLedger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connections: Connections,
    partitions: Partitions,
    timeline: Timeline,
    timing: Timing,
}

impl PostgresLedger {
    /// Prepares the pool. The server is not called yet, so a gateway can start before it; [`Ledger::ping`] and
    /// [`Ledger::migrate`] call it.
    ///
    /// Fails (permanent) if the URL or a certificate file cannot be read.
    pub fn connect(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let connections = Connections::new(settings).map_err(|failure| failure.during("connect"))?;
        Ok(Self(Arc::new(Inner {
            connections,
            partitions: Partitions::default(),
            timeline: Timeline::default(),
            timing: settings.timing.clone(),
        })))
    }

    /// Makes the partitions of this month and the next three, so that no message waits for one. Call it at start and
    /// once a day. A month that is missing all the same is made when its first row comes.
    pub async fn ensure_partitions(&self, now_ms: i64) -> Result<(), StoreError> {
        let months = partitions::ahead(now_ms);
        self.run("ensure_partitions", PoolLimit::Statement, async |client| {
            self.0.partitions.ensure(client, months.iter().map(String::as_str)).await
        })
        .await
    }

    /// Connections that are open now, at work or not: a gauge for operators.
    pub fn open_connections(&self) -> usize {
        self.0.connections.open_connections()
    }

    /// Ends the connections: the last step of a graceful stop. Later calls fail.
    pub fn close(&self) {
        self.0.connections.close();
    }

    /// Fails unless the tables are exactly those of this version: for a start that must not migrate.
    pub async fn verify_schema(&self) -> Result<(), StoreError> {
        self.run("verify_schema", PoolLimit::Statement, async |client| schema::verify(client).await).await
    }

    /// The audit log in order, after record `after` (0: from the start), at most `max` records.
    pub async fn audit_log(&self, after: i64, max: u32) -> Result<Vec<AuditRecord>, StoreError> {
        self.run("audit_log", PoolLimit::Statement, async |client| {
            sql::audit::log(&Pg(client), after, max).await
        })
        .await
    }
}

impl PostgresLedger {
    async fn run<T>(
        &self,
        operation: &'static str,
        limit: PoolLimit,
        work: impl AsyncFnOnce(&mut Object) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let Inner { connections, timing, .. } = &*self.0;
        let call = async {
            let mut lease = connections.lease().await.map_err(|failure| failure.during(operation))?;
            let result = match lease.client() {
                Ok(client) => connections.within(limit, work(client)).await,
                Err(failure) => Err(failure),
            };
            lease.end(result).map_err(|failure| failure.during(operation))
        };
        timing.of(operation, call).await
    }
}

/// One view of everything, for reading; a standby can give it too. It ends when it is dropped.
async fn snapshot(client: &mut Object, limit: PoolLimit) -> Result<Transaction<'_>, Failure> {
    let level = tokio_postgres::IsolationLevel::RepeatableRead;
    let snapshot = client.build_transaction().isolation_level(level).read_only(true).start().await?;
    if let PoolLimit::Open = limit {
        snapshot.batch_execute("SET LOCAL statement_timeout = 0").await?;
    }
    Ok(snapshot)
}

#[async_trait]
impl Ledger for PostgresLedger {
    async fn migrate(&self) -> Result<(), StoreError> {
        let Inner { connections, timing, .. } = &*self.0;
        let migrate =
            async { schema::migrate(connections).await.map_err(|failure| failure.during("migrate")) };
        timing.of("migrate", migrate).await
    }

    async fn ingest(&self, batch: &[Entry]) -> Result<Ingested, StoreError> {
        let Inner { partitions, timeline, .. } = &*self.0;
        self.run("ingest", PoolLimit::Statement, async |client| {
            ingest::ingest(client, batch, partitions, timeline).await
        })
        .await
    }

    async fn load(&self, domain: &Domain, now_ms: i64) -> Result<DomainTotals, StoreError> {
        let domain = row::domain(domain);
        self.run("load", PoolLimit::Statement, async |client| {
            sql::read::load(&Pg(client), &domain, now_ms).await
        })
        .await
    }

    async fn reset(&self, request: &ResetRequest<'_>) -> Result<OwnerEpoch, StoreError> {
        self.run("reset", PoolLimit::Statement, async |client| {
            let transaction = client.transaction().await?;
            let epoch = sql::audit::reset(&Pg(&transaction), request).await?;
            transaction.commit().await?;
            Ok(epoch)
        })
        .await
    }

    async fn domains_of(&self, user: &str, max: u32) -> Result<Vec<Domain>, StoreError> {
        let user = row::key(user);
        self.run("domains_of", PoolLimit::Statement, async |client| {
            sql::read::domains_of(&Pg(client), &user, max).await
        })
        .await
    }

    async fn last_seen(&self, user: &str) -> Result<Option<Seen>, StoreError> {
        let user = row::key(user);
        self.run("last_seen", PoolLimit::Statement, async |client| {
            sql::read::last_seen(&Pg(client), &user).await
        })
        .await
    }

    async fn messages_since(&self, user: &str, since_ms: i64, but: &[Uuid]) -> Result<Messages, StoreError> {
        let user = row::key(user);
        self.run("messages_since", PoolLimit::Statement, async |client| {
            sql::read::messages_since(&Pg(client), &user, since_ms, but).await
        })
        .await
    }

    async fn history(&self, user: &str, months: u32) -> Result<Vec<MonthUsage>, StoreError> {
        let user = row::key(user);
        self.run("history", PoolLimit::Statement, async |client| {
            sql::read::history(&Pg(client), &user, months).await
        })
        .await
    }

    async fn domains(&self, after: &str, max: u32, now_ms: i64) -> Result<Vec<Domain>, StoreError> {
        let after = row::key(after);
        self.run("domains", PoolLimit::Statement, async |client| {
            sql::read::domains(&Pg(client), &after, max, now_ms).await
        })
        .await
    }

    async fn fold_differences(&self) -> Result<Vec<(BucketTotal, u64)>, StoreError> {
        self.run("fold_differences", PoolLimit::Open, async |client| {
            let snapshot = snapshot(client, PoolLimit::Open).await?;
            read::fold_differences(&snapshot).await
        })
        .await
    }

    async fn totals(&self) -> Result<LedgerTotals, StoreError> {
        self.run("totals", PoolLimit::Open, async |client| {
            let snapshot = snapshot(client, PoolLimit::Open).await?;
            sql::read::totals(&Pg(&snapshot)).await
        })
        .await
    }

    async fn analytics(&self, from: &Day, to: &Day) -> Result<Analytics, StoreError> {
        self.run("analytics", PoolLimit::Statement, async |client| {
            let snapshot = snapshot(client, PoolLimit::Statement).await?;
            sql::analytics::analytics(&Pg(&snapshot), from, to).await
        })
        .await
    }

    async fn users(&self, prefix: &str, after: &str, max: u32) -> Result<Vec<KnownUser>, StoreError> {
        let (prefix, after) = (row::key(prefix), row::key(after));
        self.run("users", PoolLimit::Statement, async |client| {
            sql::analytics::users(&Pg(client), &prefix, &after, max).await
        })
        .await
    }

    async fn record_refusals(&self, gateway: &str, totals: &[RefusalTotal]) -> Result<(), StoreError> {
        self.run("record_refusals", PoolLimit::Statement, async |client| {
            ingest::record_refusals(client, gateway, totals).await
        })
        .await
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        let filter = filter.as_written();
        self.run("audit", PoolLimit::Statement, async |client| sql::audit::page(&Pg(client), &filter).await)
            .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.run("ping", PoolLimit::Statement, async |client| Ok(client.batch_execute("SELECT 1").await?))
            .await
    }
}

#[cfg(test)]
mod tests;
