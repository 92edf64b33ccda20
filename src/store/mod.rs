//! Where quota and usage are kept: the traits [`Counters`] and [`Ledger`], their implementations, the journal and the
//! writer. Stores do arithmetic; they know no plan, no model and no HTTP.
//!
//! Conventions, for every implementation:
//! * Each call is atomic for its domain (counters) or its batch (ledger) and idempotent by request id.
//! * "Nothing there" is a value (`Cold`, `None`), never an error.
//! * [`StoreError::transient`] is decided here, where the driver's error is known; callers only choose a policy.

pub mod analytics;
pub mod audit;
mod calls;
pub mod counters;
mod day;
mod digest;
pub mod entry;
mod fold;
pub mod journal;
pub mod ledger;
#[cfg(test)]
pub(crate) mod ledger_suite;
pub mod memory;
pub mod outbox;
pub mod postgres;
pub mod redis;
pub mod replica;
mod rollup;
mod row;
mod sql;
pub mod sqlite;
pub mod timing;
mod totals;
pub mod writer;

pub use analytics::{ActiveUsers, Analytics, DayUsage, KnownUser, NamedSums, RefusalTotal, UsageSums};
pub use audit::{Audit, AuditFilter};
pub use calls::{Calls, Histogram, ModelCalls};
pub use counters::{
    Announcement, Counters, CountersEvent, DomainDump, HeldTotal, HoldLease, MessageKey, Reserve, Reserved,
    Settled,
};
pub use day::Day;
pub use entry::{Alerts, Entry, LimitAlert, Outcome};
pub use ledger::{Ingested, Ledger, LedgerTotals, Messages, MonthUsage, ResetRequest, Seen};
pub use outbox::Outbox;
pub use totals::{BucketTotal, DomainTotals, OwnerEpoch};

use std::fmt;

use thiserror::Error;

/// The kinds of stores, as errors tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Counters inside the process.
    Memory,
    /// Counters in Redis or Valkey.
    Redis,
    /// The ledger in a file.
    Sqlite,
    /// The ledger in PostgreSQL.
    Postgres,
    /// The gateway's own durable record.
    Journal,
    /// One domain: its counters answer, yet it could not be brought to a state that decides.
    Domain,
}

impl StoreKind {
    /// The name in errors and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "redis",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Journal => "journal",
            Self::Domain => "counters",
        }
    }

    /// Does an error of this store say that the counters themselves cannot be used? A domain that cannot be loaded is its
    /// own trouble or the ledger's.
    pub const fn is_counters(self) -> bool {
        match self {
            Self::Memory | Self::Redis => true,
            Self::Sqlite | Self::Postgres | Self::Journal | Self::Domain => false,
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A store that did not do what was asked.
#[derive(Debug, Error)]
#[error("{store} {operation}: {message}")]
pub struct StoreError {
    /// Whose error it is.
    pub store: StoreKind,
    /// What was asked, such as `reserve` or `ingest`.
    pub operation: &'static str,
    /// The driver's words, without credentials.
    pub message: String,
    /// May the same call succeed later without anybody changing anything?
    pub transient: bool,
    /// Did the store only not answer in time, while it is not known to be away? It may have done what was asked.
    pub late: bool,
}

impl StoreError {
    /// An error that may pass by itself: connection lost, time-out, server starting, lock not free.
    pub fn transient(store: StoreKind, operation: &'static str, message: impl fmt::Display) -> Self {
        Self { store, operation, message: message.to_string(), transient: true, late: false }
    }

    /// No answer in time from a store that is not known to be away.
    pub fn late(store: StoreKind, operation: &'static str, message: impl fmt::Display) -> Self {
        Self { late: true, ..Self::transient(store, operation, message) }
    }

    /// An error that stays until somebody acts: wrong data, wrong schema, no permission.
    pub fn permanent(store: StoreKind, operation: &'static str, message: impl fmt::Display) -> Self {
        Self { store, operation, message: message.to_string(), transient: false, late: false }
    }
}

#[cfg(test)]
mod tests;
