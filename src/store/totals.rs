//! What the ledger has counted, in the form in which the counters are loaded from it. Plain values; it must not know
//! where they are kept.

use uuid::Uuid;

use crate::quota::Bucket;

/// The total of one bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BucketTotal {
    /// Which bucket.
    pub bucket: Bucket,
    /// In which epoch of its owner.
    pub epoch: u32,
    /// First instant of the period, milliseconds since 1970.
    pub period_start_ms: i64,
    /// End of the period, milliseconds since 1970.
    pub period_end_ms: i64,
    /// The sum of the charges.
    pub used: u64,
}

/// The current epoch of an owner in a domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnerEpoch {
    /// `scope|owner`, as [`Bucket::owner_key`] gives it.
    pub owner_key: String,
    /// 0 until the first reset.
    pub epoch: u32,
    /// When it was opened, milliseconds since 1970.
    pub reset_at_ms: i64,
}

/// What the ledger knows of a domain: one consistent read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainTotals {
    /// `used` of each bucket whose period has not ended.
    pub buckets: Vec<BucketTotal>,
    /// Owners that were ever reset.
    pub epochs: Vec<OwnerEpoch>,
    /// Ids of the requests ingested in the last [`TOMBSTONE_MS`](super::counters::TOMBSTONE_MS).
    pub recent: Vec<Uuid>,
}
