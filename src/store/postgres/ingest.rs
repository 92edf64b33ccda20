//! Writing a batch: one statement, so one round trip and one transaction. Rows that stand already add nothing; only those
//! that really went in are summed and added to the totals and the roll-ups.
//!
//! Rows and totals are locked in the order of their keys by every writer, so writers wait for each other but never in a
//! circle.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;

use super::columns::{COLUMNS, Columns};
use super::error::Failure;
use super::outbox;
use super::partitions::Partitions;
use super::rollup::{self, RETURNED};
use crate::store::ledger::Ingested;
use crate::store::row::count;

/// How often a statement that collided with another transaction is sent again before the caller waits longer.
const CONFLICT_RETRIES: u32 = 5;
/// Wait before the first of them; each next one waits twice as long.
const CONFLICT_WAIT: Duration = Duration::from_millis(5);

/// The number of the server's timeline: the first eight hexadecimal digits of its write-ahead log's file name.
const TIMELINE: &str = "('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int::bigint";

/// The statement: as it is, and without the timeline.
static INGEST: LazyLock<[String; 2]> =
    LazyLock::new(|| [statement(TIMELINE, ""), statement("0::bigint", "")]);
/// The same for batches of which a request's limits have thresholds.
static INGEST_ALERTS: LazyLock<[String; 2]> = LazyLock::new(|| {
    let alerted = outbox::alerted(COLUMNS.len() + 1);
    [statement(TIMELINE, &alerted), statement("0::bigint", &alerted)]
});

pub(super) fn statement(timeline: &str, alerted: &str) -> String {
    let list = |each: &dyn Fn(usize, &(&str, &str)) -> String| {
        COLUMNS.iter().enumerate().map(|(at, column)| each(at, column)).collect::<Vec<_>>().join(", ")
    };
    let names = list(&|_, (name, _)| (*name).to_owned());
    let arrays = list(&|at, (_, kind)| format!("${}::{kind}[]", at + 1));
    let values = list(&|_, (name, _)| match *name {
        "charges" | "model_groups" => format!("{name}::jsonb"),
        name => name.to_owned(),
    });
    let rollups = rollup::parts();
    format!(
        "WITH incoming AS (
            SELECT * FROM unnest({arrays}) AS incoming ({names})
        ), inserted AS (
            INSERT INTO message_logs ({names}, ingested_at_ms)
            SELECT {values}, (extract(epoch FROM clock_timestamp()) * 1000)::bigint
            FROM incoming ORDER BY month COLLATE \"C\", id
            ON CONFLICT (month, id) DO NOTHING
            RETURNING domain, charges, {RETURNED}
        ), deltas AS (
            {FOLD} FROM inserted AS log {CHARGES}
        ), added AS (
            INSERT INTO user_usage AS stored
                (domain, scope, owner, limit_name, period, epoch, period_start_ms, period_end_ms, used)
            SELECT domain, scope, owner, limit_name, period, epoch, period_start_ms, period_end_ms, used
            FROM deltas ORDER BY domain, scope, owner, limit_name, period, epoch
            ON CONFLICT (domain, scope, owner, limit_name, period, epoch) DO UPDATE
                SET used = least(stored.used::numeric + excluded.used, {AMOUNT_MAX})::bigint
            RETURNING stored.domain, stored.scope, stored.owner, stored.limit_name, stored.period, stored.epoch, stored.used
        ), {alerted} {rollups}
        SELECT (SELECT count(*) FROM inserted), {timeline}"
    )
}

/// Sums charges by bucket and epoch; the amount stops at the largest `bigint`.
pub(super) const FOLD: &str = "SELECT log.domain,
        (charge ->> 0) COLLATE \"C\" AS scope, (charge ->> 1) COLLATE \"C\" AS owner,
        (charge ->> 2) COLLATE \"C\" AS limit_name, (charge ->> 3) COLLATE \"C\" AS period,
        (charge ->> 4)::bigint AS epoch,
        min((charge ->> 5)::bigint) AS period_start_ms, max((charge ->> 6)::bigint) AS period_end_ms,
        least(sum((charge ->> 7)::numeric), 9223372036854775807)::bigint AS used";
/// The rest of it, after the table `log`.
pub(super) const CHARGES: &str = "CROSS JOIN LATERAL jsonb_array_elements(log.charges) AS charge
        WHERE (charge ->> 7)::numeric > 0 GROUP BY 1, 2, 3, 4, 5, 6";
const AMOUNT_MAX: &str = "9223372036854775807";

/// Writes a batch.
pub(super) async fn ingest(
    client: &mut Object,
    columns: &Columns<'_>,
    alerts: Option<&String>,
    partitions: &Partitions,
    timeline: &Timeline,
) -> Result<Ingested, Failure> {
    let statement = timeline.choose(client, alerts.is_some()).await?;
    let mut wait = CONFLICT_WAIT;
    let mut partition_was_missing = false;
    let mut conflicts = 0;
    loop {
        // no row is at fault for a partition that cannot be made: all wait until it can
        partitions.ensure(client, columns.months()).await.map_err(Failure::passing)?;
        match run(client, statement, columns, alerts).await {
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
            result => return result,
        }
    }
}

async fn run(
    client: &Object,
    statement: &str,
    columns: &Columns<'_>,
    alerts: Option<&String>,
) -> Result<Ingested, Failure> {
    let mut parameters = columns.parameters();
    if let Some(alerts) = alerts {
        parameters.push(alerts);
    }
    let statement = client.prepare_cached(statement).await?;
    let row = client.query_one(&statement, &parameters).await?;
    let inserted = count(row.try_get(0)?)?;
    let rows = columns.months().count() as u64;
    Ok(Ingested { inserted, duplicates: rows.saturating_sub(inserted), incarnation: count(row.try_get(1)?)? })
}

/// May the timeline be read here? Found out once.
#[derive(Debug, Default)]
pub(super) struct Timeline(AtomicU8);

const UNASKED: u8 = 0;
const READABLE: u8 = 1;
const HIDDEN: u8 = 2;

impl Timeline {
    async fn choose(&self, client: &Object, has_alerts: bool) -> Result<&'static str, Failure> {
        if self.0.load(Ordering::Relaxed) == UNASKED {
            self.ask(client).await?;
        }
        let statements = if has_alerts { &INGEST_ALERTS } else { &INGEST };
        Ok(&statements[usize::from(self.0.load(Ordering::Relaxed) == HIDDEN)])
    }

    async fn ask(&self, client: &Object) -> Result<(), Failure> {
        match client.query_one(&format!("SELECT {TIMELINE}"), &[]).await.map_err(Failure::from) {
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
