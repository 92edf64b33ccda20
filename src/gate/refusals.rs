//! What this run of the gateway has refused, by day and reason: counted in memory, written to the ledger every few seconds
//! as totals. A crash loses the last seconds; a refusal costs nothing, so no money goes with them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Gate;
use crate::quota::Calendar;
use crate::store::{RefusalTotal, StoreError};

/// How often the totals are written.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// Days kept in memory: a day that is over is written once more and then dropped.
const DAYS_MAX: usize = 3;

/// The counts of one run.
#[derive(Debug)]
pub(super) struct Refusals {
    /// Names this run in the ledger.
    run: String,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    days: BTreeMap<String, BTreeMap<&'static str, u64>>,
    is_written: bool,
}

impl Refusals {
    pub fn new(run: String) -> Self {
        Self { run, counts: Mutex::new(Counts { is_written: true, ..Counts::default() }) }
    }

    fn add(&self, day: &str, reason: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.is_written = false;
        if let Some(reasons) = counts.days.get_mut(day) {
            *reasons.entry(reason).or_default() += 1;
        } else {
            counts.days.insert(day.to_owned(), BTreeMap::from([(reason, 1)]));
        }
    }

    /// What the ledger does not have yet. It counts as written from here on: the caller says if it was not.
    fn take(&self) -> Vec<RefusalTotal> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut counts.is_written, true) {
            return Vec::new();
        }
        let totals = counts.days.iter().flat_map(|(day, reasons)| {
            reasons.iter().map(|(reason, refused)| RefusalTotal {
                day: day.clone(),
                reason,
                refused: *refused,
            })
        });
        totals.collect()
    }

    /// The ledger has them: days that are over need not be kept.
    fn written(&self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        while counts.is_written && counts.days.len() > DAYS_MAX {
            counts.days.pop_first();
        }
    }

    /// The ledger did not take them.
    fn failed(&self) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).is_written = false;
    }
}

impl Gate {
    /// Counts a refusal for analytics; `reason` is a value of the metric label `outcome`.
    pub fn refused(&self, reason: &'static str) {
        let rules = self.rules.load();
        let day = Calendar::Day.period_at(self.now(), rules.policy.zone);
        self.refusals.add(&day.id, reason);
    }

    /// Writes what was refused since the last time.
    ///
    /// # Errors
    /// The ledger's: the next call writes them.
    pub async fn write_refusals(&self) -> Result<(), StoreError> {
        let totals = self.refusals.take();
        if totals.is_empty() {
            return Ok(());
        }
        let written = self.ledger.record_refusals(&self.refusals.run, &totals).await;
        match &written {
            Ok(()) => self.refusals.written(),
            Err(_) => self.refusals.failed(),
        }
        written
    }

    pub(super) async fn run_refusals(&self) {
        loop {
            tokio::time::sleep(WRITE_EVERY).await;
            if let Err(error) = self.write_refusals().await {
                tracing::debug!(%error, "refusals are written later");
            }
        }
    }
}
