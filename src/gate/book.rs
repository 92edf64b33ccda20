//! The book of requests: where each request of this gateway stands, from its BEGIN until nobody needs to hear of it. It owns
//! the order of these steps and the journal's part in them; it must not know the counters or the ledger.
//!
//! * *open*: the BEGIN stands in the journal; the holds are announced.
//! * *ended*: the END stands in the journal, at the position by which the request is known from here on; a settle is on its
//!   way, and the charges are announced.
//! * *in the ledger*: the ledger has every END up to a position, this one among them.
//! * *settled*: the counters have the charges. This comes before the ledger or after it. A settle that was given up makes
//!   its domain *dirty*: its counters may lack something, until the domain is loaded anew.
//! * *over*: in the ledger for so long that it is announced no more.
//!
//! Bounded: at most [`ENDED_MAX`] ended requests are remembered. If an outage of the ledger makes more, the book is
//! incomplete until the ledger has them, and no cold domain is loaded meanwhile ([`Book::is_complete`]).

mod known;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

pub use self::known::OpenHolds;
use self::known::{Ended, EndedMessage, Known};
use crate::quota::{Charge, Domain};
use crate::store::journal::{ANNOUNCED_MS, Journal, JournalError, Position};
use crate::store::{Announcement, Entry};

/// How many ended requests are remembered: about 19 MB, and 39 MB where no two come to the same charges.
const ENDED_MAX: usize = 100_000;

/// The place of an END that waits in memory because the disk fails: behind all that is written.
const UNWRITTEN: Position = Position { segment: u64::MAX, offset: u64::MAX, index: 0 };

/// How long somebody waits for the settles of one domain.
const OWN_SETTLES_WAIT: Duration = Duration::from_millis(250);

/// The book. One lock, held for a few map operations, never over an await or a write to the disk.
pub struct Book {
    journal: Arc<Journal>,
    inner: Mutex<Inner>,
    /// No settle of some domain is under way any more.
    quiet: Notify,
}

/// What is to be told to the counters of a request that has ended, or that took holds and never came to its BEGIN.
#[derive(Debug)]
pub struct Settlement {
    /// Where it is counted.
    pub domain: Domain,
    /// Whose holds they are.
    pub rid: Uuid,
    /// What it came to; empty: the holds are given back.
    pub charges: Arc<[Charge]>,
    /// Where the END stands, if it does.
    end: Option<Position>,
}

#[derive(Default)]
struct Inner {
    domains: HashMap<Domain, Known>,
    open: u64,
    /// Settles under way.
    settling: usize,
    /// The ended requests that are remembered, by position.
    ended: VecDeque<Place>,
    /// The ledger has every END up to here.
    ledger_up_to: Position,
    /// How far the ledger was, and since when, for as long as that matters.
    acks: VecDeque<Ack>,
    /// Every request that ended up to here is over.
    over_up_to: Position,
    /// The last END that was not remembered for want of room.
    forgotten_up_to: Position,
    /// Domains whose counters may lack something.
    dirty: HashSet<Domain>,
    /// Dirty domains were taken out to be made cold.
    mending: bool,
}

struct Place {
    position: Position,
    domain: Domain,
}

struct Ack {
    at_ms: i64,
    up_to: Position,
}

impl Book {
    /// An empty book over the journal of this run.
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { journal, inner: Mutex::default(), quiet: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was admitted: its BEGIN goes to the journal.
    ///
    /// # Errors
    /// The journal's: then the request is not in the book.
    pub fn begin(&self, domain: &Domain, entry: &Entry, open: OpenHolds) -> Result<(), JournalError> {
        self.journal.begin(entry)?;
        let mut inner = self.lock();
        inner.open += 1;
        inner.domains.entry(domain.clone()).or_default().open.insert(entry.id, open);
        Ok(())
    }

    /// The answer to a request has begun: its FIRST goes to the journal.
    ///
    /// # Errors
    /// The journal's.
    pub fn first_byte(&self, rid: Uuid, status: u16, at_ms: i64) -> Result<(), JournalError> {
        self.journal.first_byte(rid, status, at_ms)
    }

    /// A request has ended: its END goes to the journal. What is returned is to be settled in either case.
    ///
    /// # Errors
    /// The journal's, beside the settlement: the END is lost.
    pub fn end(&self, domain: &Domain, entry: &Entry) -> (Settlement, Result<(), JournalError>) {
        let written = self.journal.end(entry);
        let mut inner = self.lock();
        let known = inner.begin_settle(domain);
        let was_open = known.open.remove(&entry.id).is_some();
        let charges = known.share(charges_of(entry));
        inner.open -= u64::from(was_open);
        let (end, result) = match written {
            Ok(end) => (end, Ok(())),
            Err(error) => (None, Err(error)),
        };
        if result.is_ok() {
            let ended = Ended {
                position: end.unwrap_or(UNWRITTEN),
                rid: entry.id,
                charges: Arc::clone(&charges),
                message: EndedMessage::of(entry),
            };
            inner.remember(domain, ended);
        }
        drop(inner);
        if result.is_ok() && end.is_none() && !self.journal.is_parked(entry.id) {
            // the disk has taken it meanwhile, and the ledger may have it already
            self.lock().has_place(domain, entry.id, self.journal.last_end());
        }
        (Settlement { domain: domain.clone(), rid: entry.id, charges, end }, result)
    }

    /// Remembers a request of an earlier run that ended at `position` and that the ledger may not have.
    pub fn inherit(&self, position: Position, entry: &Entry) {
        let domain = Domain::from_text(&entry.domain);
        let mut inner = self.lock();
        let charges = inner.domains.entry(domain.clone()).or_default().share(charges_of(entry));
        inner.remember(&domain, Ended { position, rid: entry.id, charges, message: EndedMessage::of(entry) });
        inner.clean_up(&domain);
    }

    /// A request took holds and never came to its BEGIN: they are to be given back.
    pub fn release(&self, domain: &Domain, rid: Uuid) -> Settlement {
        self.lock().begin_settle(domain);
        Settlement { domain: domain.clone(), rid, charges: Arc::default(), end: None }
    }

    /// The counters have taken this.
    pub fn settled(&self, settlement: &Settlement) {
        if let Some(end) = settlement.end {
            self.journal.settled(end);
        }
        let mut inner = self.lock();
        inner.settling = inner.settling.saturating_sub(1);
        let Some(known) = inner.domains.get_mut(&settlement.domain) else { return };
        known.settling = known.settling.saturating_sub(1);
        let is_quiet = known.settling == 0;
        inner.clean_up(&settlement.domain);
        drop(inner);
        if is_quiet {
            self.quiet.notify_waiters();
        }
    }

    /// The counters may never take this: their domain is dirty.
    pub fn given_up(&self, settlement: &Settlement) {
        self.mark_dirty(settlement.domain.clone());
        self.settled(settlement);
    }

    /// Is a settle of this domain under way?
    pub fn is_settling(&self, domain: &Domain) -> bool {
        self.lock().domains.get(domain).is_some_and(|known| known.settling > 0)
    }

    /// Waits a moment for the settles of a domain, so that what has ended no longer counts as in flight: for a reader, or a
    /// request that would be refused.
    pub async fn wait_own(&self, domain: &Domain) {
        self.wait_settled(Some(domain), OWN_SETTLES_WAIT).await;
    }

    /// Waits until no settle is under way, of this domain or of any. False: some still are after `at_most`.
    pub async fn wait_settled(&self, domain: Option<&Domain>, at_most: Duration) -> bool {
        let is_settling = || match domain {
            Some(domain) => self.is_settling(domain),
            None => self.lock().settling > 0,
        };
        let waits = async {
            loop {
                let quiet = self.quiet.notified();
                tokio::pin!(quiet);
                quiet.as_mut().enable();
                if !is_settling() {
                    return;
                }
                quiet.await;
            }
        };
        !is_settling() || tokio::time::timeout(at_most, waits).await.is_ok()
    }

    /// The ledger has these entries, and every END up to this place.
    pub fn in_ledger(&self, entries: &[Entry], up_to: Position, now_ms: i64) {
        let mut inner = self.lock();
        if inner.ended.back().is_some_and(|last| last.position == UNWRITTEN) {
            for entry in entries {
                inner.has_place(&Domain::from_text(&entry.domain), entry.id, up_to);
            }
        }
        if up_to > inner.ledger_up_to {
            inner.ledger_up_to = up_to;
            inner.acks.push_back(Ack { at_ms: now_ms, up_to });
        }
        inner.turn_page(now_ms);
    }

    /// Lets go of requests that are over.
    pub fn sweep(&self, now_ms: i64) {
        self.lock().turn_page(now_ms);
    }

    /// Does the book hold every ended request that the ledger may lack?
    pub fn is_complete(&self) -> bool {
        let inner = self.lock();
        inner.forgotten_up_to <= inner.ledger_up_to
    }

    /// Charged messages of a user that ended here and that the ledger may lack; admitted at this time or later,
    /// milliseconds since 1970.
    pub fn messages(&self, domain: &Domain, user: &str, since_ms: i64) -> Vec<EndedMessage> {
        self.lock().domains.get(domain).map_or_else(Vec::new, |known| known.messages(user, since_ms))
    }

    /// Everything of a domain that the ledger may lack.
    pub fn announcements(&self, domain: &Domain, now_ms: i64) -> Vec<Announcement> {
        self.lock().domains.get(domain).map_or_else(Vec::new, |known| known.announcements(now_ms))
    }

    /// Domains of which anything is known.
    pub fn domains(&self) -> Vec<Domain> {
        self.lock().domains.keys().cloned().collect()
    }

    /// Open requests by domain.
    pub fn open_requests(&self) -> Vec<(Domain, Vec<Uuid>)> {
        let inner = self.lock();
        let open = inner.domains.iter().filter(|(_, known)| !known.open.is_empty());
        open.map(|(domain, known)| (domain.clone(), known.open.keys().copied().collect())).collect()
    }

    /// The leases of these requests were renewed.
    pub fn renewed(&self, domain: &Domain, rids: &[Uuid], lease_ends_ms: i64) {
        if let Some(known) = self.lock().domains.get_mut(domain) {
            for rid in rids {
                if let Some(open) = known.open.get_mut(rid) {
                    open.lease_ends_ms = lease_ends_ms;
                }
            }
        }
    }

    /// Number of open requests.
    pub fn open_count(&self) -> u64 {
        self.lock().open
    }

    /// The counters of this domain may lack something. The journal keeps what names the domain after a crash.
    pub fn mark_dirty(&self, domain: Domain) {
        let mut inner = self.lock();
        inner.dirty.insert(domain);
        self.journal.set_counters_dirty(true);
    }

    /// The dirty domains.
    pub fn dirty(&self) -> HashSet<Domain> {
        self.lock().dirty.clone()
    }

    /// Is any domain dirty, or being mended?
    pub fn is_dirty(&self) -> bool {
        let inner = self.lock();
        inner.mending || !inner.dirty.is_empty()
    }

    /// Takes the dirty domains, to make them cold. [`Book::mended`] says how that went.
    pub fn take_dirty(&self) -> HashSet<Domain> {
        let mut inner = self.lock();
        inner.mending = !inner.dirty.is_empty();
        std::mem::take(&mut inner.dirty)
    }

    /// The domains that were taken are cold, but for these.
    pub fn mended(&self, but: HashSet<Domain>) {
        let mut inner = self.lock();
        inner.mending = false;
        inner.dirty.extend(but);
        self.journal.set_counters_dirty(!inner.dirty.is_empty());
    }
}

fn charges_of(entry: &Entry) -> Vec<Charge> {
    entry.charges.iter().filter(|charge| charge.amount > 0).cloned().collect()
}

impl Inner {
    fn begin_settle(&mut self, domain: &Domain) -> &mut Known {
        self.settling += 1;
        let known = self.domains.entry(domain.clone()).or_default();
        known.settling += 1;
        known
    }

    fn remember(&mut self, domain: &Domain, ended: Ended) {
        let position = ended.position;
        if position <= self.over_up_to {
            return;
        }
        // no more than there were open requests when the disk began to fail wait to be written
        let has_room =
            self.ended.len() < ENDED_MAX || position == UNWRITTEN || self.let_go(self.ledger_up_to);
        if !has_room {
            self.forgotten_up_to = self.forgotten_up_to.max(position);
        } else if self.domains.entry(domain.clone()).or_default().insert(ended) {
            let at = self.ended.partition_point(|place| place.position <= position);
            self.ended.insert(at, Place { position, domain: domain.clone() });
        }
    }

    /// An END that waited to be written stands in the journal, at this place or before it.
    fn has_place(&mut self, domain: &Domain, rid: Uuid, position: Position) {
        let Some(ended) = self.domains.get_mut(domain).and_then(|known| known.take(UNWRITTEN, rid)) else {
            return;
        };
        let same = |place: &Place| place.position == UNWRITTEN && place.domain == *domain;
        if let Some(at) = self.ended.iter().rposition(same) {
            self.ended.remove(at);
        }
        self.remember(domain, Ended { position, ..ended });
    }

    /// Lets go of what has been in the ledger for long enough.
    fn turn_page(&mut self, now_ms: i64) {
        while self.acks.front().is_some_and(|ack| now_ms - ack.at_ms > ANNOUNCED_MS) {
            if let Some(ack) = self.acks.pop_front() {
                self.over_up_to = ack.up_to;
            }
        }
        while self.let_go(self.over_up_to) {}
    }

    /// Lets go of the oldest ended request if it ended up to here.
    fn let_go(&mut self, up_to: Position) -> bool {
        let Some(oldest) = self.ended.pop_front_if(|oldest| oldest.position <= up_to) else { return false };
        if let Some(known) = self.domains.get_mut(&oldest.domain) {
            known.ended.pop_front();
        }
        self.clean_up(&oldest.domain);
        true
    }

    fn clean_up(&mut self, domain: &Domain) {
        if self.domains.get(domain).is_some_and(Known::is_over) {
            self.domains.remove(domain);
        }
    }
}

#[cfg(test)]
mod tests;
