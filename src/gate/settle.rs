//! Settlement: ended requests are written down and become use in the counters, off the request's path where the counters
//! are on a server. A settle is repeated for a minute; one that is given up then makes its domain dirty.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use uuid::Uuid;

use super::book::{Book, Settlement};
use super::shared::{GateCounts, Parts};
use crate::clock::Stopwatch;
use crate::quota::Domain;
use crate::store::journal::OpenRequest;
use crate::store::{Counters, Entry, Outcome, Settled};

/// Settles that may wait. More mean that the counters have been away for long: their domains are loaded anew.
const QUEUE_MAX: usize = 65_536;

/// Settles under way at once.
const AT_ONCE: usize = 512;

/// How long a settle is repeated. Tombstones live five times as long, so a repeat can never be counted twice.
const REPEAT_FOR: Duration = Duration::from_secs(60);

/// First and longest pause between repeats.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// Carries settlements to the counters.
pub(super) struct Settler {
    counters: Arc<dyn Counters>,
    fallback: Option<Arc<dyn Counters>>,
    book: Arc<Book>,
    counts: Arc<GateCounts>,
    to: mpsc::Sender<Settlement>,
    from: Mutex<Option<mpsc::Receiver<Settlement>>>,
}

impl Settler {
    pub fn new(parts: &Parts, book: Arc<Book>, counts: Arc<GateCounts>) -> Self {
        let (to, from) = mpsc::channel(QUEUE_MAX);
        let (counters, fallback) = (Arc::clone(&parts.counters), parts.fallback.clone());
        Self { counters, fallback, book, counts, to, from: Mutex::new(Some(from)) }
    }

    /// An answer has begun, at `at_ms` since 1970: from here on the request is charged whatever happens to the gateway.
    pub fn first_byte(&self, rid: Uuid, status: u16, at_ms: i64) {
        if let Err(error) = self.book.first_byte(rid, status, at_ms) {
            tracing::error!(%error, "the journal did not take the first byte of an answer");
        }
    }

    /// A request has ended: it is written down, then settled.
    pub fn end(&self, domain: &Domain, entry: &Entry) {
        let settlement = self.enter_end(domain, entry);
        self.settle(settlement);
    }

    /// Ends the requests that an earlier run of this gateway left open: charged if the upstream had answered.
    pub fn end_crashed(&self, open: Vec<OpenRequest>) {
        for OpenRequest { mut entry, first_byte } in open {
            entry.outcome = Outcome::Crashed;
            match first_byte {
                Some((status, at_ms)) => {
                    entry.status = status;
                    entry.first_byte_ms = u64::try_from(at_ms - entry.admitted_at_ms).ok();
                }
                None => entry.charges.iter_mut().for_each(|charge| charge.amount = 0),
            }
            let settlement = self.enter_end(&Domain::from_text(&entry.domain), &entry);
            // the hold of the crashed process need not wait for its lease
            self.settle_soon(settlement);
        }
    }

    /// A request took holds and never came to stand in the journal: they are given back.
    pub fn release(&self, domain: &Domain, rid: Uuid) {
        self.settle_soon(self.book.release(domain, rid));
    }

    fn enter_end(&self, domain: &Domain, entry: &Entry) -> Settlement {
        let (settlement, written) = self.book.end(domain, entry);
        if let Err(error) = written {
            self.counts.unrecorded.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, id = %entry.id, "the journal did not take the end of a request");
        }
        settlement
    }

    /// Settles at once where the counters can, else soon.
    fn settle(&self, settlement: Settlement) {
        let Settlement { domain, rid, charges, .. } = &settlement;
        let settled =
            if self.fallback.is_none() { self.counters.settle_now(domain, *rid, charges) } else { None };
        match settled {
            Some(settled) => self.has_settled(&settlement, settled),
            None => self.settle_soon(settlement),
        }
    }

    /// Hands a settlement over. Never waits.
    fn settle_soon(&self, settlement: Settlement) {
        if let Err(refused) = self.to.try_send(settlement) {
            self.give_up(&refused.into_inner());
        }
    }

    /// Does the settles until the task is dropped. Runs once.
    pub async fn run(&self) {
        let from = self.from.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut from) = from else { return };
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                next = from.recv(), if under_way.len() < AT_ONCE => match next {
                    Some(settlement) => under_way.push(self.repeat(settlement)),
                    None => return,
                },
            }
        }
    }

    async fn repeat(&self, settlement: Settlement) {
        let Settlement { domain, rid, charges, .. } = &settlement;
        // first where it cannot wait: in an outage nobody shall look as if still in flight
        if let Some(fallback) = &self.fallback
            && let Err(error) = fallback.settle(domain, *rid, charges).await
        {
            tracing::debug!(%error, "the fall-back counters did not take a settle");
        }
        let started = Stopwatch::start();
        let mut pause = PAUSE.0;
        loop {
            match self.counters.settle(domain, *rid, charges).await {
                Ok(settled) => return self.has_settled(&settlement, settled),
                Err(error) if !error.transient || started.elapsed() > REPEAT_FOR => {
                    tracing::warn!(%error, "a settle was given up: the domain will be loaded anew");
                    return self.give_up(&settlement);
                }
                Err(_) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    fn has_settled(&self, settlement: &Settlement, settled: Settled) {
        if settled == Settled::Late && !settlement.charges.is_empty() {
            self.counts.late.fetch_add(1, Ordering::Relaxed);
        }
        self.book.settled(settlement);
    }

    fn give_up(&self, settlement: &Settlement) {
        self.counts.abandoned.fetch_add(1, Ordering::Relaxed);
        self.book.given_up(settlement);
    }
}
