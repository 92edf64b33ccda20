//! The outbox of webhooks in SQLite.

use async_trait::async_trait;
use rusqlite::{Row, TransactionBehavior, params};

use super::SqliteLedger;
use super::reset::write_audit;
use crate::store::StoreError;
use crate::store::audit::Audit;
use crate::store::outbox::{Attempt, Claim, MESSAGE, Message, Outbox, OutboxCounts, Tried};
use crate::store::row::count;

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        id: row.get(0)?,
        webhook: row.get(1)?,
        event: row.get(2)?,
        data: row.get(3)?,
        used: row.get::<_, i64>(4)?.max(0).unsigned_abs(),
        at_ms: row.get(5)?,
        state: row.get(6)?,
        attempts: row.get(7)?,
        next_try_at_ms: row.get(8)?,
        ended_at_ms: row.get(9)?,
        last_status: row.get(10)?,
        last_error: row.get(11)?,
    })
}

#[async_trait]
impl Outbox for SqliteLedger {
    async fn claim(&self, claim: &Claim<'_>) -> Result<Vec<Message>, StoreError> {
        let (webhook, now_ms, until_ms) =
            (claim.webhook.to_owned(), claim.now_ms, claim.now_ms + claim.lease_ms);
        let max = claim.max;
        self.write("claim", move |db| {
            let mut claim = db.prepare_cached(&format!(
                "UPDATE webhook_outbox SET attempts = attempts + 1, next_try_at_ms = ?3
                 WHERE id IN (SELECT id FROM webhook_outbox
                     WHERE webhook = ?1 AND state = 'pending' AND next_try_at_ms <= ?2
                     ORDER BY next_try_at_ms, at_ms, id LIMIT ?4)
                 RETURNING {MESSAGE}"
            ))?;
            let rows = claim.query_map(params![webhook, now_ms, until_ms, max], message)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn tried(&self, tried: &Tried) -> Result<(), StoreError> {
        let tried = tried.clone();
        self.write("tried", move |db| {
            let (state, next_try_at_ms) = match tried.attempt {
                Attempt::Delivered => ("delivered", None),
                Attempt::Again(at_ms) => ("pending", Some(at_ms)),
                Attempt::Dead => ("dead", None),
            };
            let ended_at_ms = next_try_at_ms.is_none().then_some(tried.now_ms);
            db.execute(
                "UPDATE webhook_outbox SET state = ?2, next_try_at_ms = coalesce(?3, next_try_at_ms),
                     ended_at_ms = ?4, last_status = ?5, last_error = ?6
                 WHERE id = ?1 AND state <> 'delivered'
                     AND (?2 = 'delivered' OR (state = 'pending' AND attempts = ?7))",
                params![
                    tried.id,
                    state,
                    next_try_at_ms,
                    ended_at_ms,
                    tried.status,
                    tried.error,
                    tried.attempts
                ],
            )?;
            Ok(())
        })
        .await
    }

    async fn undelivered(&self, state: Option<&str>, max: u32) -> Result<Vec<Message>, StoreError> {
        let state = state.map(str::to_owned);
        self.read("undelivered", move |db| {
            let mut list = db.prepare_cached(&format!(
                "SELECT {MESSAGE} FROM webhook_outbox WHERE state <> 'delivered' AND (?1 IS NULL OR state = ?1)
                 ORDER BY at_ms DESC, id LIMIT ?2"
            ))?;
            let rows = list.query_map(params![state, max], message)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        self.read("outbox_counts", |db| {
            let (pending, dead) = db.query_row(
                "SELECT count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'dead')
                 FROM webhook_outbox WHERE state <> 'delivered'",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            Ok(OutboxCounts { pending: count(pending)?, dead: count(dead)? })
        })
        .await
    }

    async fn retry(&self, id: Option<&str>, now_ms: i64, audit: Audit<'_>) -> Result<u64, StoreError> {
        let id = id.map(str::to_owned);
        let [actor, action, subject, reason, detail] =
            [audit.actor, audit.action, audit.subject, audit.reason, audit.detail].map(str::to_owned);
        self.write("retry", move |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let retried = transaction.execute(
                "UPDATE webhook_outbox SET state = 'pending', attempts = 0, next_try_at_ms = 0, ended_at_ms = NULL
                 WHERE state <> 'delivered' AND ((?1 IS NULL AND state = 'dead') OR id = ?1)",
                params![id],
            )?;
            if retried > 0 {
                let audit = Audit {
                    actor: &actor,
                    action: &action,
                    subject: &subject,
                    reason: &reason,
                    detail: &detail,
                };
                write_audit(&transaction, now_ms, &audit)?;
            }
            transaction.commit()?;
            Ok(retried as u64)
        })
        .await
    }

    async fn forget_expired(&self, now_ms: i64, max: u32) -> Result<u64, StoreError> {
        self.write("forget_expired", move |db| {
            let deleted = db.execute(
                "DELETE FROM webhook_outbox WHERE id IN
                     (SELECT id FROM webhook_outbox WHERE expires_at_ms <= ?1 LIMIT ?2)",
                params![now_ms, max],
            )?;
            Ok(deleted as u64)
        })
        .await
    }
}
