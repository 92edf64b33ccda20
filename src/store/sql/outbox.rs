//! The outbox of webhooks: claimed, tried, retried by hand, forgotten. What is noted there is written with its batch.

use super::{ResultRow, Session, audit};
use crate::store::audit::Audit;
use crate::store::outbox::{Attempt, Claim, Message, OutboxCounts, Tried};
use crate::store::row::Value;

/// The columns of a [`Message`], in the order in which they are read.
const MESSAGE: &str = "id, webhook, event, data, used, at_ms, state, attempts, next_try_at_ms, ended_at_ms,
    last_status, last_error";

fn messages<E: From<String>>(rows: &[ResultRow]) -> Result<Vec<Message>, E> {
    let small = |row: &ResultRow, at| u16::try_from(row.number(at)?).map_err(|error| error.to_string());
    let message = |row: &ResultRow| {
        Ok(Message {
            id: row.text(0)?,
            webhook: row.text(1)?,
            event: row.text(2)?,
            data: row.text(3)?,
            used: row.count(4)?,
            at_ms: row.number(5)?,
            state: row.text(6)?,
            attempts: u32::try_from(row.number(7)?).map_err(|error| error.to_string())?,
            next_try_at_ms: row.number(8)?,
            ended_at_ms: row.optional(9, ResultRow::number)?,
            last_status: row.optional(10, small)?,
            last_error: row.text(11)?,
        })
    };
    rows.iter().map(|row| message(row).map_err(String::into)).collect()
}

/// Takes messages that are due.
pub async fn claim<S: Session>(session: &S, claim: &Claim<'_>) -> Result<Vec<Message>, S::Error> {
    let statement = format!(
        "UPDATE webhook_outbox SET attempts = attempts + 1, next_try_at_ms = $3
         WHERE id IN (SELECT id FROM webhook_outbox
             WHERE webhook = $1 AND state = 'pending' AND next_try_at_ms <= $2
             ORDER BY next_try_at_ms, at_ms, id LIMIT $4 {})
         RETURNING {MESSAGE}",
        S::SKIP_LOCKED
    );
    let until_ms = claim.now_ms + claim.lease_ms;
    let parameters =
        [claim.webhook.into(), claim.now_ms.into(), until_ms.into(), i64::from(claim.max).into()];
    messages(&session.query(&statement, &parameters).await?)
}

/// Notes how an attempt ended.
pub async fn tried<S: Session>(session: &S, tried: &Tried) -> Result<(), S::Error> {
    let (state, next_try_at_ms) = match tried.attempt {
        Attempt::Delivered => ("delivered", None),
        Attempt::Again(at_ms) => ("pending", Some(at_ms)),
        Attempt::Dead => ("dead", None),
    };
    let ended_at_ms = next_try_at_ms.is_none().then_some(tried.now_ms);
    let statement =
        "UPDATE webhook_outbox SET state = CAST($2 AS text), next_try_at_ms = coalesce($3, next_try_at_ms),
            ended_at_ms = $4, last_status = $5, last_error = $6
        WHERE id = $1 AND state <> 'delivered'
            AND (CAST($2 AS text) = 'delivered' OR (state = 'pending' AND attempts = $7))";
    let number = |number: Option<i64>| number.map_or(Value::Null, Value::from);
    let parameters = [
        tried.id.as_str().into(),
        state.into(),
        number(next_try_at_ms),
        number(ended_at_ms),
        number(tried.status.map(i64::from)),
        tried.error.replace('\0', "\u{FFFD}").into(),
        i64::from(tried.attempts).into(),
    ];
    session.execute(statement, &parameters).await?;
    Ok(())
}

/// Messages that are not delivered, newest first.
pub async fn undelivered<S: Session>(
    session: &S,
    state: Option<&str>,
    max: u32,
) -> Result<Vec<Message>, S::Error> {
    let statement = format!(
        "SELECT {MESSAGE} FROM webhook_outbox
         WHERE state <> 'delivered' AND state = coalesce($1, state) ORDER BY at_ms DESC, id LIMIT $2"
    );
    let parameters = [state.map_or(Value::Null, Value::from), i64::from(max).into()];
    messages(&session.query(&statement, &parameters).await?)
}

/// How many are not delivered.
pub async fn counts<S: Session>(session: &S) -> Result<OutboxCounts, S::Error> {
    let statement = "SELECT count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'dead')
        FROM webhook_outbox WHERE state <> 'delivered'";
    let row = session.one(statement, &[]).await?;
    Ok(OutboxCounts { pending: row.count(0)?, dead: row.count(1)? })
}

/// Makes one message, or all dead ones, due at once, with its audit row, in the session's transaction.
pub async fn retry<S: Session>(
    session: &S,
    id: Option<&str>,
    now_ms: i64,
    audit: &Audit<'_>,
) -> Result<u64, S::Error> {
    session.lock_audit().await?;
    let whom = if id.is_some() { "id = $1" } else { "state = 'dead'" };
    let statement = format!(
        "UPDATE webhook_outbox SET state = 'pending', attempts = 0, next_try_at_ms = 0, ended_at_ms = NULL
         WHERE state <> 'delivered' AND {whom}"
    );
    let parameters: Vec<_> = id.into_iter().map(Value::from).collect();
    let retried = session.execute(&statement, &parameters).await?;
    if retried > 0 {
        audit::write(session, now_ms, audit).await?;
    }
    Ok(retried)
}

/// Deletes messages whose time is over.
pub async fn forget_expired<S: Session>(session: &S, now_ms: i64, max: u32) -> Result<u64, S::Error> {
    let statement = format!(
        "DELETE FROM webhook_outbox WHERE id IN
             (SELECT id FROM webhook_outbox WHERE expires_at_ms <= $1 LIMIT $2 {})",
        S::SKIP_LOCKED
    );
    session.execute(&statement, &[now_ms.into(), i64::from(max).into()]).await
}
