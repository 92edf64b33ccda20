//! What the rest of the gateway sees of the writer: its lag, its counts, and a way to wait for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::store::journal::Journal;

/// A view of the writer for gauges, health and shutdown. Cheap to clone.
#[derive(Clone)]
pub struct WriterHandle {
    journal: Arc<Journal>,
    clock: Clock,
    shared: Arc<Shared>,
}

/// The ledger did not have everything in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the ledger has not taken over {pending} ended requests yet; they stay in the journal")]
pub struct FlushTimeout {
    /// How many are left.
    pub pending: u64,
}

/// What the writer has done since the start, for the metrics page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterCounts {
    /// Rows that went into the ledger.
    pub rows: u64,
    /// Rows that stood there already.
    pub duplicates: u64,
    /// Rows that were put into quarantine.
    pub quarantined: u64,
    /// How often the retained rows were sent again because the ledger's history had changed.
    pub replays: u64,
}

/// What the writer and its handles share.
#[derive(Default)]
pub(super) struct Shared {
    counts: Mutex<WriterCounts>,
    pub(super) degraded: AtomicBool,
    pub(super) hurry: Notify,
}

impl Shared {
    pub(super) fn counts(&self) -> MutexGuard<'_, WriterCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WriterHandle {
    pub(super) fn new(journal: Arc<Journal>, clock: Clock, shared: Arc<Shared>) -> Self {
        Self { journal, clock, shared }
    }

    /// Age of the oldest ended request that the ledger does not have, in milliseconds; 0 if it has all.
    pub fn lag_ms(&self) -> u64 {
        self.journal.oldest_pending_ms(self.clock.now_ms())
    }

    /// What was written since the start.
    pub fn counts(&self) -> WriterCounts {
        *self.shared.counts()
    }

    /// Does the ledger (or the journal's disk) refuse service at the moment?
    pub fn is_degraded(&self) -> bool {
        self.shared.degraded.load(Ordering::Relaxed)
    }

    /// Waits until the ledger has every request that ended before this call.
    ///
    /// # Errors
    /// [`FlushTimeout`] after `timeout`.
    pub async fn flush(&self, timeout: Duration) -> Result<(), FlushTimeout> {
        let target = self.journal.last_end();
        self.shared.hurry.notify_one();
        let done = tokio::time::timeout(timeout, self.journal.wait_for_ack(target)).await;
        done.map_err(|_| FlushTimeout { pending: self.journal.pending_events() })
    }
}
