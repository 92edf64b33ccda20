//! The audit log's records and their hash chain: a changed, removed or reordered row shows, because each hash covers the
//! row and the hash before it. It must not know where the rows are kept.

use sha2::{Digest, Sha256};

/// The hash before the first record.
pub(super) const GENESIS: [u8; 32] = [0; 32];
/// Longest text of a record in bytes; longer ones are cut, so that a row stays a row.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Who did what, when, why. Insert-only.
#[derive(Clone, Copy, Debug)]
pub struct Audit<'a> {
    /// The administrator's user id, or `cli`.
    pub actor: &'a str,
    /// Such as `usage.reset`.
    pub action: &'a str,
    /// Whom it was done to.
    pub subject: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Details as a JSON text.
    pub detail: &'a str,
}

impl<'a> Audit<'a> {
    /// Its texts, for another thread to own.
    pub(super) fn texts(&self) -> [String; 5] {
        [self.actor, self.action, self.subject, self.reason, self.detail].map(str::to_owned)
    }

    /// What has these texts.
    pub(super) fn of([actor, action, subject, reason, detail]: &'a [String; 5]) -> Self {
        Self { actor, action, subject, reason, detail }
    }
}

/// Which rows of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only before this record: the last one of the page before. `None`: from the newest on.
    pub before_seq: Option<i64>,
    /// Not older than this, milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Only what this administrator did.
    pub actor: Option<String>,
    /// Only this kind of act.
    pub action: Option<String>,
    /// Only what was done to this user, or this message of the outbox.
    pub subject: Option<String>,
    /// At most so many rows.
    pub max: u32,
}

impl AuditFilter {
    /// With its texts as they stand in a record, so that a look-up finds what was written.
    pub(super) fn as_written(&self) -> Self {
        let written = |text: &Option<String>| text.as_deref().map(clean);
        Self {
            actor: written(&self.actor),
            action: written(&self.action),
            subject: written(&self.subject),
            ..self.clone()
        }
    }
}

/// One row of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// 1, 2, 3 … without gaps.
    pub seq: i64,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// The administrator's user id, or `cli`.
    pub actor: String,
    /// Such as `usage.reset`.
    pub action: String,
    /// Whom it was done to.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// Details as a JSON text.
    pub detail: String,
    /// Hash of the record before; zeros for the first.
    pub prev_hash: Vec<u8>,
    /// SHA-256 over all of the above, each text with its length.
    pub hash: Vec<u8>,
}

impl AuditRecord {
    /// The record that follows the last one.
    pub(super) fn next(last: Option<(i64, Vec<u8>)>, at_ms: i64, audit: &Audit<'_>) -> Self {
        let (seq, prev_hash) = last.unwrap_or((0, GENESIS.to_vec()));
        let mut record = Self {
            seq: seq + 1,
            at_ms,
            actor: clean(audit.actor),
            action: clean(audit.action),
            subject: clean(audit.subject),
            reason: clean(audit.reason),
            detail: clean(audit.detail),
            prev_hash,
            hash: Vec::new(),
        };
        record.hash = record.true_hash();
        record
    }

    fn true_hash(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(&self.prev_hash);
        hash.update(self.seq.to_be_bytes());
        hash.update(self.at_ms.to_be_bytes());
        for text in [&self.actor, &self.action, &self.subject, &self.reason, &self.detail] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        hash.finalize().to_vec()
    }
}

/// The sequence number of the first record that does not follow from the one before it; `None` if the chain is whole.
/// The records must be in order; `before` is the last record already checked.
pub fn first_broken(before: Option<&AuditRecord>, records: &[AuditRecord]) -> Option<i64> {
    let (mut seq, mut hash) = before.map_or((0, GENESIS.to_vec()), |last| (last.seq, last.hash.clone()));
    for record in records {
        if record.seq != seq + 1 || record.prev_hash != hash || record.hash != record.true_hash() {
            return Some(record.seq);
        }
        (seq, hash) = (record.seq, record.hash.clone());
    }
    None
}

/// A text as it stands in a record: PostgreSQL's text cannot hold NUL.
fn clean(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].replace('\0', "\u{FFFD}")
}

#[cfg(test)]
mod tests;
