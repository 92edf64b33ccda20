//! While the counters cannot be reached: which domains were decided without them, so that they are loaded anew after.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::quota::Domain;
use crate::store::StoreError;

/// The state of an outage.
#[derive(Default)]
pub(super) struct Outage {
    open: AtomicBool,
    touched: Mutex<HashSet<Domain>>,
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

    /// A domain was decided without the counters.
    pub fn touched(&self, domain: &Domain) {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).insert(domain.clone());
    }

    /// Was any domain decided without the counters that was not taken yet?
    pub fn has_touched(&self) -> bool {
        !self.touched.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Takes the domains that were decided without the counters.
    pub fn take_touched(&self) -> HashSet<Domain> {
        std::mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
