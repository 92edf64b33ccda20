//! What the book knows of one domain.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use crate::quota::{Charge, LimitHold};
use crate::store::Announcement;
use crate::store::journal::Position;

/// So many different charges of a domain are remembered to be shared.
pub(super) const USUAL_MAX: usize = 16;

/// The requests of one domain.
#[derive(Default)]
pub(super) struct Known {
    /// Begun and not ended.
    pub(super) open: HashMap<Uuid, OpenHolds>,
    /// Ended and not over, by position.
    pub(super) ended: VecDeque<Ended>,
    /// Settles under way.
    pub(super) settling: usize,
    /// What its requests mostly came to.
    pub(super) usual: Vec<Arc<[Charge]>>,
}

/// What an open request holds, and until when.
pub struct OpenHolds {
    /// What it holds.
    pub holds: Arc<[LimitHold]>,
    /// When its lease ends, milliseconds since 1970.
    pub lease_ends_ms: i64,
}

/// A request that has ended.
pub(super) struct Ended {
    pub(super) position: Position,
    pub(super) rid: Uuid,
    pub(super) charges: Arc<[Charge]>,
}

impl Known {
    /// The requests of a user, and of a team's member, mostly come to the same charges: these are kept once, or an outage of
    /// the ledger would fill the memory with them.
    pub(super) fn share(&mut self, charges: Vec<Charge>) -> Arc<[Charge]> {
        if let Some(same) = self.usual.iter().find(|usual| ***usual == *charges) {
            return Arc::clone(same);
        }
        let charges: Arc<[Charge]> = charges.into();
        if self.usual.len() >= USUAL_MAX {
            self.usual.remove(0);
        }
        self.usual.push(Arc::clone(&charges));
        charges
    }

    /// False: it was there.
    pub(super) fn insert(&mut self, ended: Ended) -> bool {
        let at = self.ended.partition_point(|other| other.position <= ended.position);
        let mut same_place =
            self.ended.iter().take(at).rev().take_while(|other| other.position == ended.position);
        let is_new = !same_place.any(|other| other.rid == ended.rid);
        if is_new {
            self.ended.insert(at, ended);
        }
        is_new
    }

    /// Takes one out.
    pub(super) fn take(&mut self, position: Position, rid: Uuid) -> Option<Ended> {
        let same = |ended: &Ended| ended.position == position && ended.rid == rid;
        self.ended.iter().rposition(same).and_then(|at| self.ended.remove(at))
    }

    /// Everything that the ledger may lack. A request whose END stands twice, on a disk that failed, is named once.
    pub(super) fn announcements(&self, now_ms: i64) -> Vec<Announcement> {
        let held = self.open.iter().map(|(rid, open)| Announcement::Held {
            rid: *rid,
            holds: Arc::clone(&open.holds),
            lease_ms: u64::try_from(open.lease_ends_ms - now_ms).unwrap_or(0),
        });
        let mut named = HashSet::new();
        let ended = self.ended.iter().filter(|ended| named.insert(ended.rid));
        let ended =
            ended.map(|ended| Announcement::Ended { rid: ended.rid, charges: ended.charges.to_vec() });
        held.chain(ended).collect()
    }

    /// Is there nothing to be known?
    pub(super) fn is_over(&self) -> bool {
        self.open.is_empty() && self.ended.is_empty() && self.settling == 0
    }
}
