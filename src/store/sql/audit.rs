//! An administrator's reset with its audit row, and the audit log.

use super::{ResultRow, Session};
use crate::store::audit::{Audit, AuditFilter, AuditRecord};
use crate::store::ledger::ResetRequest;
use crate::store::row::{self, Value};
use crate::store::totals::OwnerEpoch;

/// Opens the next epoch and writes its audit row, in the session's transaction. The epoch's time never goes back, even if
/// the caller's clock does.
pub async fn reset<S: Session>(session: &S, request: &ResetRequest<'_>) -> Result<OwnerEpoch, S::Error> {
    // The lock comes first: every reset takes its locks in this order, and each statement after it sees the last row.
    session.lock_audit().await?;
    let statement = "INSERT INTO usage_epochs AS stored (domain, owner_key, epoch, reset_at_ms) VALUES ($1, $2, 1, $3)
        ON CONFLICT (domain, owner_key) DO UPDATE SET epoch = stored.epoch + 1, reset_at_ms =
            CASE WHEN stored.reset_at_ms < excluded.reset_at_ms THEN excluded.reset_at_ms ELSE stored.reset_at_ms END
        RETURNING epoch, reset_at_ms";
    let owner_key = row::key(request.owner_key);
    let parameters = [row::domain(request.domain).into(), owner_key.clone().into(), request.now_ms.into()];
    let opened = session.one(statement, &parameters).await?;
    write(session, request.now_ms, &request.audit).await?;
    let (epoch, reset_at_ms) = (row::epoch(opened.number(0)?)?, opened.number(1)?);
    Ok(OwnerEpoch { owner_key: owner_key.into_owned(), epoch, reset_at_ms })
}

/// Writes the audit row that follows the last one; the session has the lock.
pub async fn write<S: Session>(session: &S, now_ms: i64, audit: &Audit<'_>) -> Result<(), S::Error> {
    let last = session.first("SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1", &[]).await?;
    let last = last.map(|row| Ok::<_, String>((row.number(0)?, row.bytes(1)?))).transpose()?;
    let next = AuditRecord::next(last, now_ms, audit);
    let statement = format!("INSERT INTO audit_log ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    let parameters = [
        next.seq.into(),
        next.at_ms.into(),
        next.actor.into(),
        next.action.into(),
        next.subject.into(),
        next.reason.into(),
        next.detail.into(),
        Value::Bytes(next.prev_hash.into()),
        Value::Bytes(next.hash.into()),
    ];
    session.execute(&statement, &parameters).await?;
    Ok(())
}

const COLUMNS: &str = "seq, at_ms, actor, action, subject, reason, detail, prev_hash, hash";

/// The audit log in order.
pub async fn log<S: Session>(session: &S, after: i64, max: u32) -> Result<Vec<AuditRecord>, S::Error> {
    let statement = format!("SELECT {COLUMNS} FROM audit_log WHERE seq > $1 ORDER BY seq LIMIT $2");
    records(&session.query(&statement, &[after.into(), i64::from(max).into()]).await?)
}

/// A page of the audit log, newest first.
pub async fn page<S: Session>(session: &S, filter: &AuditFilter) -> Result<Vec<AuditRecord>, S::Error> {
    let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::from);
    let number = |number: Option<i64>| number.map_or(Value::Null, Value::from);
    let AuditFilter { before_seq, since_ms, actor, action, subject, max } = filter;
    let mut parameters =
        vec![number(*before_seq), number(*since_ms), text(actor), text(action), i64::from(*max).into()];
    parameters.extend(subject.clone().map(Value::from));
    records(&session.query(&page_statement(subject.is_some()), &parameters).await?)
}

/// A statement of its own for one subject: only so the index is used.
pub fn page_statement(of_subject: bool) -> String {
    let whom = if of_subject { "AND subject = $6" } else { "" };
    format!(
        "SELECT {COLUMNS} FROM audit_log WHERE seq < coalesce($1, 9223372036854775807) AND at_ms >= coalesce($2, at_ms)
             AND actor = coalesce($3, actor) AND action = coalesce($4, action) {whom} ORDER BY seq DESC LIMIT $5"
    )
}

fn records<E: From<String>>(rows: &[ResultRow]) -> Result<Vec<AuditRecord>, E> {
    let record = |row: &ResultRow| {
        Ok(AuditRecord {
            seq: row.number(0)?,
            at_ms: row.number(1)?,
            actor: row.text(2)?,
            action: row.text(3)?,
            subject: row.text(4)?,
            reason: row.text(5)?,
            detail: row.text(6)?,
            prev_hash: row.bytes(7)?,
            hash: row.bytes(8)?,
        })
    };
    rows.iter().map(record).collect()
}
