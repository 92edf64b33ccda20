//! What this gateway knows of a domain that the ledger may not: requests in flight, and requests that ended but are not
//! yet (or only just) acknowledged. From here domains are announced after their counters were lost.
//!
//! Bounded: at most [`ENDED_MAX`] ended requests are remembered. If a database outage makes more, the memory is
//! incomplete until the backlog is written, and no cold domain is loaded meanwhile ([`Live::is_complete`]).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::quota::{Charge, Domain, LimitHold};
use crate::store::{Announcement, Entry as Row};

/// How many ended requests are remembered: about 10 MB, and 30 MB where no two come to the same charges.
const ENDED_MAX: usize = 100_000;

/// So many different charges of a domain are remembered to be shared.
const USUAL_MAX: usize = 16;

/// How long an acknowledged request is still announced: longer than any snapshot of the ledger is under way.
const ACKNOWLEDGED_KEPT_MS: i64 = 60_000;

/// The memory. One lock, held for a map operation, never over an await.
#[derive(Default)]
pub struct Live(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    domains: HashMap<Domain, Known>,
    open: u64,
    ended: usize,
    /// Acknowledged requests in the order of their acknowledgement.
    acknowledged: VecDeque<(i64, Domain, Uuid)>,
    /// Ended requests that were not remembered and are not yet acknowledged.
    forgotten: u64,
    /// While an earlier run's requests are read back: acknowledgements that came before their request was known here.
    early: Option<HashSet<Uuid>>,
}

#[derive(Default)]
struct Known {
    open: HashMap<Uuid, Open>,
    ended: HashMap<Uuid, Ended>,
    /// How many of `ended` are not settled.
    settling: usize,
    /// What its requests mostly came to.
    usual: Vec<Arc<[Charge]>>,
}

struct Open {
    holds: Arc<[LimitHold]>,
    lease_ends_ms: i64,
}

struct Ended {
    charges: Arc<[Charge]>,
    settled: bool,
    /// When it was noted here.
    at_ms: i64,
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was admitted.
    pub fn opened(&self, domain: &Domain, rid: Uuid, holds: Arc<[LimitHold]>, lease_ends_ms: i64) {
        let mut inner = self.lock();
        inner.open += 1;
        let open = Open { holds, lease_ends_ms };
        inner.domains.entry(domain.clone()).or_default().open.insert(rid, open);
    }

    /// A request has ended and stands in the journal; its settle is under way.
    pub fn ended(&self, domain: &Domain, rid: Uuid, charges: Vec<Charge>, at_ms: i64) {
        let mut inner = self.lock();
        if inner.ended >= ENDED_MAX
            && let Some((_, domain, rid)) = inner.acknowledged.pop_front()
        {
            // the ledger has it: only the margin for snapshots under way gets shorter
            inner.forget(&domain, rid);
        }
        let room = inner.ended < ENDED_MAX;
        let is_early = inner.early.as_mut().is_some_and(|early| early.remove(&rid));
        let known = inner.domains.entry(domain.clone()).or_default();
        let was_open = known.open.remove(&rid).is_some();
        match known.ended.entry(rid) {
            // a crashed request that is read back once more from the journal
            Entry::Occupied(_) => {}
            Entry::Vacant(place) if room => {
                let charges = shared(&mut known.usual, charges);
                place.insert(Ended { charges, settled: false, at_ms });
                known.settling += 1;
                inner.ended += 1;
                if is_early {
                    inner.acknowledged.push_back((at_ms, domain.clone(), rid));
                }
            }
            Entry::Vacant(_) if is_early => {}
            Entry::Vacant(_) => inner.forgotten += 1,
        }
        inner.open -= u64::from(was_open);
    }

    /// From here on acknowledgements of requests that are not known yet are kept, until [`Live::all_read_back`].
    pub fn read_back(&self) {
        self.lock().early = Some(HashSet::new());
    }

    /// Every request of an earlier run is known.
    pub fn all_read_back(&self) {
        self.lock().early = None;
    }

    /// A request of an earlier run of this gateway that stands in the journal but not yet in the ledger.
    pub fn inherited(&self, domain: &Domain, rid: Uuid, charges: Vec<Charge>, at_ms: i64) {
        self.ended(domain, rid, charges, at_ms);
        self.settled(domain, rid);
    }

    /// The counters have taken the settle (or will never: the domain is loaded anew).
    pub fn settled(&self, domain: &Domain, rid: Uuid) {
        let mut inner = self.lock();
        let Some(known) = inner.domains.get_mut(domain) else { return };
        if let Some(ended) = known.ended.get_mut(&rid).filter(|ended| !ended.settled) {
            ended.settled = true;
            known.settling -= 1;
        }
    }

    /// Is a settle of this domain still under way?
    pub fn is_settling(&self, domain: &Domain) -> bool {
        self.lock().domains.get(domain).is_some_and(|known| known.settling > 0)
    }

    /// Is any settle still under way?
    pub fn is_any_settling(&self) -> bool {
        self.lock().domains.values().any(|known| known.settling > 0)
    }

    /// The requests whose settles are under way. `None`: not all that ended are known, or there are more than `at_most`.
    pub fn unsettled(&self, at_most: usize) -> Option<Vec<(Domain, Uuid)>> {
        let inner = self.lock();
        let settling = inner.domains.iter().filter(|(_, known)| known.settling > 0);
        let unsettled = settling.flat_map(|(domain, known)| {
            let ended = known.ended.iter().filter(|(_, ended)| !ended.settled);
            ended.map(|(rid, _)| (domain.clone(), *rid))
        });
        let unsettled: Vec<_> = unsettled.take(at_most + 1).collect();
        (inner.forgotten == 0 && unsettled.len() <= at_most).then_some(unsettled)
    }

    /// Is the settle of this request no longer under way?
    pub fn is_settled(&self, domain: &Domain, rid: Uuid) -> bool {
        let inner = self.lock();
        let ended = inner.domains.get(domain).and_then(|known| known.ended.get(&rid));
        ended.is_none_or(|ended| ended.settled)
    }

    /// The ledger has these entries. They stay known for a minute.
    pub fn acknowledged(&self, entries: &[Row], now_ms: i64) {
        let mut inner = self.lock();
        for entry in entries {
            let domain = Domain::from_text(&entry.domain);
            if inner.domains.get(&domain).is_some_and(|known| known.ended.contains_key(&entry.id)) {
                inner.acknowledged.push_back((now_ms, domain, entry.id));
            } else if let Some(early) = &mut inner.early {
                early.insert(entry.id);
            } else {
                inner.forgotten = inner.forgotten.saturating_sub(1);
            }
        }
        while inner.acknowledged.front().is_some_and(|(at, ..)| now_ms - at > ACKNOWLEDGED_KEPT_MS) {
            if let Some((_, domain, rid)) = inner.acknowledged.pop_front() {
                inner.forget(&domain, rid);
            }
        }
    }

    /// The ledger has everything that the journal has: what ended long enough ago need not be announced any more. Mends
    /// what single acknowledgements may have missed.
    pub fn all_acknowledged(&self, now_ms: i64) {
        let mut inner = self.lock();
        inner.forgotten = 0;
        let old = |ended: &Ended| ended.settled && now_ms - ended.at_ms > ACKNOWLEDGED_KEPT_MS;
        let done = inner.domains.iter().flat_map(|(domain, known)| {
            let ended = known.ended.iter().filter(|(_, ended)| old(ended));
            ended.map(|(rid, _)| (domain.clone(), *rid))
        });
        for (domain, rid) in done.collect::<Vec<_>>() {
            inner.forget(&domain, rid);
        }
    }

    /// Does the memory hold every ended request that the ledger may lack?
    pub fn is_complete(&self) -> bool {
        self.lock().forgotten == 0
    }

    /// Everything known of a domain.
    pub fn announcements(&self, domain: &Domain, now_ms: i64) -> Vec<Announcement> {
        let inner = self.lock();
        let Some(known) = inner.domains.get(domain) else { return Vec::new() };
        let held = known.open.iter().map(|(rid, open)| Announcement::Held {
            rid: *rid,
            holds: Arc::clone(&open.holds),
            lease_ms: u64::try_from(open.lease_ends_ms - now_ms).unwrap_or(0),
        });
        let ended = known.ended.iter();
        let ended =
            ended.map(|(rid, ended)| Announcement::Ended { rid: *rid, charges: ended.charges.to_vec() });
        held.chain(ended).collect()
    }

    /// Domains of which anything is known.
    pub fn domains(&self) -> Vec<Domain> {
        self.lock().domains.keys().cloned().collect()
    }

    /// Requests in flight by domain.
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

    /// Number of requests in flight.
    pub fn open_count(&self) -> u64 {
        self.lock().open
    }
}

/// The requests of a user, and of a team's member, mostly come to the same charges: these are kept once, or an outage of the
/// ledger would fill the memory with them.
fn shared(usual: &mut Vec<Arc<[Charge]>>, charges: Vec<Charge>) -> Arc<[Charge]> {
    if let Some(same) = usual.iter().find(|usual| ***usual == *charges) {
        return Arc::clone(same);
    }
    let charges: Arc<[Charge]> = charges.into();
    if usual.len() >= USUAL_MAX {
        usual.remove(0);
    }
    usual.push(Arc::clone(&charges));
    charges
}

impl Inner {
    fn forget(&mut self, domain: &Domain, rid: Uuid) {
        let Some(known) = self.domains.get_mut(domain) else { return };
        if let Some(ended) = known.ended.remove(&rid) {
            self.ended -= 1;
            known.settling -= usize::from(!ended.settled);
        }
        if known.ended.is_empty() && known.open.is_empty() {
            self.domains.remove(domain);
        }
    }
}

#[cfg(test)]
mod tests;
