//! Stops calls to a server that does not answer, so that a dead or slow one costs most requests nothing.
//!
//! It must not know connections: it is told of outcomes, and the heartbeat closes it again.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::store::{StoreError, StoreKind};

/// Calls in a row without an answer before the next ones are not tried.
const FAILURES: u32 = 3;

/// Open after [`FAILURES`], until the server answers a heartbeat.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: AtomicU32,
    open: AtomicBool,
}

impl Breaker {
    /// May the call be tried?
    pub(super) fn check(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.is_open() {
            return Err(StoreError::transient(StoreKind::Redis, operation, "the server does not answer"));
        }
        Ok(())
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// The server answered.
    pub(super) fn answered(&self) {
        // a load first: on the good path no cache line is taken from other cores
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A call had no answer.
    pub(super) fn failed(&self) {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES
            && !self.open.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("redis does not answer: calls fail at once until it does");
        }
    }

    /// A heartbeat was answered.
    pub(super) fn close(&self) {
        self.answered();
        if self.open.swap(false, Ordering::Relaxed) {
            tracing::info!("redis answers again");
        }
    }
}
