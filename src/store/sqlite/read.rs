//! Reading: what the counters load, histories, pages of domains, and the comparison of totals with their fold.

use rusqlite::{Connection, Row, Transaction, params};
use uuid::Uuid;

use super::error::Refusal;
use crate::quota::Domain;
use crate::store::audit::AuditRecord;
use crate::store::counters::TOMBSTONE_MS;
use crate::store::entry::charges;
use crate::store::fold::Comparison;
use crate::store::ledger::{LedgerTotals, Messages, MonthUsage, Seen};
use crate::store::row::{self, UsageRow, count};
use crate::store::totals::{BucketTotal, DomainTotals, OwnerEpoch};

/// What the counters need of a domain: one snapshot, because it is one transaction.
pub(super) fn load(db: &mut Connection, domain: &str, now_ms: i64) -> Result<DomainTotals, Refusal> {
    let snapshot = db.transaction()?;
    let buckets = buckets(&snapshot, domain, now_ms)?;
    let mut query = snapshot.prepare_cached(
        "SELECT owner_key, epoch, reset_at_ms FROM usage_epochs WHERE domain = ?1 ORDER BY owner_key",
    )?;
    let rows = query
        .query_map([domain], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    let epochs = rows
        .into_iter()
        .map(|(owner_key, epoch, reset_at_ms)| {
            Ok(OwnerEpoch { owner_key, epoch: row::epoch(epoch)?, reset_at_ms })
        })
        .collect::<Result<_, String>>()?;
    let mut query = snapshot.prepare_cached(
        "SELECT id FROM message_logs
         WHERE domain = ?1 AND ingested_at_ms > CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?2",
    )?;
    let recent = query
        .query_map(params![domain, row::number(TOMBSTONE_MS)], |row| Ok(Uuid::from_bytes(row.get(0)?)))?
        .collect::<Result<_, _>>()?;
    Ok(DomainTotals { buckets, epochs, recent })
}

fn buckets(snapshot: &Transaction<'_>, domain: &str, now_ms: i64) -> Result<Vec<BucketTotal>, Refusal> {
    let mut query = snapshot.prepare_cached(
        "SELECT scope, owner, limit_name, period, epoch, period_start_ms, period_end_ms, used FROM user_usage
         WHERE domain = ?1 AND period_end_ms > ?2 ORDER BY scope, owner, limit_name, period, epoch",
    )?;
    let rows = query.query_map(params![domain, now_ms], usage_row)?.collect::<Result<Vec<_>, _>>()?;
    Ok(rows.into_iter().map(BucketTotal::try_from).collect::<Result<_, _>>()?)
}

fn usage_row(row: &Row<'_>) -> rusqlite::Result<UsageRow> {
    Ok(UsageRow {
        scope: row.get("scope")?,
        owner: row.get("owner")?,
        limit: row.get("limit_name")?,
        period: row.get("period")?,
        epoch: row.get("epoch")?,
        period_start_ms: row.get("period_start_ms")?,
        period_end_ms: row.get("period_end_ms")?,
        used: row.get("used")?,
    })
}

/// Where a user was last counted, newest first.
pub(super) fn domains_of(db: &Connection, user: &str, max: u32) -> Result<Vec<Domain>, Refusal> {
    let mut query = db.prepare_cached(
        "SELECT domain FROM message_logs WHERE user_id = ?1
         GROUP BY domain ORDER BY max(admitted_at_ms) DESC, domain LIMIT ?2",
    )?;
    let rows = query.query_map(params![user, max], domain)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// The plan and team of the user's newest row.
pub(super) fn last_seen(db: &Connection, user: &str) -> Result<Option<Seen>, Refusal> {
    let mut query = db.prepare_cached(
        "SELECT plan, team_id FROM message_logs WHERE user_id = ?1 ORDER BY admitted_at_ms DESC, id DESC LIMIT 1",
    )?;
    let seen = |row: &Row<'_>| Ok(Seen { plan: row.get(0)?, team: row.get(1)? });
    let mut rows = query.query_map(params![user], seen)?;
    Ok(rows.next().transpose()?)
}

/// Domains in the order of their bytes.
pub(super) fn domains(db: &Connection, after: &str, max: u32, now_ms: i64) -> Result<Vec<Domain>, Refusal> {
    let mut query = db.prepare_cached(
        "SELECT DISTINCT domain FROM user_usage WHERE domain > ?1 AND period_end_ms > ?2 ORDER BY domain LIMIT ?3",
    )?;
    let rows = query.query_map(params![after, now_ms, max], domain)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

fn domain(row: &Row<'_>) -> rusqlite::Result<Domain> {
    Ok(Domain::from_text(row.get_ref(0)?.as_str()?))
}

/// Charged messages of a user; `but` are ids in hexadecimal digits.
pub(super) fn messages_since(
    db: &Connection,
    user: &str,
    since_ms: i64,
    but: &[String],
) -> Result<Messages, Refusal> {
    let mut query = db.prepare_cached(
        "SELECT coalesce(sum(messages), 0), coalesce(sum(messages) FILTER (WHERE premium), 0) FROM message_logs
         WHERE user_id = ?1 AND admitted_at_ms >= ?2 AND lower(hex(id)) NOT IN (SELECT value FROM json_each(?3))",
    )?;
    let but = serde_json::Value::from(but).to_string();
    let (total, premium) =
        query.query_row(params![user, since_ms, but], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Messages { total: count(total)?, premium: count(premium)? })
}

/// One row a month, newest first.
pub(super) fn history(db: &Connection, user: &str, months: u32) -> Result<Vec<MonthUsage>, Refusal> {
    let mut query = db.prepare_cached(
        "SELECT month, messages, premium, input_tokens, output_tokens, cost_micro_usd FROM message_logs
         WHERE user_id = ?1 AND month IN
             (SELECT DISTINCT month FROM message_logs WHERE user_id = ?1 ORDER BY month DESC LIMIT ?2)
         ORDER BY month DESC",
    )?;
    let mut rows = query.query(params![user, months])?;
    let mut history: Vec<MonthUsage> = Vec::new();
    while let Some(row) = rows.next()? {
        let month = month_usage(row)?;
        match history.last_mut() {
            Some(last) if last.month == month.month => add(last, &month),
            _ => history.push(month),
        }
    }
    Ok(history)
}

/// One request as a month of its own.
fn month_usage(row: &Row<'_>) -> Result<MonthUsage, Refusal> {
    let messages = count(row.get("messages")?)?;
    let premium: bool = row.get("premium")?;
    Ok(MonthUsage {
        month: row.get("month")?,
        messages,
        premium_messages: if premium { messages } else { 0 },
        input_tokens: count(row.get("input_tokens")?)?,
        output_tokens: count(row.get("output_tokens")?)?,
        cost_micro_usd: count(row.get("cost_micro_usd")?)?,
    })
}

/// Sums stop at 2^63 - 1, as in PostgreSQL.
fn add(to: &mut MonthUsage, more: &MonthUsage) {
    let sum = |a: u64, b: u64| a.saturating_add(b).min(i64::MAX.unsigned_abs());
    to.messages = sum(to.messages, more.messages);
    to.premium_messages = sum(to.premium_messages, more.premium_messages);
    to.input_tokens = sum(to.input_tokens, more.input_tokens);
    to.output_tokens = sum(to.output_tokens, more.output_tokens);
    to.cost_micro_usd = sum(to.cost_micro_usd, more.cost_micro_usd);
}

/// Compares each total with the fold of all rows, in one snapshot. Reads the whole ledger, a row at a time.
pub(super) fn fold_differences(db: &mut Connection) -> Result<Vec<(BucketTotal, u64)>, Refusal> {
    let snapshot = db.transaction()?;
    let mut comparison = Comparison::default();
    let mut query = snapshot.prepare("SELECT domain, charges FROM message_logs")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let text = |at: usize| row.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
        comparison.fold(text(0)?, &charges::from_json(text(1)?)?);
    }
    let mut query = snapshot.prepare("SELECT * FROM user_usage")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        comparison.stored(row.get("domain")?, usage_row(row)?)?;
    }
    Ok(comparison.differences()?)
}

/// Sums over the whole ledger.
pub(super) fn totals(db: &Connection) -> Result<LedgerTotals, Refusal> {
    let totals = "SELECT count(*), coalesce(sum(messages), 0) FROM message_logs";
    let (rows, messages) = db.query_row(totals, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(LedgerTotals { rows: count(rows)?, messages: count(messages)? })
}

/// The audit log in order.
pub(super) fn audit_log(db: &Connection, after: i64, max: u32) -> Result<Vec<AuditRecord>, Refusal> {
    let mut query = db.prepare_cached("SELECT * FROM audit_log WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let records = query.query_map(params![after, max], audit_record)?.collect::<Result<_, _>>()?;
    Ok(records)
}

pub(super) fn audit_record(row: &Row<'_>) -> rusqlite::Result<AuditRecord> {
    Ok(AuditRecord {
        seq: row.get("seq")?,
        at_ms: row.get("at_ms")?,
        actor: row.get("actor")?,
        action: row.get("action")?,
        subject: row.get("subject")?,
        reason: row.get("reason")?,
        detail: row.get("detail")?,
        prev_hash: row.get("prev_hash")?,
        hash: row.get("hash")?,
    })
}
