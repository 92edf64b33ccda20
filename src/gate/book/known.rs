//! What the book knows of one domain.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use crate::quota::{Charge, LimitHold};
use crate::store::journal::Position;
use crate::store::{Announcement, Entry};

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
    /// `None`: it is no message of a user's.
    pub(super) message: Option<EndedMessage>,
}

/// A message that the ledger may not have.
#[derive(Clone, Debug)]
pub struct EndedMessage {
    /// Our id.
    pub rid: Uuid,
    /// Was it on a premium model?
    pub is_premium: bool,
    user: Box<str>,
    admitted_at_ms: i64,
}

impl EndedMessage {
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let user = entry.user.as_deref().filter(|_| entry.messages() > 0)?;
        let (rid, is_premium, admitted_at_ms) = (entry.id, entry.premium, entry.admitted_at_ms);
        Some(Self { rid, is_premium, user: user.into(), admitted_at_ms })
    }
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

    /// Charged messages of a user that were admitted at this time or later; each once.
    pub(super) fn messages(&self, user: &str, since_ms: i64) -> Vec<EndedMessage> {
        let mut seen = HashSet::new();
        let messages = self.ended.iter().filter_map(|ended| ended.message.as_ref());
        let of_user = messages.filter(|message| &*message.user == user && message.admitted_at_ms >= since_ms);
        of_user.filter(|message| seen.insert(message.rid)).cloned().collect()
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
