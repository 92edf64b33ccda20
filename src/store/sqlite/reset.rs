//! An administrator's reset: the owner's next epoch and its audit row, or neither.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::error::Refusal;
use crate::store::audit::{Audit, AuditRecord};
use crate::store::ledger::ResetRequest;
use crate::store::row;
use crate::store::totals::OwnerEpoch;

/// A reset request that a blocking thread can own.
pub(super) struct Reset {
    domain: String,
    owner_key: String,
    now_ms: i64,
    actor: String,
    action: String,
    subject: String,
    reason: String,
    detail: String,
}

impl From<&ResetRequest<'_>> for Reset {
    fn from(request: &ResetRequest<'_>) -> Self {
        Self {
            domain: row::domain(request.domain).into_owned(),
            owner_key: row::key(request.owner_key).into_owned(),
            now_ms: request.now_ms,
            actor: request.audit.actor.to_owned(),
            action: request.audit.action.to_owned(),
            subject: request.audit.subject.to_owned(),
            reason: request.audit.reason.to_owned(),
            detail: request.audit.detail.to_owned(),
        }
    }
}

impl Reset {
    /// Opens the next epoch. Its time never goes back, even if the caller's clock does.
    pub fn run(self, db: &mut Connection) -> Result<OwnerEpoch, Refusal> {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (epoch, reset_at_ms) = transaction.query_row(
            "INSERT INTO usage_epochs (domain, owner_key, epoch, reset_at_ms) VALUES (?1, ?2, 1, ?3)
             ON CONFLICT (domain, owner_key) DO UPDATE SET
                 epoch = epoch + 1, reset_at_ms = max(reset_at_ms, excluded.reset_at_ms)
             RETURNING epoch, reset_at_ms",
            params![self.domain, self.owner_key, self.now_ms],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let audit = Audit {
            actor: &self.actor,
            action: &self.action,
            subject: &self.subject,
            reason: &self.reason,
            detail: &self.detail,
        };
        write_audit(&transaction, self.now_ms, &audit)?;
        transaction.commit()?;
        Ok(OwnerEpoch { owner_key: self.owner_key, epoch: row::epoch(epoch)?, reset_at_ms })
    }
}

/// Writes the audit row that follows the last one.
pub(super) fn write_audit(
    transaction: &Transaction<'_>,
    now_ms: i64,
    audit: &Audit<'_>,
) -> Result<(), Refusal> {
    let last = transaction
        .query_row("SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let next = AuditRecord::next(last, now_ms, audit);
    transaction.execute(
        "INSERT INTO audit_log (seq, at_ms, actor, action, subject, reason, detail, prev_hash, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            next.seq,
            next.at_ms,
            next.actor,
            next.action,
            next.subject,
            next.reason,
            next.detail,
            next.prev_hash,
            next.hash
        ],
    )?;
    Ok(())
}
