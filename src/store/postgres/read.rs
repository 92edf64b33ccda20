//! Reading: what the counters load, histories, pages of domains, and the comparison of totals with their fold.

use std::pin::pin;

use deadpool_postgres::Object;
use futures_util::TryStreamExt;
use tokio_postgres::Row;
use uuid::Uuid;

use super::error::Failure;
use crate::quota::Domain;
use crate::store::audit::AuditRecord;
use crate::store::counters::TOMBSTONE_MS;
use crate::store::entry::charges;
use crate::store::fold::Comparison;
use crate::store::ledger::{LedgerTotals, Messages, MonthUsage, Seen};
use crate::store::row::{self, UsageRow, Value, count};
use crate::store::totals::{BucketTotal, DomainTotals, OwnerEpoch};

// One statement sees one snapshot. The three kinds of rows are told apart by the first column.
pub(super) const LOAD: &str = "
    SELECT 'bucket', scope, owner, limit_name, period, epoch, period_start_ms, period_end_ms, used, NULL::uuid AS id
    FROM user_usage WHERE domain = $1 AND period_end_ms > $2
    UNION ALL
    SELECT 'epoch', NULL, owner_key, NULL, NULL, epoch, reset_at_ms, NULL, NULL, NULL
    FROM usage_epochs WHERE domain = $1
    UNION ALL
    SELECT 'recent', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, id
    FROM message_logs
    WHERE domain = $1 AND ingested_at_ms > (extract(epoch FROM statement_timestamp()) * 1000)::bigint - $3";

/// What the counters need of a domain.
pub(super) async fn load(client: &Object, domain: &str, now_ms: i64) -> Result<DomainTotals, Failure> {
    let statement = client.prepare_cached(LOAD).await?;
    let mut totals = DomainTotals::default();
    for row in client.query(&statement, &[&domain, &now_ms, &row::number(TOMBSTONE_MS)]).await? {
        match row.try_get(0)? {
            "bucket" => totals.buckets.push(usage_row(&row)?.try_into()?),
            "epoch" => totals.epochs.push(OwnerEpoch {
                owner_key: row.try_get("owner")?,
                epoch: row::epoch(row.try_get("epoch")?)?,
                reset_at_ms: row.try_get("period_start_ms")?,
            }),
            _ => totals.recent.push(id(&row)?),
        }
    }
    Ok(totals)
}

fn id(row: &Row) -> Result<Uuid, Failure> {
    match row.try_get("id")? {
        Value::Id(id) => Ok(id),
        other => Err(Failure::Stays(format!("{other:?} is no id"))),
    }
}

fn usage_row(row: &Row) -> Result<UsageRow, Failure> {
    Ok(UsageRow {
        scope: row.try_get("scope")?,
        owner: row.try_get("owner")?,
        limit: row.try_get("limit_name")?,
        period: row.try_get("period")?,
        epoch: row.try_get("epoch")?,
        period_start_ms: row.try_get("period_start_ms")?,
        period_end_ms: row.try_get("period_end_ms")?,
        used: row.try_get("used")?,
    })
}

/// Where a user was last counted, newest first.
pub(super) async fn domains_of(client: &Object, user: &str, max: u32) -> Result<Vec<Domain>, Failure> {
    let statement = client
        .prepare_cached(
            "SELECT domain FROM message_logs WHERE user_id = $1
             GROUP BY domain ORDER BY max(admitted_at_ms) DESC, domain LIMIT $2",
        )
        .await?;
    domains_in(client.query(&statement, &[&user, &i64::from(max)]).await?)
}

/// The plan and team of the user's newest row.
pub(super) async fn last_seen(client: &Object, user: &str) -> Result<Option<Seen>, Failure> {
    let statement = client
        .prepare_cached(
            "SELECT plan, team_id FROM message_logs WHERE user_id = $1 ORDER BY admitted_at_ms DESC, id DESC LIMIT 1",
        )
        .await?;
    let row = client.query_opt(&statement, &[&user]).await?;
    row.map(|row| Ok(Seen { plan: row.try_get(0)?, team: row.try_get(1)? })).transpose()
}

/// Domains in the order of their bytes.
pub(super) async fn domains(
    client: &Object,
    after: &str,
    max: u32,
    now_ms: i64,
) -> Result<Vec<Domain>, Failure> {
    let statement = client
        .prepare_cached(
            "SELECT DISTINCT domain FROM user_usage WHERE domain > $1 AND period_end_ms > $2
             ORDER BY domain LIMIT $3",
        )
        .await?;
    domains_in(client.query(&statement, &[&after, &now_ms, &i64::from(max)]).await?)
}

fn domains_in(rows: Vec<Row>) -> Result<Vec<Domain>, Failure> {
    rows.into_iter().map(|row| Ok(Domain::from_text(row.try_get(0)?))).collect()
}

/// Charged messages of a user.
pub(super) async fn messages_since(
    client: &Object,
    user: &str,
    since_ms: i64,
    but: &[Uuid],
) -> Result<Messages, Failure> {
    let statement = client
        .prepare_cached(
            "SELECT coalesce(sum(messages), 0)::bigint, coalesce(sum(messages) FILTER (WHERE premium), 0)::bigint
             FROM message_logs WHERE user_id = $1 AND admitted_at_ms >= $2 AND id <> ALL ($3::uuid[])",
        )
        .await?;
    let but: Vec<Value<'_>> = but.iter().copied().map(Value::Id).collect();
    let row = client.query_one(&statement, &[&user, &since_ms, &but]).await?;
    Ok(Messages { total: count(row.try_get(0)?)?, premium: count(row.try_get(1)?)? })
}

/// One row a month, newest first. Sums stop at the largest `bigint`.
pub(super) async fn history(client: &Object, user: &str, months: u32) -> Result<Vec<MonthUsage>, Failure> {
    let statement = client
        .prepare_cached(
            "SELECT month, sum(messages)::bigint, coalesce(sum(messages) FILTER (WHERE premium), 0)::bigint,
                 least(sum(input_tokens), 9223372036854775807)::bigint,
                 least(sum(output_tokens), 9223372036854775807)::bigint,
                 least(sum(cost_micro_usd), 9223372036854775807)::bigint
             FROM message_logs WHERE user_id = $1 GROUP BY month ORDER BY month DESC LIMIT $2",
        )
        .await?;
    let rows = client.query(&statement, &[&user, &i64::from(months)]).await?;
    rows.into_iter()
        .map(|row| {
            Ok(MonthUsage {
                month: row.try_get(0)?,
                messages: count(row.try_get(1)?)?,
                premium_messages: count(row.try_get(2)?)?,
                input_tokens: count(row.try_get(3)?)?,
                output_tokens: count(row.try_get(4)?)?,
                cost_micro_usd: count(row.try_get(5)?)?,
            })
        })
        .collect()
}

/// Compares each total with the fold of all rows, in one snapshot. Reads the whole ledger, a row at a time, however long
/// that takes.
pub(super) async fn fold_differences(client: &mut Object) -> Result<Vec<(BucketTotal, u64)>, Failure> {
    let snapshot = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    snapshot.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let mut comparison = Comparison::default();
    let charged = "SELECT domain, charges::text FROM message_logs";
    let mut rows = pin!(snapshot.query_raw(charged, NO_PARAMETERS).await?);
    while let Some(row) = rows.try_next().await? {
        comparison.fold(row.try_get(0)?, &charges::from_json(row.try_get(1)?)?);
    }
    let mut rows = pin!(snapshot.query_raw("SELECT * FROM user_usage", NO_PARAMETERS).await?);
    while let Some(row) = rows.try_next().await? {
        comparison.stored(row.try_get("domain")?, usage_row(&row)?)?;
    }
    snapshot.commit().await?;
    Ok(comparison.differences()?)
}

/// For statements that read many rows one by one.
const NO_PARAMETERS: [&str; 0] = [];

/// Sums over the whole ledger, however long that takes.
pub(super) async fn totals(client: &mut Object) -> Result<LedgerTotals, Failure> {
    let transaction = client.transaction().await?;
    transaction.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let totals = "SELECT count(*), coalesce(sum(messages), 0)::bigint FROM message_logs";
    let row = transaction.query_one(totals, &[]).await?;
    transaction.commit().await?;
    Ok(LedgerTotals { rows: count(row.try_get(0)?)?, messages: count(row.try_get(1)?)? })
}

/// The audit log in order.
pub(super) async fn audit_log(client: &Object, after: i64, max: u32) -> Result<Vec<AuditRecord>, Failure> {
    let statement =
        client.prepare_cached("SELECT * FROM audit_log WHERE seq > $1 ORDER BY seq LIMIT $2").await?;
    let rows = client.query(&statement, &[&after, &i64::from(max)]).await?;
    rows.iter().map(audit_record).collect()
}

pub(super) fn audit_record(row: &Row) -> Result<AuditRecord, Failure> {
    Ok(AuditRecord {
        seq: row.try_get("seq")?,
        at_ms: row.try_get("at_ms")?,
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        subject: row.try_get("subject")?,
        reason: row.try_get("reason")?,
        detail: row.try_get("detail")?,
        prev_hash: row.try_get("prev_hash")?,
        hash: row.try_get("hash")?,
    })
}
