//! Where analytics and history are read: a copy of the ledger if one is configured, else (and when the copy fails) the
//! ledger itself. Nothing that decides about quota is read here, because a copy lags behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Analytics, Day, KnownUser, Ledger, MonthUsage, StoreError};

/// The ledger and its copy, for reading.
pub struct Reads {
    primary: Arc<dyn Ledger>,
    replica: Option<Arc<dyn Ledger>>,
    failures: AtomicU64,
}

impl Reads {
    /// Reads `replica` where there is one.
    pub fn new(primary: Arc<dyn Ledger>, replica: Option<Arc<dyn Ledger>>) -> Self {
        Self { primary, replica, failures: AtomicU64::new(0) }
    }

    /// As [`Ledger::analytics`].
    ///
    /// # Errors
    /// The ledger's, if its copy did not answer either.
    pub async fn analytics(&self, from: &Day, to: &Day) -> Result<Analytics, StoreError> {
        if let Some(replica) = &self.replica {
            match replica.analytics(from, to).await {
                Ok(found) => return Ok(found),
                Err(error) => self.failed(&error),
            }
        }
        self.primary.analytics(from, to).await
    }

    /// As [`Ledger::users`].
    ///
    /// # Errors
    /// The ledger's, if its copy did not answer either.
    pub async fn users(&self, prefix: &str, after: &str, max: u32) -> Result<Vec<KnownUser>, StoreError> {
        if let Some(replica) = &self.replica {
            match replica.users(prefix, after, max).await {
                Ok(users) => return Ok(users),
                Err(error) => self.failed(&error),
            }
        }
        self.primary.users(prefix, after, max).await
    }

    /// As [`Ledger::history`].
    ///
    /// # Errors
    /// The ledger's, if its copy did not answer either.
    pub async fn history(&self, user: &str, months: u32) -> Result<Vec<MonthUsage>, StoreError> {
        if let Some(replica) = &self.replica {
            match replica.history(user, months).await {
                Ok(history) => return Ok(history),
                Err(error) => self.failed(&error),
            }
        }
        self.primary.history(user, months).await
    }

    /// How often the copy failed and the ledger was read instead.
    pub fn replica_failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn failed(&self, error: &StoreError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%error, "the replica did not answer: reading the ledger itself");
    }
}

#[cfg(test)]
mod tests;
