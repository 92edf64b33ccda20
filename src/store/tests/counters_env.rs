//! What the shared behaviours of counters need from a backend: a store, a way to move its time, and words for holds.
//!
//! Domains have unique names, so behaviours share one server without seeing each other.

use std::any::Any;
use std::sync::Arc;

use uuid::Uuid;

use crate::clock::Clock;
use crate::quota::{Bucket, Charge, Domain, Hold, LimitHold, Rule, Scope, Standing};
use crate::store::{
    BucketTotal, Counters, DomainDump, DomainTotals, MessageKey, OwnerEpoch, Reserve, Reserved, Settled,
    StoreError,
};

/// The lease of most holds here, milliseconds.
pub(super) const LEASE_MS: u64 = 60_000;
const DAY_MS: i64 = 86_400_000;

/// One backend under test.
pub(super) struct Env {
    pub counters: Arc<dyn Counters>,
    /// Moves the store's time on by milliseconds.
    pub advance: Box<dyn Fn(u64) + Send + Sync>,
    /// What must live as long as the test: a server, say.
    pub _keep: Box<dyn Any + Send + Sync>,
}

impl Env {
    pub fn memory() -> Self {
        let clock = Clock::manual(Clock::system().now());
        let counters = Arc::new(crate::store::memory::MemoryCounters::new(clock.clone()));
        let advance = Box::new(move |ms| clock.advance(std::time::Duration::from_millis(ms)));
        Self { counters, advance, _keep: Box::new(()) }
    }

    pub fn advance(&self, ms: u64) {
        (self.advance)(ms);
    }

    /// A new domain, loaded from an empty ledger.
    pub async fn warm(&self) -> Domain {
        let domain = cold();
        self.load(&domain, &DomainTotals::default()).await;
        domain
    }

    /// Loads a cold domain and announces that there is nothing to announce, as the only gateway.
    pub async fn load(&self, domain: &Domain, totals: &DomainTotals) {
        assert!(self.counters.rebuild(domain, totals).await.unwrap());
        self.counters.announce(domain, &[]).await.unwrap();
    }

    pub async fn reserve(&self, domain: &Domain, rid: Uuid, holds: &[Hold]) -> Decided {
        reserve(&*self.counters, domain, rid, holds, None).await.unwrap()
    }

    pub async fn admit(&self, domain: &Domain, holds: &[Hold]) -> (Uuid, Decided) {
        let rid = rid();
        (rid, self.reserve(domain, rid, holds).await.admitted())
    }

    pub async fn refuse(&self, domain: &Domain, holds: &[Hold]) -> Decided {
        let decided = self.reserve(domain, rid(), holds).await;
        assert!(decided.index.is_some(), "not refused: {decided:?}");
        decided
    }

    /// What reading says of the holds of a warm domain, and when the latest of its epochs was opened.
    pub async fn read(&self, domain: &Domain, holds: &[Hold]) -> (Decided, i64) {
        let mut asked = untaken(holds);
        let reset_at_ms = self.counters.read(domain, &mut asked).await.unwrap().expect("warm");
        (Decided::of(Reserved::Cold, &asked), reset_at_ms)
    }

    /// Settles every quota hold at its amount, in the epochs of the admission.
    pub async fn settle(&self, domain: &Domain, rid: Uuid, holds: &[Hold], epochs: &[u32]) -> Settled {
        self.counters.settle(domain, rid, &charges(holds, epochs)).await.unwrap()
    }

    pub async fn dump(&self, domain: &Domain) -> DomainDump {
        let mut dump = self.counters.dump(domain).await.unwrap().expect("the domain is warm");
        // a bucket that is 0 may stand or not
        dump.buckets.retain(|total| total.used > 0);
        dump
    }

    /// `used` and `held` of a bucket in an epoch.
    pub async fn numbers(&self, domain: &Domain, bucket: &Bucket, epoch: u32) -> (u64, u64) {
        let dump = self.dump(domain).await;
        let used = dump.buckets.iter().find(|it| it.bucket == *bucket && it.epoch == epoch);
        let held = dump.held.iter().find(|it| it.bucket_key == bucket.key() && it.epoch == epoch);
        (used.map_or(0, |it| it.used), held.map_or(0, |it| it.held))
    }
}

/// A new domain that nobody loaded.
pub(super) fn cold() -> Domain {
    Domain::team(&rid().to_string())
}

pub(super) fn rid() -> Uuid {
    Clock::system().request_id()
}

/// The answer to a reserve, and the numbers of the holds in their order.
#[derive(Debug)]
pub(super) struct Decided {
    pub reserved: Reserved,
    /// Place of the hold that refused.
    pub index: Option<usize>,
    pub epochs: Vec<u32>,
    pub standings: Vec<Standing>,
}

impl Decided {
    pub fn of(reserved: Reserved, holds: &[LimitHold]) -> Self {
        let index = match &reserved {
            Reserved::Refused { by, .. } => holds.iter().position(|it| it == &**by),
            Reserved::Admitted { .. } | Reserved::Cold | Reserved::Wait(_) => None,
        };
        let epochs = holds.iter().map(|it| it.epoch).collect();
        Self { reserved, index, epochs, standings: holds.iter().map(|it| it.standing).collect() }
    }

    pub fn admitted(self) -> Self {
        assert!(matches!(self.reserved, Reserved::Admitted { .. }), "not admitted: {:?}", self.reserved);
        self
    }

    pub fn now_ms(&self) -> i64 {
        match self.reserved {
            Reserved::Admitted { now_ms, .. } | Reserved::Refused { now_ms, .. } => now_ms,
            Reserved::Cold | Reserved::Wait(_) => panic!("not decided: {:?}", self.reserved),
        }
    }

    pub fn repeat(&self) -> u32 {
        let Reserved::Admitted { repeat, .. } = self.reserved else { panic!("not admitted: {self:?}") };
        repeat
    }
}

pub(super) async fn reserve(
    counters: &dyn Counters,
    domain: &Domain,
    rid: Uuid,
    holds: &[Hold],
    message: Option<&MessageKey>,
) -> Result<Decided, StoreError> {
    let mut holds = untaken(holds);
    let mut reserve = Reserve { rid, domain, holds: &mut holds, lease_ms: LEASE_MS, message };
    let reserved = counters.reserve(&mut reserve).await?;
    Ok(Decided::of(reserved, &holds))
}

/// These holds as a gateway hands them over.
pub(super) fn untaken(holds: &[Hold]) -> Vec<LimitHold> {
    holds.iter().cloned().map(LimitHold::from).collect()
}

/// These holds as a gateway knows them that took them in these epochs.
pub(super) fn taken(holds: &[Hold], epochs: &[u32]) -> Arc<[LimitHold]> {
    let taken = |(hold, &epoch): (&Hold, &u32)| LimitHold { epoch, ..LimitHold::from(hold.clone()) };
    holds.iter().zip(epochs).map(taken).collect()
}

pub(super) fn bucket(scope: Scope, limit: &str, period: &str) -> Bucket {
    let owner = if scope == Scope::Team { "acme" } else { "user_1" };
    Bucket { scope, owner: owner.into(), limit: limit.into(), period: period.into() }
}

/// A period around the machine's present, so that no store takes it for long ended.
pub(super) fn period() -> (i64, i64) {
    let today = Clock::system().now_ms() / DAY_MS * DAY_MS;
    (today - 10 * DAY_MS, today + 20 * DAY_MS)
}

/// One message of a user's monthly limit.
pub(super) fn quota(limit: &str, max: u64) -> Hold {
    quota_in("2026-11", limit, max)
}

/// One message of a user's limit in a named period.
pub(super) fn quota_in(name: &str, limit: &str, max: u64) -> Hold {
    let (period_start_ms, period_end_ms) = period();
    let rule = Rule::Quota { max, period_start_ms, period_end_ms };
    Hold { bucket: bucket(Scope::User, limit, name), rule, amount: 1 }
}

/// One message of the team's pool.
pub(super) fn pool(max: u64) -> Hold {
    Hold { bucket: bucket(Scope::Team, "pool", "2026-11"), ..quota("pool", max) }
}

pub(super) fn open(max: u64) -> Hold {
    Hold { bucket: bucket(Scope::User, "parallel", "open"), rule: Rule::Open { max }, amount: 1 }
}

/// `max` a minute.
pub(super) fn rate(max: u64) -> Hold {
    let rule = Rule::Rate { max, window_us: 60_000_000 };
    Hold { bucket: bucket(Scope::User, "burst", "rate"), rule, amount: 1 }
}

pub(super) fn amount(hold: Hold, amount: u64) -> Hold {
    Hold { amount, ..hold }
}

pub(super) fn charges(holds: &[Hold], epochs: &[u32]) -> Vec<Charge> {
    let charge = |(hold, &epoch): (&Hold, &u32)| match hold.rule {
        Rule::Quota { period_start_ms, period_end_ms, .. } => {
            let (bucket, amount) = (hold.bucket.clone(), hold.amount);
            Some(Charge { bucket, epoch, period_start_ms, period_end_ms, amount })
        }
        Rule::Open { .. } | Rule::Rate { .. } => None,
    };
    holds.iter().zip(epochs).filter_map(charge).collect()
}

/// The ledger's total for the bucket of a quota hold.
pub(super) fn total(hold: &Hold, epoch: u32, used: u64) -> BucketTotal {
    let (period_start_ms, period_end_ms) = period();
    BucketTotal { bucket: hold.bucket.clone(), epoch, period_start_ms, period_end_ms, used }
}

pub(super) fn owner(hold: &Hold, epoch: u32) -> OwnerEpoch {
    OwnerEpoch { owner_key: hold.bucket.owner_key(), epoch, reset_at_ms: Clock::system().now_ms() }
}
