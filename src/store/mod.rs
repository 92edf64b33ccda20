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
pub mod journal;
pub mod late;
pub mod ledger;
#[cfg(test)]
pub(crate) mod ledger_suite;
pub mod measured;
pub mod memory;
pub mod outbox;
pub mod postgres;
pub mod redis;
pub mod replica;
mod rollup;
mod row;
pub mod sqlite;
mod totals;
pub mod writer;

pub use analytics::{ActiveUsers, Analytics, DayUsage, KnownUser, NamedSums, RefusalTotal, UsageSums};
pub use audit::{Audit, AuditFilter};
pub use calls::{Calls, Histogram, ModelCalls};
pub use counters::{
    Admission, Announcement, Counters, CountersEvent, DomainDump, MessageKey, Refused, Reserve, Reserved,
    Settled, Snapshot,
};
pub use day::Day;
pub use entry::{Alerts, Entry, LimitAlert, Outcome};
pub use ledger::{Ingested, Ledger, LedgerTotals, MonthUsage, ResetRequest, Seen};
pub use outbox::Outbox;
pub use totals::{BucketTotal, DomainTotals, OwnerEpoch};

use thiserror::Error;

/// A store that did not do what was asked.
#[derive(Debug, Error)]
#[error("{store} {operation}: {message}")]
pub struct StoreError {
    /// `memory`, `redis`, `sqlite`, `postgres` or `journal`.
    pub store: &'static str,
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
    pub fn transient(store: &'static str, operation: &'static str, message: impl std::fmt::Display) -> Self {
        Self { store, operation, message: message.to_string(), transient: true, late: false }
    }

    /// No answer in time from a store that is not known to be away.
    pub fn late(store: &'static str, operation: &'static str, message: impl std::fmt::Display) -> Self {
        Self { late: true, ..Self::transient(store, operation, message) }
    }

    /// An error that stays until somebody acts: wrong data, wrong schema, no permission.
    pub fn permanent(store: &'static str, operation: &'static str, message: impl std::fmt::Display) -> Self {
        Self { store, operation, message: message.to_string(), transient: false, late: false }
    }
}

#[cfg(test)]
mod tests;
