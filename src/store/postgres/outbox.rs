//! The outbox of webhooks in PostgreSQL: claimed with `SKIP LOCKED`.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::PostgresLedger;
use super::error::Failure;
use super::pool::Limit;
use super::reset::{AUDIT_LOCK, write_audit};
use crate::store::StoreError;
use crate::store::audit::Audit;
use crate::store::outbox::{Attempt, Claim, MESSAGE, Message, Outbox, OutboxCounts, Tried};
use crate::store::row::count;

fn message(row: &Row) -> Result<Message, Failure> {
    let attempts: i32 = row.try_get(7)?;
    let status: Option<i32> = row.try_get(10)?;
    Ok(Message {
        id: row.try_get(0)?,
        webhook: row.try_get(1)?,
        event: row.try_get(2)?,
        data: row.try_get(3)?,
        used: count(row.try_get(4)?)?,
        at_ms: row.try_get(5)?,
        state: row.try_get(6)?,
        attempts: u32::try_from(attempts).map_err(|error| error.to_string())?,
        next_try_at_ms: row.try_get(8)?,
        ended_at_ms: row.try_get(9)?,
        last_status: status.map(u16::try_from).transpose().map_err(|error| error.to_string())?,
        last_error: row.try_get(11)?,
    })
}

fn messages(rows: &[Row]) -> Result<Vec<Message>, Failure> {
    rows.iter().map(message).collect()
}

#[async_trait]
impl Outbox for PostgresLedger {
    async fn claim(&self, claim: &Claim<'_>) -> Result<Vec<Message>, StoreError> {
        let statement = format!(
            "UPDATE webhook_outbox SET attempts = attempts + 1, next_try_at_ms = $3
             WHERE id IN (SELECT id FROM webhook_outbox
                 WHERE webhook = $1 AND state = 'pending' AND next_try_at_ms <= $2
                 ORDER BY next_try_at_ms, at_ms, id LIMIT $4 FOR UPDATE SKIP LOCKED)
             RETURNING {MESSAGE}"
        );
        let (until_ms, max) = (claim.now_ms + claim.lease_ms, i64::from(claim.max));
        self.run("claim", Limit::Statement, async |client| {
            let statement = client.prepare_cached(&statement).await?;
            messages(&client.query(&statement, &[&claim.webhook, &claim.now_ms, &until_ms, &max]).await?)
        })
        .await
    }

    async fn tried(&self, tried: &Tried) -> Result<(), StoreError> {
        let (state, next_try_at_ms) = match tried.attempt {
            Attempt::Delivered => ("delivered", None),
            Attempt::Again(at_ms) => ("pending", Some(at_ms)),
            Attempt::Dead => ("dead", None),
        };
        let ended_at_ms = next_try_at_ms.is_none().then_some(tried.now_ms);
        let status = tried.status.map(i32::from);
        let attempts = i32::try_from(tried.attempts).unwrap_or(i32::MAX);
        self.run("tried", Limit::Statement, async |client| {
            client
                .execute(
                    "UPDATE webhook_outbox SET state = $2::text, next_try_at_ms = coalesce($3, next_try_at_ms),
                         ended_at_ms = $4, last_status = $5, last_error = $6
                     WHERE id = $1 AND state <> 'delivered'
                         AND ($2::text = 'delivered' OR (state = 'pending' AND attempts = $7))",
                    &[
                        &tried.id,
                        &state,
                        &next_try_at_ms,
                        &ended_at_ms,
                        &status,
                        &tried.error.replace('\0', "\u{FFFD}"),
                        &attempts,
                    ],
                )
                .await?;
            Ok(())
        })
        .await
    }

    async fn undelivered(&self, state: Option<&str>, max: u32) -> Result<Vec<Message>, StoreError> {
        let statement = format!(
            "SELECT {MESSAGE} FROM webhook_outbox
             WHERE state <> 'delivered' AND ($1::text IS NULL OR state = $1::text) ORDER BY at_ms DESC, id LIMIT $2"
        );
        self.run("undelivered", Limit::Statement, async |client| {
            messages(&client.query(&statement, &[&state, &i64::from(max)]).await?)
        })
        .await
    }

    async fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        let statement =
            "SELECT count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'dead')
            FROM webhook_outbox WHERE state <> 'delivered'";
        self.run("outbox_counts", Limit::Statement, async |client| {
            let row = client.query_one(statement, &[]).await?;
            Ok(OutboxCounts { pending: count(row.try_get(0)?)?, dead: count(row.try_get(1)?)? })
        })
        .await
    }

    async fn retry(&self, id: Option<&str>, now_ms: i64, audit: Audit<'_>) -> Result<u64, StoreError> {
        self.run("retry", Limit::Statement, async |client| {
            let transaction = client.transaction().await?;
            transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&AUDIT_LOCK]).await?;
            let retried = transaction
                .execute(
                    "UPDATE webhook_outbox SET state = 'pending', attempts = 0, next_try_at_ms = 0, ended_at_ms = NULL
                     WHERE state <> 'delivered' AND (($1::text IS NULL AND state = 'dead') OR id = $1::text)",
                    &[&id],
                )
                .await?;
            if retried > 0 {
                write_audit(&transaction, now_ms, &audit).await?;
            }
            transaction.commit().await?;
            Ok(retried)
        })
        .await
    }

    async fn forget_expired(&self, now_ms: i64, max: u32) -> Result<u64, StoreError> {
        let statement = "DELETE FROM webhook_outbox WHERE id IN
            (SELECT id FROM webhook_outbox WHERE expires_at_ms <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
        self.run("forget_expired", Limit::Statement, async |client| {
            Ok(client.execute(statement, &[&now_ms, &i64::from(max)]).await?)
        })
        .await
    }
}
