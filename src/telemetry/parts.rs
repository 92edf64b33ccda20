//! What each part of the gateway counts for itself: the gate, the journal, the writer to the ledger, the notifier.

use prometheus::{Error, IntCounter, IntCounterVec, IntGauge};

use super::registrar::Registrar;

/// Of admission and settlement.
pub struct GateCounters {
    /// Requests admitted without the counters.
    pub degraded: IntCounter,
    /// Settles that came after their lease had ended.
    pub late: IntCounter,
    /// Holds whose lease ended without a settle.
    pub expired: IntCounter,
    /// Domains loaded from the ledger.
    pub rebuilds: IntCounter,
    /// Settles that were given up.
    pub abandoned: IntCounter,
    /// Counters that differed from the ledger when they were compared.
    pub drift: IntCounter,
    /// Ends of requests that the journal did not take.
    pub unrecorded: IntCounter,
}

impl GateCounters {
    pub(super) fn new(set: &Registrar<'_>) -> Result<Self, Error> {
        Ok(Self {
            degraded: set
                .counter("tollgate_degraded_admissions_total", "requests admitted without the counters")?,
            late: set
                .counter("tollgate_late_settles_total", "settles that came after their lease had ended")?,
            expired: set
                .counter("tollgate_holds_expired_total", "holds whose lease ended without a settle")?,
            rebuilds: set.counter("tollgate_counter_rebuilds_total", "domains loaded from the ledger")?,
            abandoned: set.counter(
                "tollgate_abandoned_settles_total",
                "settles that were given up: the counters are loaded anew from the ledger",
            )?,
            drift: set.counter("tollgate_counter_drift_total", "counters that differed from the ledger")?,
            unrecorded: set.counter(
                "tollgate_journal_unrecorded_ends_total",
                "ends of requests that the journal did not take",
            )?,
        })
    }
}

/// Of the journal.
pub struct JournalGauges {
    /// Records the ledger does not have.
    pub pending: IntGauge,
    /// Segments with damage inside.
    pub damaged: IntGauge,
    /// Segments that were given up since the start.
    pub poisoned: IntGauge,
    /// 1 while it takes no more.
    pub full: IntGauge,
    /// 1 when the thread that syncs has died.
    pub unsynced: IntGauge,
}

impl JournalGauges {
    pub(super) fn new(set: &Registrar<'_>) -> Result<Self, Error> {
        Ok(Self {
            pending: set.gauge("tollgate_journal_pending_events", "records that the ledger does not have")?,
            damaged: set.gauge(
                "tollgate_journal_damaged_segments",
                "journal segments with damage inside; copies are in `journal/quarantine`",
            )?,
            poisoned: set.gauge(
                "tollgate_journal_poisoned_segments",
                "journal segments given up after a failed write or sync since the start",
            )?,
            full: set.gauge("tollgate_journal_full", "1 while the journal takes no more requests")?,
            unsynced: set.gauge(
                "tollgate_journal_unsynced",
                "1 when the journal's records are no longer synced to the disk until a restart",
            )?,
        })
    }
}

/// Of the writer to the ledger.
pub struct LedgerCounters {
    /// Rows that this gateway has written.
    pub rows: IntCounter,
    /// Rows that stood there already.
    pub duplicates: IntCounter,
    /// Rows that were put into quarantine.
    pub quarantined: IntCounter,
    /// How often retained rows were sent again because the ledger's history had changed.
    pub replays: IntCounter,
}

impl LedgerCounters {
    pub(super) fn new(set: &Registrar<'_>) -> Result<Self, Error> {
        Ok(Self {
            rows: set.counter("tollgate_ledger_rows_total", "rows written to the ledger")?,
            duplicates: set
                .counter("tollgate_ledger_duplicates_total", "rows that the ledger had already")?,
            quarantined: set.counter(
                "tollgate_ledger_quarantined_total",
                "rows that the ledger refused for good; they are in `journal/quarantine`",
            )?,
            replays: set.counter(
                "tollgate_ledger_replays_total",
                "times that retained rows were sent again, because the ledger was set back",
            )?,
        })
    }
}

/// Of the notifier.
pub(super) struct Webhooks {
    pub(super) attempts: IntCounterVec,
    pub(super) pending: IntGauge,
    pub(super) dead: IntGauge,
}

impl Webhooks {
    pub(super) fn new(set: &Registrar<'_>) -> Result<Self, Error> {
        Ok(Self {
            attempts: set.counters(
                "tollgate_webhooks_total",
                "attempts to deliver a webhook, by result",
                &["webhook", "result"],
            )?,
            pending: set.gauge("tollgate_webhooks_pending", "webhooks that are not delivered yet")?,
            dead: set.gauge("tollgate_webhooks_dead", "webhooks that were given up")?,
        })
    }
}
