//! What the counters load, and what is asked of one user, of domains and of the whole ledger.

use super::{ResultRow, Session};
use crate::quota::Domain;
use crate::store::counters::TOMBSTONE_MS;
use crate::store::ledger::{LedgerTotals, Messages, MonthUsage, Seen};
use crate::store::row::{UsageRow, epoch, number};
use crate::store::totals::{DomainTotals, OwnerEpoch};
use uuid::Uuid;

/// One statement sees one snapshot. The first column tells the three kinds of rows apart.
pub fn load_statement<S: Session>() -> String {
    format!(
        "SELECT 'bucket', scope, owner, limit_name, period, epoch, period_start_ms, period_end_ms, used,
             CAST(NULL AS uuid) AS id
         FROM user_usage WHERE domain = $1 AND period_end_ms > $2
         UNION ALL
         SELECT 'epoch', NULL, owner_key, NULL, NULL, epoch, reset_at_ms, NULL, NULL, NULL
         FROM usage_epochs WHERE domain = $1
         UNION ALL
         SELECT 'recent', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, id
         FROM message_logs WHERE domain = $1 AND ingested_at_ms > {} - $3",
        S::NOW_MS
    )
}

/// What the counters need of a domain.
pub async fn load<S: Session>(session: &S, domain: &str, now_ms: i64) -> Result<DomainTotals, S::Error> {
    let parameters = [domain.into(), now_ms.into(), number(TOMBSTONE_MS).into()];
    let mut totals = DomainTotals::default();
    for row in session.query(&load_statement::<S>(), &parameters).await? {
        match row.text(0)?.as_str() {
            "bucket" => totals.buckets.push(usage_row(&row, 1)?.try_into()?),
            "epoch" => totals.epochs.push(OwnerEpoch {
                owner_key: row.text(2)?,
                epoch: epoch(row.number(5)?)?,
                reset_at_ms: row.number(6)?,
            }),
            _ => totals.recent.push(row.id(9)?),
        }
    }
    Ok(totals)
}

/// Every total.
pub const COMPARED: &str =
    "SELECT domain, scope, owner, limit_name, period, epoch, period_start_ms, period_end_ms, used
    FROM user_usage";

/// A row of `user_usage` whose columns, but for the domain, begin at `at`.
pub fn usage_row(row: &ResultRow, at: usize) -> Result<UsageRow, String> {
    Ok(UsageRow {
        scope: row.text(at)?,
        owner: row.text(at + 1)?,
        limit: row.text(at + 2)?,
        period: row.text(at + 3)?,
        epoch: row.number(at + 4)?,
        period_start_ms: row.number(at + 5)?,
        period_end_ms: row.number(at + 6)?,
        used: row.number(at + 7)?,
    })
}

/// Where a user was last counted, newest first.
pub async fn domains_of<S: Session>(session: &S, user: &str, max: u32) -> Result<Vec<Domain>, S::Error> {
    let statement = "SELECT domain FROM message_logs WHERE user_id = $1
        GROUP BY domain ORDER BY max(admitted_at_ms) DESC, domain LIMIT $2";
    domains_in(&session.query(statement, &[user.into(), i64::from(max).into()]).await?)
}

/// Domains in the order of their bytes.
pub async fn domains<S: Session>(
    session: &S,
    after: &str,
    max: u32,
    now_ms: i64,
) -> Result<Vec<Domain>, S::Error> {
    let statement = "SELECT DISTINCT domain FROM user_usage WHERE domain > $1 AND period_end_ms > $2
        ORDER BY domain LIMIT $3";
    domains_in(&session.query(statement, &[after.into(), now_ms.into(), i64::from(max).into()]).await?)
}

fn domains_in<E: From<String>>(rows: &[ResultRow]) -> Result<Vec<Domain>, E> {
    rows.iter().map(|row| Ok(Domain::from_text(&row.text(0)?))).collect()
}

/// The newest row of a user; by index.
pub const LAST_SEEN: &str =
    "SELECT plan, team_id FROM message_logs WHERE user_id = $1 ORDER BY admitted_at_ms DESC, id DESC LIMIT 1";

/// The plan and team of the user's newest row.
pub async fn last_seen<S: Session>(session: &S, user: &str) -> Result<Option<Seen>, S::Error> {
    let Some(row) = session.first(LAST_SEEN, &[user.into()]).await? else { return Ok(None) };
    Ok(Some(Seen { plan: row.text(0)?, team: row.optional(1, ResultRow::text)? }))
}

/// Charged messages of a user, without these requests.
pub async fn messages_since<S: Session>(
    session: &S,
    user: &str,
    since_ms: i64,
    but: &[Uuid],
) -> Result<Messages, S::Error> {
    let statement = "SELECT id, messages, premium FROM message_logs WHERE user_id = $1 AND admitted_at_ms >= $2 AND messages > 0";
    let mut messages = Messages::default();
    for row in session.query(statement, &[user.into(), since_ms.into()]).await? {
        if !but.contains(&row.id(0)?) {
            messages.total += row.count(1)?;
            messages.premium += u64::from(row.is_true(2)) * row.count(1)?;
        }
    }
    Ok(messages)
}

/// One row a month, newest first.
pub async fn history<S: Session>(session: &S, user: &str, months: u32) -> Result<Vec<MonthUsage>, S::Error> {
    let statement = "SELECT month, CAST(sum(messages) AS bigint),
            CAST(coalesce(sum(messages) FILTER (WHERE premium), 0) AS bigint), CAST(sum(input_tokens) AS bigint),
            CAST(sum(output_tokens) AS bigint), CAST(sum(cost_micro_usd) AS bigint)
        FROM message_logs WHERE user_id = $1 GROUP BY month ORDER BY month DESC LIMIT $2";
    let month = |row: &ResultRow| {
        Ok(MonthUsage {
            month: row.text(0)?,
            messages: row.count(1)?,
            premium_messages: row.count(2)?,
            input_tokens: row.count(3)?,
            output_tokens: row.count(4)?,
            cost_micro_usd: row.count(5)?,
        })
    };
    session.query(statement, &[user.into(), i64::from(months).into()]).await?.iter().map(month).collect()
}

/// Sums over the whole ledger.
pub async fn totals<S: Session>(session: &S) -> Result<LedgerTotals, S::Error> {
    let statement = "SELECT count(*), CAST(coalesce(sum(messages), 0) AS bigint) FROM message_logs";
    let row = session.one(statement, &[]).await?;
    Ok(LedgerTotals { rows: row.count(0)?, messages: row.count(1)? })
}
