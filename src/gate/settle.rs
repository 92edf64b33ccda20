//! Settlement: ended requests become use in the counters, off the request's path where the counters are on a server. A
//! settle is repeated for a minute; what cannot be settled by then makes its domain dirty, and a dirty domain is loaded
//! anew from the ledger.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Gate;
use crate::clock::Stopwatch;
use crate::quota::{Charge, Domain};
use crate::store::Settled;

/// Settles that may wait. More mean that the counters have been away for long: their domains are loaded anew.
const QUEUE_MAX: usize = 65_536;

/// Settles under way at once.
const AT_ONCE: usize = 512;

/// How long a settle is repeated. Tombstones live five times as long, so a repeat can never be counted twice.
const REPEAT_FOR: Duration = Duration::from_secs(60);

/// First and longest pause between repeats.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// How long a reader, or a request that would be refused, waits for this gateway's own settles.
const OWN_SETTLES_WAIT: Duration = Duration::from_millis(250);

/// How often it looks.
const OWN_SETTLES_LOOK: Duration = Duration::from_millis(1);

/// One settle to be done.
pub(super) struct Settlement {
    domain: Domain,
    rid: Uuid,
    charges: Vec<Charge>,
}

/// Settles on their way to the counters.
pub(super) struct SettleQueue {
    to: mpsc::Sender<Settlement>,
    from: Mutex<Option<mpsc::Receiver<Settlement>>>,
    dirty: Mutex<HashSet<Domain>>,
}

impl Default for SettleQueue {
    fn default() -> Self {
        let (to, from) = mpsc::channel(QUEUE_MAX);
        Self { to, from: Mutex::new(Some(from)), dirty: Mutex::default() }
    }
}

impl SettleQueue {
    /// Hands a settle over. Never waits.
    pub fn push(&self, domain: Domain, rid: Uuid, charges: Vec<Charge>) {
        if let Err(refused) = self.to.try_send(Settlement { domain, rid, charges }) {
            self.dirty().insert(refused.into_inner().domain);
        }
    }

    /// The domain's counters may lack a settle.
    pub fn spoil(&self, domain: Domain) {
        self.dirty().insert(domain);
    }

    /// Takes the dirty domains.
    pub fn take_dirty(&self) -> HashSet<Domain> {
        std::mem::take(&mut *self.dirty())
    }

    /// Is any domain dirty?
    pub fn is_dirty(&self) -> bool {
        !self.dirty().is_empty()
    }

    fn dirty(&self) -> MutexGuard<'_, HashSet<Domain>> {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receiver(&self) -> Option<mpsc::Receiver<Settlement>> {
        self.from.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Settles that wait.
    pub fn waiting(&self) -> usize {
        QUEUE_MAX - self.to.capacity()
    }
}

impl Gate {
    /// Does the settles until the gate is dropped. Runs once.
    pub(super) async fn run_settles(&self) {
        let Some(mut from) = self.settles.receiver() else { return };
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                next = from.recv(), if under_way.len() < AT_ONCE => match next {
                    Some(settlement) => under_way.push(self.settle(settlement)),
                    None => return,
                },
            }
        }
    }

    /// Settles a request that has ended: at once where the counters can, else soon.
    pub(super) fn settle_soon(&self, domain: Domain, rid: Uuid, charges: Vec<Charge>) {
        let settled =
            if self.fallback.is_none() { self.counters.settle_now(&domain, rid, &charges) } else { None };
        match settled {
            Some(settled) => self.has_settled(&domain, rid, &charges, settled),
            None => self.settles.push(domain, rid, charges),
        }
    }

    fn has_settled(&self, domain: &Domain, rid: Uuid, charges: &[Charge], settled: Settled) {
        if settled == Settled::Late && !charges.is_empty() {
            self.counts.late.fetch_add(1, Ordering::Relaxed);
        }
        self.live.settled(domain, rid);
    }

    async fn settle(&self, settlement: Settlement) {
        let Settlement { domain, rid, charges } = settlement;
        // first where it cannot wait: in an outage nobody shall look as if still in flight
        if let Some(fallback) = &self.fallback
            && let Err(error) = fallback.settle(&domain, rid, &charges).await
        {
            tracing::debug!(%error, "the fall-back counters did not take a settle");
        }
        let started = Stopwatch::start();
        let mut pause = PAUSE.0;
        loop {
            match self.counters.settle(&domain, rid, &charges).await {
                Ok(settled) => return self.has_settled(&domain, rid, &charges, settled),
                Err(error) if !error.transient || started.elapsed() > REPEAT_FOR => {
                    tracing::warn!(%error, "a settle was given up: the domain will be loaded anew");
                    self.counts.abandoned.fetch_add(1, Ordering::Relaxed);
                    self.settles.spoil(domain.clone());
                    return self.live.settled(&domain, rid);
                }
                Err(_) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    /// Waits for this gateway's own settles of a domain, so that what has ended no longer counts as in flight.
    pub(super) async fn own_settles(&self, domain: &Domain) {
        let started = Stopwatch::start();
        while self.live.is_settling(domain) && started.elapsed() < OWN_SETTLES_WAIT {
            tokio::time::sleep(OWN_SETTLES_LOOK).await;
        }
    }

    /// Waits until all that was handed over is settled or given up, at most for `at_most`.
    pub async fn settled(&self, at_most: Duration) -> bool {
        let started = Stopwatch::start();
        while self.settles.waiting() > 0 || self.live.is_any_settling() {
            if started.elapsed() > at_most {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }
}
