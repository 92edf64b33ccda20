//! The counters: a fast copy of the ledger's totals plus the holds of requests in flight.
//!
//! One domain is one unit of atomicity. An implementation keeps, per domain: `used` and `held` of each bucket, the epoch
//! of each owner, the live holds by request id, and tombstones (request ids settled in the last
//! [`TOMBSTONE_MS`]). A domain that is not loaded is COLD, never zero.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::StoreError;
use super::digest::key_of;
use super::totals::{BucketTotal, DomainTotals, OwnerEpoch};
use crate::quota::{Charge, Domain, LimitHold};

/// How long a settled request id is remembered: far longer than any repeat of a settle (60 s) or an announcement.
pub const TOMBSTONE_MS: u64 = 300_000;

/// How long after the first attempt of a message another one may go uncharged.
pub const REPEAT_WITHIN_MS: u64 = 600_000;

/// Uncharged repeats of one message: three attempts in all.
pub const REPEATS_MAX: u32 = 2;

/// Atomic counters. All times are the store's own (`now_ms` in answers), so gateways with wrong clocks agree.
#[async_trait]
pub trait Counters: Send + Sync {
    /// Takes all holds or none. Expired holds of the domain are given back first. The same request id again gets the
    /// same answer and one hold; a request id with a tombstone is admitted without a hold.
    /// Buckets follow their owner's current epoch. Unless the domain is cold or waits, epoch and numbers are written into
    /// each of `reserve.holds`: those after the holds were taken, or the unchanged ones of a refusal.
    ///
    /// With a message: if an earlier attempt of it was charged, was admitted less than [`REPEAT_WITHIN_MS`] ago and had
    /// fewer than [`REPEATS_MAX`] repeats, this is a repeat. It takes nothing of quota holds (one of 0 still blocks);
    /// rates and open requests are decided as ever. A cold domain has forgotten: then the attempt is charged again.
    async fn reserve(&self, reserve: &mut Reserve<'_>) -> Result<Reserved, StoreError>;

    /// Ends a hold: gives back what was held and adds the charges to `used`, in the charges' own epoch and period.
    /// Without a hold (the lease ran out): nothing if a tombstone stands, else the charges are added and counted late.
    /// Leaves a tombstone. A charged hold that was taken with a message makes it one that may be repeated, counted from
    /// that hold's admission, unless an attempt stands that still allows repeats. Empty charges, or amounts of 0, release.
    async fn settle(&self, domain: &Domain, rid: Uuid, charges: &[Charge]) -> Result<Settled, StoreError>;

    /// [`Counters::settle`], if it can be done without waiting. `None`: nothing was done, call `settle`.
    fn settle_now(&self, domain: &Domain, rid: Uuid, charges: &[Charge]) -> Option<Settled> {
        let (_, _, _) = (domain, rid, charges);
        None
    }

    /// Extends the leases of these requests to `lease_ms` from now. Returns the ids that no longer have a hold.
    async fn renew(&self, domain: &Domain, rids: &[Uuid], lease_ms: u64) -> Result<Vec<Uuid>, StoreError>;

    /// Writes the current epoch and the numbers into these holds, without taking anything. Returns when the latest epoch
    /// of their owners was opened, milliseconds since 1970 (0: never reset). `None`: cold.
    async fn read(&self, domain: &Domain, holds: &mut [LimitHold]) -> Result<Option<i64>, StoreError>;

    /// Loads a cold domain from the ledger's totals. If the domain is already warm nothing happens (the first of several
    /// loaders wins). `totals.recent` become tombstones. Returns true if this call loaded it.
    async fn rebuild(&self, domain: &Domain, totals: &DomainTotals) -> Result<bool, StoreError>;

    /// Tells a loaded domain of requests that the ledger did not know when it was read: live holds are put back, ended
    /// requests are added to `used`. An id with a tombstone or a hold is ignored. On a cold domain: no effect.
    async fn announce(&self, domain: &Domain, announcements: &[Announcement]) -> Result<(), StoreError>;

    /// Opens a new epoch for an owner after the ledger recorded the reset. Never goes back; cold: no effect.
    async fn open_epoch(&self, domain: &Domain, owner: &OwnerEpoch) -> Result<(), StoreError>;

    /// Every bucket with its numbers, the epochs and the live holds: for `verify` and `explain`. `None`: cold.
    async fn dump(&self, domain: &Domain) -> Result<Option<DomainDump>, StoreError>;

    /// Sets `used` of a bucket right (`verify --repair`, `heal`): only if the bucket has no hold, only in this epoch.
    /// Returns false if a hold stood in the way or the domain is cold.
    async fn repair(&self, domain: &Domain, total: &BucketTotal) -> Result<bool, StoreError>;

    /// Makes the domain cold.
    async fn forget(&self, domain: &Domain) -> Result<(), StoreError>;

    /// Gives back expired holds everywhere it is cheap to look (memory: all; Redis: the domains this gateway used).
    /// Returns how many.
    async fn sweep(&self) -> Result<u64, StoreError>;

    /// Waits for news that the gateway must answer with announcements. Stores inside this process have none.
    async fn next_event(&self) -> CountersEvent {
        std::future::pending().await
    }

    /// The gateway stops: others need not wait for it. Nothing is called after it.
    async fn close(&self) {}

    /// Answers if the store is reachable.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// News from the counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CountersEvent {
    /// Some gateway loaded this domain from the ledger: announce what this gateway knows of it, even if that is nothing.
    Rebuilt(Domain),
    /// The connection was lost and is back, perhaps to another process: announce everything.
    Reconnected,
}

/// A request for admission.
#[derive(Debug)]
pub struct Reserve<'a> {
    /// Our own id of the request.
    pub rid: Uuid,
    /// The domain of all holds.
    pub domain: &'a Domain,
    /// What to hold, and where the numbers are written.
    pub holds: &'a mut [LimitHold],
    /// How long the holds stand if nobody settles or renews them, in milliseconds.
    pub lease_ms: u64,
    /// The message that this is an attempt of, if its client is believed.
    pub message: Option<&'a MessageKey>,
}

/// One message of one user on one model: 128 bits of a hash in hexadecimal digits, never what a client sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageKey(String);

impl MessageKey {
    /// The key of a message; `parts` are what tells it from all others in its domain.
    pub fn of(parts: &[&str]) -> Self {
        Self(key_of(parts))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The answer to a reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// All holds stand.
    Admitted {
        /// The store's time, milliseconds since 1970.
        now_ms: i64,
        /// 0: everything is held; 1 to [`REPEATS_MAX`]: which repeat of a charged message it is, quota holds took nothing.
        repeat: u32,
    },
    /// One limit would not take it; nothing changed.
    Refused {
        /// The store's time, milliseconds since 1970.
        now_ms: i64,
        /// The first that did not fit.
        by: Box<LimitHold>,
    },
    /// The domain must be loaded from the ledger first.
    Cold,
    /// The domain was just loaded and waits for other gateways to announce their requests; ask again in this many
    /// milliseconds.
    Wait(u64),
}

/// What a settle did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The hold became use.
    Done,
    /// The hold was gone; the charges were added all the same.
    Late,
    /// It had been settled before: nothing happened.
    Duplicate,
    /// The domain is cold: nothing happened, the ledger and announcements carry the charge.
    Cold,
}

/// A request that a gateway knows of and the ledger may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// Still in flight: its holds with the epochs they were taken in, and what is left of its lease.
    Held {
        /// Our id.
        rid: Uuid,
        /// Its holds; those of rates count once and for all and are left alone.
        holds: Arc<[LimitHold]>,
        /// Milliseconds until the lease ends.
        lease_ms: u64,
    },
    /// Ended, journalled, perhaps not yet in the ledger.
    Ended {
        /// Our id.
        rid: Uuid,
        /// Its charges.
        charges: Vec<Charge>,
    },
}

/// Everything a domain holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainDump {
    /// Each quota bucket and epoch: `used`.
    pub buckets: Vec<BucketTotal>,
    /// Each bucket and epoch of which anything is held.
    pub held: Vec<HeldTotal>,
    /// The requests with live holds.
    pub leases: Vec<HoldLease>,
}

/// What requests in flight hold of one bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldTotal {
    /// The bucket's text form.
    pub bucket_key: String,
    /// The epoch of its owner.
    pub epoch: u32,
    /// Never 0.
    pub held: u64,
}

/// How long a request's holds stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HoldLease {
    /// Our id of the request.
    pub rid: Uuid,
    /// When it ends unless it is renewed, milliseconds since 1970.
    pub ends_ms: i64,
}
