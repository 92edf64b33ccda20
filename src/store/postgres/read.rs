//! Reading: what the counters load, histories, pages of domains, and the comparison of totals with their fold.

use deadpool_postgres::Object;
use tokio_postgres::Row;

use super::columns::Id;
use super::error::Failure;
use super::ingest::{CHARGES, FOLD};
use crate::quota::Domain;
use crate::store::audit::AuditRecord;
use crate::store::counters::TOMBSTONE_MS;
use crate::store::ledger::{LedgerTotals, MonthUsage, Seen};
use crate::store::row::{self, UsageRow, count};
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
            "bucket" => totals.buckets.push(bucket(&row)?),
            "epoch" => totals.epochs.push(OwnerEpoch {
                owner_key: row.try_get("owner")?,
                epoch: row::epoch(row.try_get("epoch")?)?,
                reset_at_ms: row.try_get("period_start_ms")?,
            }),
            _ => totals.recent.push(row.try_get::<_, Id>("id")?.0),
        }
    }
    Ok(totals)
}

fn bucket(row: &Row) -> Result<BucketTotal, Failure> {
    let usage = UsageRow {
        scope: row.try_get("scope")?,
        owner: row.try_get("owner")?,
        limit: row.try_get("limit_name")?,
        period: row.try_get("period")?,
        epoch: row.try_get("epoch")?,
        period_start_ms: row.try_get("period_start_ms")?,
        period_end_ms: row.try_get("period_end_ms")?,
        used: row.try_get("used")?,
    };
    Ok(usage.try_into()?)
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

/// Compares each total with the fold of all rows, in one snapshot. Reads the whole ledger, however long that takes.
pub(super) async fn fold_differences(client: &mut Object) -> Result<Vec<(BucketTotal, u64)>, Failure> {
    let transaction = client.transaction().await?;
    transaction.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let statement = format!(
        "WITH folded AS ({FOLD} FROM message_logs AS log {CHARGES})
         SELECT scope, owner, limit_name, period, epoch,
             coalesce(stored.period_start_ms, folded.period_start_ms) AS period_start_ms,
             coalesce(stored.period_end_ms, folded.period_end_ms) AS period_end_ms,
             coalesce(stored.used, 0) AS used, coalesce(folded.used, 0) AS folded
         FROM user_usage AS stored FULL JOIN folded USING (domain, scope, owner, limit_name, period, epoch)
         WHERE coalesce(stored.used, 0) <> coalesce(folded.used, 0)"
    );
    let rows = transaction.query(&statement, &[]).await?;
    transaction.commit().await?;
    let mut differences = rows
        .iter()
        .map(|row| Ok((bucket(row)?, count(row.try_get("folded")?)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    differences.sort();
    Ok(differences)
}

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
