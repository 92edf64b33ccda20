//! Writing a batch: rows that stand already add nothing, new ones are summed into the running totals and the roll-ups, all
//! in one transaction.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, TransactionBehavior, named_params};

use super::error::Refusal;
use super::outbox;
use super::rollup::Rollups;
use crate::quota::{Bucket, Charge};
use crate::store::entry::Entry;
use crate::store::ledger::Ingested;
use crate::store::row::{Row, number};

const INSERT: &str = "
    INSERT INTO message_logs (
        month, day, id, request_id, admitted_at_ms, ended_at_ms, domain, user_id, team_id, plan, dialect, endpoint, upstream,
        model_requested, model_dispatched, model_groups, stream, outcome, status, messages, premium, input_tokens,
        output_tokens, cached_tokens, reasoning_tokens, estimated, charges, cost_micro_usd, price, task, attempt, message_hash, first_byte_ms,
        duration_ms, degraded, ingested_at_ms
    ) VALUES (
        :month, :day, :id, :request_id, :admitted_at_ms, :ended_at_ms, :domain, :user_id, :team_id, :plan, :dialect, :endpoint,
        :upstream, :model_requested, :model_dispatched, :model_groups, :stream, :outcome, :status, :messages, :premium,
        :input_tokens, :output_tokens, :cached_tokens, :reasoning_tokens, :estimated, :charges, :cost_micro_usd, :price,
        :task, :attempt, :message_hash, :first_byte_ms, :duration_ms, :degraded, CAST(unixepoch('subsec') * 1000 AS INTEGER)
    ) ON CONFLICT (month, id) DO NOTHING";

// The sum stops at 2^63 - 1, as in PostgreSQL: SQLite would turn it into a floating-point number.
const ADD: &str = "
    INSERT INTO user_usage
        (domain, scope, owner, limit_name, period, epoch, period_start_ms, period_end_ms, used)
    VALUES (:domain, :scope, :owner, :limit_name, :period, :epoch, :period_start_ms, :period_end_ms, :used)
    ON CONFLICT (domain, scope, owner, limit_name, period, epoch) DO UPDATE SET used = CASE
        WHEN used > 9223372036854775807 - excluded.used THEN 9223372036854775807
        ELSE used + excluded.used END";

/// Writes a batch.
pub(super) fn ingest(db: &mut Connection, batch: &[Entry]) -> Result<Ingested, Refusal> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut ingested = Ingested::default();
    let mut sums = Sums::default();
    let mut rollups = Rollups::default();
    for entry in batch {
        let row = Row::from(entry);
        if insert(&transaction, &row)? {
            ingested.inserted += 1;
            sums.add(&row.domain, &row.charges);
            rollups.add(&row);
        } else {
            ingested.duplicates += 1;
        }
    }
    sums.write(&transaction)?;
    rollups.write(&transaction)?;
    outbox::note(&transaction, &sums, batch)?;
    transaction.commit()?;
    Ok(ingested)
}

/// Charges summed by bucket and epoch: the fold that `user_usage` equals.
#[derive(Debug, Default)]
pub(super) struct Sums(pub BTreeMap<(String, Bucket, u32), Sum>);

/// One total.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    pub period_start_ms: i64,
    pub period_end_ms: i64,
    pub used: i64,
}

impl Sums {
    /// Adds one row's charges.
    pub fn add(&mut self, domain: &str, charges: &[Charge]) {
        for charge in charges.iter().filter(|charge| charge.amount > 0) {
            let sum = self.0.entry((domain.to_owned(), charge.bucket.clone(), charge.epoch)).or_insert(Sum {
                period_start_ms: charge.period_start_ms,
                period_end_ms: charge.period_end_ms,
                used: 0,
            });
            sum.used = sum.used.saturating_add(number(charge.amount));
        }
    }

    fn write(&self, transaction: &Transaction<'_>) -> Result<(), Refusal> {
        let mut add = transaction.prepare_cached(ADD)?;
        for ((domain, bucket, epoch), sum) in &self.0 {
            add.execute(named_params! {
                ":domain": domain,
                ":scope": bucket.scope.as_str(),
                ":owner": &*bucket.owner,
                ":limit_name": &*bucket.limit,
                ":period": &*bucket.period,
                ":epoch": epoch,
                ":period_start_ms": sum.period_start_ms,
                ":period_end_ms": sum.period_end_ms,
                ":used": sum.used,
            })?;
        }
        Ok(())
    }
}

/// Returns whether the row is new.
fn insert(transaction: &Transaction<'_>, row: &Row<'_>) -> Result<bool, Refusal> {
    let inserted = transaction.prepare_cached(INSERT)?.execute(named_params! {
        ":month": row.month,
        ":day": row.day,
        ":id": row.id.as_bytes(),
        ":request_id": row.request_id,
        ":admitted_at_ms": row.admitted_at_ms,
        ":ended_at_ms": row.ended_at_ms,
        ":domain": row.domain,
        ":user_id": row.user,
        ":team_id": row.team,
        ":plan": row.plan,
        ":dialect": row.dialect,
        ":endpoint": row.endpoint,
        ":upstream": row.upstream,
        ":model_requested": row.model_requested,
        ":model_dispatched": row.model_dispatched,
        ":model_groups": row.groups,
        ":stream": row.stream,
        ":outcome": row.outcome,
        ":status": row.status,
        ":messages": row.messages,
        ":premium": row.premium,
        ":input_tokens": row.input_tokens,
        ":output_tokens": row.output_tokens,
        ":cached_tokens": row.cached_tokens,
        ":reasoning_tokens": row.reasoning_tokens,
        ":estimated": row.estimated,
        ":charges": row.charges_json(),
        ":cost_micro_usd": row.cost_micro_usd,
        ":price": row.price,
        ":task": row.task,
        ":attempt": row.attempt,
        ":message_hash": row.message_hash,
        ":first_byte_ms": row.first_byte_ms,
        ":duration_ms": row.duration_ms,
        ":degraded": row.degraded,
    })?;
    Ok(inserted == 1)
}
