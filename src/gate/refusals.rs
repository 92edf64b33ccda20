//! What this run of the gateway has refused, by day and reason: counted in memory, written to the ledger every few seconds
//! as totals. A crash loses the last seconds; a refusal costs nothing, so no money goes with them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::rules::Rules;
use super::shared::{CountersTime, Parts};
use crate::quota::Calendar;
use crate::store::{Ledger, RefusalTotal, StoreError};

/// How often the totals are written.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// Days kept in memory: a day that is over is written once more and then dropped.
const DAYS_MAX: usize = 3;

/// The counts of one run.
pub struct Refusals {
    ledger: Arc<dyn Ledger>,
    rules: Arc<ArcSwap<Rules>>,
    time: Arc<CountersTime>,
    /// Names this run in the ledger.
    run: String,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    days: BTreeMap<String, BTreeMap<&'static str, u64>>,
    is_written: bool,
}

impl Refusals {
    pub(super) fn new(parts: &Parts, rules: Arc<ArcSwap<Rules>>, time: Arc<CountersTime>) -> Self {
        let counts = Mutex::new(Counts { is_written: true, ..Counts::default() });
        let run = time.request_id().simple().to_string();
        Self { ledger: Arc::clone(&parts.ledger), rules, time, run, counts }
    }

    /// Counts a refusal; `reason` is a value of the metric label `outcome`.
    pub fn add(&self, reason: &'static str) {
        let today = Calendar::Day.period_at(self.time.now(), self.rules.load().policy.zone);
        let day: &str = &today.id;
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

    /// Writes what was refused since the last time.
    ///
    /// # Errors
    /// The ledger's: the next call writes them.
    pub async fn write(&self) -> Result<(), StoreError> {
        let totals = self.take();
        if totals.is_empty() {
            return Ok(());
        }
        let written = self.ledger.record_refusals(&self.run, &totals).await;
        match &written {
            Ok(()) => self.written(),
            Err(_) => self.failed(),
        }
        written
    }

    /// Writes them now and then, for ever.
    pub(super) async fn run(&self) {
        loop {
            tokio::time::sleep(WRITE_EVERY).await;
            if let Err(error) = self.write().await {
                tracing::debug!(%error, "refusals are written later");
            }
        }
    }
}
