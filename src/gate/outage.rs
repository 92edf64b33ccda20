//! Can the counters be reached?

use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::StoreError;

/// The state of an outage.
#[derive(Default)]
pub(super) struct Outage {
    open: AtomicBool,
}

impl Outage {
    /// The counters failed. Logged once an outage.
    pub fn opened(&self, error: &StoreError) {
        if !self.open.swap(true, Ordering::AcqRel) {
            tracing::warn!(%error, "the counters cannot be reached: the outage policy decides");
        }
    }

    /// The counters answered.
    pub fn closed(&self) {
        if self.open.load(Ordering::Relaxed) && self.open.swap(false, Ordering::AcqRel) {
            tracing::info!("the counters answer again");
        }
    }

    /// Is it going on?
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }
}
