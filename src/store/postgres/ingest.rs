//! Writing a batch, in one transaction of a few round trips: the rows go in, those that stand already add nothing, and what
//! the new ones come to is written to all tables at once, without waiting for one answer before the next statement is sent.
//!
//! Rows and totals are locked in the order of their keys by every writer, so writers wait for each other but never in a
//! circle.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use deadpool_postgres::{Object, Transaction};
use futures_util::future::{try_join, try_join_all};
use tokio_postgres::error::SqlState;

use super::columns::{parameters, turned, unnest};
use super::error::Failure;
use super::partitions::Partitions;
use crate::store::analytics::RefusalTotal;
use crate::store::entry::Entry;
use crate::store::fold::{Folded, fold};
use crate::store::ledger::Ingested;
use crate::store::outbox::Watched;
use crate::store::rollup::{REFUSALS, Rollup, Then, Written};
use crate::store::row::{self, COLUMNS, Value, count, number};

/// How often a batch that collided with another transaction is sent again before the caller waits longer.
const CONFLICT_RETRIES: u32 = 5;
/// Wait before the first of them; each next one waits twice as long.
const CONFLICT_WAIT: Duration = Duration::from_millis(5);

/// The number of the server's timeline: the first eight hexadecimal digits of its write-ahead log's file name.
const TIMELINE: &str =
    "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int::bigint";
/// The same from a server that hides it.
const NO_TIMELINE: &str = "SELECT 0::bigint";

/// The rows of a batch by their key, month and id: each once, in the order in which they are locked.
type Batch<'a> = BTreeMap<[Value<'a>; 2], &'a Entry>;

/// Writes a batch.
pub(super) async fn ingest(
    client: &mut Object,
    entries: &[Entry],
    partitions: &Partitions,
    timeline: &Timeline,
) -> Result<Ingested, Failure> {
    let timeline = timeline.statement(client).await?;
    let mut batch = Batch::new();
    for entry in entries {
        batch.entry([row::month(&entry.month).into(), Value::Id(entry.id)]).or_insert(entry);
    }
    let mut wait = CONFLICT_WAIT;
    let mut partition_was_missing = false;
    let mut conflicts = 0;
    let (inserted, incarnation) = loop {
        // no row is at fault for a partition that cannot be made: all wait until it can
        partitions
            .ensure(client, batch.keys().map(|[month, _]| month.text()))
            .await
            .map_err(Failure::passing)?;
        match run(client, &batch, timeline).await {
            Err(failure) if failure.is_conflict() && conflicts < CONFLICT_RETRIES => {
                conflicts += 1;
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            Err(failure) if failure.is_partition_missing() && !partition_was_missing => {
                partition_was_missing = true;
                partitions.forget();
            }
            Err(failure) if failure.is_partition_missing() => return Err(failure.passing()),
            result => break result?,
        }
    };
    Ok(Ingested { inserted, duplicates: entries.len() as u64 - inserted, incarnation })
}

/// Returns how many rows went in, and the timeline.
async fn run(client: &mut Object, batch: &Batch<'_>, timeline: &str) -> Result<(u64, u64), Failure> {
    let transaction = client.transaction().await?;
    let (new, incarnation) = try_join(insert(&transaction, batch), async {
        count(transaction.query_one(timeline, &[]).await?.try_get(0)?).map_err(Failure::from)
    })
    .await?;
    let watched = Watched::of(new.iter().copied());
    let mut folded = fold(new.iter().copied());
    while !folded.is_empty() {
        let written = write(&transaction, &folded, !watched.is_empty()).await?;
        folded = folded.after(written, &watched);
    }
    transaction.commit().await?;
    Ok((new.len() as u64, incarnation))
}

/// Writes the rows; returns those that are new.
async fn insert<'a>(transaction: &Transaction<'_>, batch: &Batch<'a>) -> Result<Vec<&'a Entry>, Failure> {
    let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
    let source = unnest(COLUMNS.iter().map(|column| (column.name, column.kind)));
    let statement = format!(
        "INSERT INTO message_logs (ingested_at_ms, {})
         SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, rows.* FROM ({source}) AS rows
         ON CONFLICT (month, id) DO NOTHING RETURNING month, id",
        names.join(", ")
    );
    let statement = transaction.prepare_cached(&statement).await?;
    let columns: Vec<Vec<Value<'_>>> =
        COLUMNS.iter().map(|column| batch.values().map(|entry| (column.of)(entry)).collect()).collect();
    let rows = transaction.query(&statement, &parameters(&columns)).await?;
    let mut new = Vec::with_capacity(rows.len());
    for row in &rows {
        let key: [Value<'_>; 2] = [row.try_get(0)?, row.try_get(1)?];
        new.extend(batch.get(&key).copied());
    }
    Ok(new)
}

/// Adds rows to their tables; returns those whose tables lead to something.
async fn write(
    transaction: &Transaction<'_>,
    folded: &Folded<'_>,
    alerts: bool,
) -> Result<Vec<Written>, Failure> {
    let mut upserts = Vec::new();
    for (rollup, rows) in folded.tables() {
        let returning = match rollup.then {
            Then::Nothing => false,
            Then::Alerts => alerts,
            Then::Day | Then::Week | Then::Month => true,
        };
        let source = unnest(rollup.fields().map(|field| (field.name, field.kind)));
        let statement = transaction.prepare_cached(&rollup.upsert(&source, returning)).await?;
        let rows = rows.iter().map(|(key, values)| key.iter().chain(values));
        upserts.push((rollup, statement, turned(rows, rollup.fields().count())));
    }
    let answers = upserts.iter().map(|(rollup, statement, columns)| async move {
        let rows = transaction.query(statement, &parameters(columns)).await?;
        rows.iter().map(|row| written(rollup, row)).collect::<Result<Vec<_>, Failure>>()
    });
    Ok(try_join_all(answers).await?.concat())
}

fn written(rollup: &'static Rollup, row: &tokio_postgres::Row) -> Result<Written, Failure> {
    let keys = rollup.keys.len();
    let key = (0..keys).map(|at| Ok(row.try_get::<_, Value<'_>>(at)?.into_owned()));
    Ok(Written { rollup, key: key.collect::<Result<_, Failure>>()?, sum: row.try_get(keys)? })
}

/// Notes totals of refusals; a total never goes down.
pub(super) async fn record_refusals(
    client: &mut Object,
    gateway: &str,
    totals: &[RefusalTotal],
) -> Result<(), Failure> {
    let transaction = client.transaction().await?;
    let mut folded = Folded::default();
    for RefusalTotal { day, reason, refused } in totals {
        let key = vec![day.as_str().into(), gateway.into(), (*reason).into()];
        folded.add(&REFUSALS, key, vec![number(*refused).into()]);
    }
    write(&transaction, &folded, false).await?;
    Ok(transaction.commit().await?)
}

/// May the timeline be read here? Found out once.
#[derive(Debug, Default)]
pub(super) struct Timeline(AtomicU8);

const UNASKED: u8 = 0;
const READABLE: u8 = 1;
const HIDDEN: u8 = 2;

impl Timeline {
    async fn statement(&self, client: &Object) -> Result<&'static str, Failure> {
        if self.0.load(Ordering::Relaxed) == UNASKED {
            self.ask(client).await?;
        }
        Ok(if self.0.load(Ordering::Relaxed) == HIDDEN { NO_TIMELINE } else { TIMELINE })
    }

    async fn ask(&self, client: &Object) -> Result<(), Failure> {
        match client.query_one(TIMELINE, &[]).await.map_err(Failure::from) {
            Ok(_) => self.0.store(READABLE, Ordering::Relaxed),
            Err(failure) if is_hidden(&failure) => {
                if self.0.swap(HIDDEN, Ordering::Relaxed) != HIDDEN {
                    tracing::warn!(
                        "this PostgreSQL does not show its timeline: rows that a fail-over loses are not noticed and \
                         not replayed. hint: GRANT EXECUTE ON FUNCTION pg_walfile_name(pg_lsn), pg_current_wal_lsn()"
                    );
                }
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }
}

fn is_hidden(failure: &Failure) -> bool {
    matches!(
        failure.state(),
        Some(
            &SqlState::INSUFFICIENT_PRIVILEGE
                | &SqlState::UNDEFINED_FUNCTION
                | &SqlState::FEATURE_NOT_SUPPORTED
        )
    )
}
