//! The ledger: the truth about usage. `message_logs` holds a row for each metered request, `user_usage` the running
//! totals, which always equal the fold of the rows.

use async_trait::async_trait;
use uuid::Uuid;

use super::StoreError;
use super::analytics::{Analytics, KnownUser, RefusalTotal};
use super::audit::{Audit, AuditFilter, AuditRecord};
use super::day::Day;
use super::entry::Entry;
use super::totals::{BucketTotal, DomainTotals, OwnerEpoch};
use crate::quota::Domain;

/// The ledger.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Creates or upgrades the tables.
    async fn migrate(&self) -> Result<(), StoreError>;

    /// Writes a batch in one transaction. Rows that stand already (by month and id) add nothing; only rows that really
    /// went in are added to `user_usage`. Repeating a batch, or one that overlaps it, is therefore a no-op.
    async fn ingest(&self, batch: &[Entry]) -> Result<Ingested, StoreError>;

    /// What the counters need to load a domain: one consistent snapshot.
    async fn load(&self, domain: &Domain, now_ms: i64) -> Result<DomainTotals, StoreError>;

    /// Records an administrator's reset: opens the owner's next epoch and writes the audit row, in one transaction.
    async fn reset(&self, request: &ResetRequest<'_>) -> Result<OwnerEpoch, StoreError>;

    /// The domain a user's requests were last counted in, newest first, at most `max`: teams a user has belonged to.
    async fn domains_of(&self, user: &str, max: u32) -> Result<Vec<Domain>, StoreError>;

    /// The plan and team of the user's newest row; `None`: never seen.
    async fn last_seen(&self, user: &str) -> Result<Option<Seen>, StoreError>;

    /// One row a month, newest first, for one user.
    async fn history(&self, user: &str, months: u32) -> Result<Vec<MonthUsage>, StoreError>;

    /// Charged messages of a user that were admitted at this time or later, milliseconds since 1970. The requests `but` are
    /// left out, whether they stand or not.
    async fn messages_since(&self, user: &str, since_ms: i64, but: &[Uuid]) -> Result<Messages, StoreError>;

    /// Domains with usage in a period that has not ended: for `verify`. Pages by name, after `after`.
    async fn domains(&self, after: &str, max: u32, now_ms: i64) -> Result<Vec<Domain>, StoreError>;

    /// Buckets where `user_usage` differs from the fold of `message_logs`: (stored, folded). Empty when all is well.
    async fn fold_differences(&self) -> Result<Vec<(BucketTotal, u64)>, StoreError>;

    /// Number of rows in `message_logs` and the sum of charged messages.
    async fn totals(&self) -> Result<LedgerTotals, StoreError>;

    /// What happened in the days `from..=to`, from the roll-ups: it never reads `message_logs`.
    async fn analytics(&self, from: &Day, to: &Day) -> Result<Analytics, StoreError>;

    /// Users who were ever charged a message and whose id begins with `prefix`: after the id `after`, in the order of code
    /// points, at most `max`.
    async fn users(&self, prefix: &str, after: &str, max: u32) -> Result<Vec<KnownUser>, StoreError>;

    /// Notes what one run of a gateway has refused since its start: totals, so repeating them changes nothing, and an older
    /// one never lowers a newer one.
    async fn record_refusals(&self, gateway: &str, totals: &[RefusalTotal]) -> Result<(), StoreError>;

    /// A page of the audit log, newest first.
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError>;

    /// Answers if the store is reachable.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// How a user was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The plan that applied.
    pub plan: String,
    /// The team that the token named.
    pub team: Option<String>,
}

/// What an ingest did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ingested {
    /// Rows that went in.
    pub inserted: u64,
    /// Rows that stood already.
    pub duplicates: u64,
    /// Which history of the database answered (PostgreSQL: its timeline; SQLite: 0). A change means that a fail-over may
    /// have lost acknowledged rows: the writer replays what the journal still has.
    pub incarnation: u64,
}

/// A reset by an administrator.
#[derive(Clone, Copy, Debug)]
pub struct ResetRequest<'a> {
    /// The domain.
    pub domain: &'a Domain,
    /// `scope|owner`.
    pub owner_key: &'a str,
    /// When, milliseconds since 1970.
    pub now_ms: i64,
    /// The audit row.
    pub audit: Audit<'a>,
}

/// Charged messages of one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// All.
    pub total: u64,
    /// Of these, on premium models.
    pub premium: u64,
}

/// One month of one user, over all domains and epochs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthUsage {
    /// `2026-11`.
    pub month: String,
    /// Charged messages.
    pub messages: u64,
    /// Of these, on premium models.
    pub premium_messages: u64,
    /// Tokens in.
    pub input_tokens: u64,
    /// Tokens out.
    pub output_tokens: u64,
    /// Cost.
    pub cost_micro_usd: u64,
}

/// Sums over the whole ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerTotals {
    /// Rows in `message_logs`.
    pub rows: u64,
    /// Charged messages.
    pub messages: u64,
}
