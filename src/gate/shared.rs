//! What the parts of the gate are built from and share: the stores, the time of the counters, the counts for the metrics
//! page. It must not know what any part does with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::rules::Rules;
use crate::clock::{Clock, Timestamp};
use crate::store::journal::Journal;
use crate::store::{Counters, Ledger};

/// What the gate is built from.
pub struct Parts {
    /// The counters of record.
    pub counters: Arc<dyn Counters>,
    /// Counters inside this process, for the `ledger` policy while `counters` cannot be reached.
    pub fallback: Option<Arc<dyn Counters>>,
    /// The truth.
    pub ledger: Arc<dyn Ledger>,
    /// The durable record of this gateway.
    pub journal: Arc<Journal>,
    /// The rules at start.
    pub rules: Arc<Rules>,
    /// The time.
    pub clock: Clock,
}

/// Counts that the gate keeps for the metrics page.
#[derive(Debug, Default)]
pub struct GateCounts {
    /// Requests admitted without the counters.
    pub degraded: AtomicU64,
    /// Settles that came after their lease had ended.
    pub late: AtomicU64,
    /// Leases that ended without a settle.
    pub expired: AtomicU64,
    /// Domains loaded from the ledger.
    pub rebuilds: AtomicU64,
    /// Settles given up after their time: the domain is loaded anew.
    pub abandoned: AtomicU64,
    /// Counters that were not the ledger's totals when they were compared.
    pub drift: AtomicU64,
    /// ENDs that the journal did not take.
    pub unrecorded: AtomicU64,
}

/// The time by which periods are cut: that of the counters' store, which all gateways share.
pub(super) struct CountersTime {
    clock: Clock,
    /// The store's clock minus ours, in milliseconds.
    offset_ms: AtomicI64,
}

impl CountersTime {
    pub fn new(clock: Clock) -> Self {
        Self { clock, offset_ms: AtomicI64::new(0) }
    }

    /// The counters' time.
    pub fn now(&self) -> Timestamp {
        let offset_ms = self.offset_ms.load(Ordering::Relaxed);
        Timestamp::from_millisecond(self.own_ms().saturating_add(offset_ms))
    }

    /// Our own time, milliseconds since 1970: for what never leaves this process.
    pub fn own_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The counters answered at this moment of theirs.
    pub fn learn(&self, store_now_ms: i64) {
        self.offset_ms.store(store_now_ms.saturating_sub(self.own_ms()), Ordering::Relaxed);
    }

    /// A new id for a request.
    pub fn request_id(&self) -> uuid::Uuid {
        self.clock.request_id()
    }
}
