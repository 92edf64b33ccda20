//! An administrator's reset: the owner's next epoch and its audit row, or neither.

use deadpool_postgres::{Object, Transaction};

use super::error::Failure;
use crate::store::audit::{Audit, AuditRecord};
use crate::store::ledger::ResetRequest;
use crate::store::row;
use crate::store::totals::OwnerEpoch;

/// Audit rows are written one after the other: each hash covers the row before it. `tollaudi` in ASCII.
pub(super) const AUDIT_LOCK: i64 = 0x746f_6c6c_6175_6469;

/// Opens the next epoch. Its time never goes back, even if the caller's clock does.
pub(super) async fn reset(client: &mut Object, request: &ResetRequest<'_>) -> Result<OwnerEpoch, Failure> {
    let owner_key = row::key(request.owner_key).into_owned();
    let transaction = client.transaction().await?;
    // The lock comes first: every reset takes its locks in this order, and each statement after it sees the last row.
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&AUDIT_LOCK]).await?;
    let row = transaction
        .query_one(
            "INSERT INTO usage_epochs AS stored (domain, owner_key, epoch, reset_at_ms) VALUES ($1, $2, 1, $3)
             ON CONFLICT (domain, owner_key) DO UPDATE SET
                 epoch = stored.epoch + 1, reset_at_ms = greatest(stored.reset_at_ms, excluded.reset_at_ms)
             RETURNING epoch, reset_at_ms",
            &[&row::domain(request.domain).as_ref(), &owner_key, &request.now_ms],
        )
        .await?;
    write_audit(&transaction, request.now_ms, &request.audit).await?;
    transaction.commit().await?;
    Ok(OwnerEpoch { owner_key, epoch: row::epoch(row.try_get(0)?)?, reset_at_ms: row.try_get(1)? })
}

/// Writes the audit row that follows the last one; the caller holds [`AUDIT_LOCK`].
pub(super) async fn write_audit(
    transaction: &Transaction<'_>,
    now_ms: i64,
    audit: &Audit<'_>,
) -> Result<(), Failure> {
    let last = transaction
        .query_opt("SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1", &[])
        .await?
        .map(|row| Ok::<_, Failure>((row.try_get(0)?, row.try_get(1)?)))
        .transpose()?;
    let next = AuditRecord::next(last, now_ms, audit);
    transaction
        .execute(
            "INSERT INTO audit_log (seq, at_ms, actor, action, subject, reason, detail, prev_hash, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            &[
                &next.seq,
                &next.at_ms,
                &next.actor,
                &next.action,
                &next.subject,
                &next.reason,
                &next.detail,
                &next.prev_hash,
                &next.hash,
            ],
        )
        .await?;
    Ok(())
}
