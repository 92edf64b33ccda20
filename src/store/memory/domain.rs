//! One domain's counters: buckets, epochs, live holds and tombstones, and the arithmetic on them.
//!
//! Synchronous; the time is an argument. It must not know locks, shards or other domains.

use std::collections::{HashMap, VecDeque};

use uuid::Uuid;

use super::gcra::Gcra;
use super::repeats::{Mark, Repeats};
use crate::quota::{Bucket, Charge, Hold, LimitHold, Rule, Standing};
use crate::store::counters::TOMBSTONE_MS;
use crate::store::{
    Announcement, BucketTotal, DomainDump, DomainTotals, HeldTotal, HoldLease, OwnerEpoch, Reserve, Reserved,
    Settled,
};

/// How long the bucket of an ended period is kept for late settles: design §4.
const ENDED_BUCKET_MS: i64 = 7 * 24 * 3_600_000;
/// The epoch of open and rate buckets: a reset must neither forget requests in flight nor grant a second burst.
const NO_EPOCH: u32 = 0;

/// The counters of one loaded domain.
#[derive(Debug, Default)]
pub(super) struct DomainState {
    buckets: HashMap<(Bucket, u32), Count>,
    /// Of each rate: when its next unit is due, microseconds since 1970.
    rates: HashMap<Bucket, i64>,
    epochs: HashMap<String, OwnerEpoch>,
    holds: HashMap<Uuid, LiveHold>,
    /// No live hold ends before this, milliseconds since 1970: looking for expired ones costs nothing until then.
    next_expiry_ms: i64,
    tombstones: Tombstones,
    repeats: Repeats,
    /// Last reserve, settle or load, milliseconds since 1970.
    pub(super) last_used_ms: i64,
}

#[derive(Debug, Default)]
struct Count {
    used: u64,
    held: u64,
    /// `None`: a count of open requests.
    period: Option<(i64, i64)>,
}

#[derive(Debug)]
struct LiveHold {
    expires_ms: i64,
    items: Vec<HeldItem>,
    /// The message it is a charged attempt of.
    mark: Option<Mark>,
    /// Which uncharged repeat it is; 0: none.
    repeat: u32,
}

#[derive(Debug)]
struct HeldItem {
    bucket: Bucket,
    /// The owner's epoch at admission: part of the answer to a repeated reserve.
    epoch: u32,
    /// The epoch of the count.
    count_epoch: u32,
    amount: u64,
}

/// Ids of settled requests, oldest first, forgotten after [`TOMBSTONE_MS`].
#[derive(Debug, Default)]
struct Tombstones {
    until_ms: HashMap<Uuid, i64>,
    order: VecDeque<(i64, Uuid)>,
}

impl DomainState {
    /// A domain as the ledger knows it.
    pub(super) fn load(totals: &DomainTotals, now_ms: i64) -> Self {
        let mut state = Self { next_expiry_ms: i64::MAX, last_used_ms: now_ms, ..Self::default() };
        for total in &totals.buckets {
            let period = Some((total.period_start_ms, total.period_end_ms));
            let count = Count { used: total.used, held: 0, period };
            state.buckets.insert((total.bucket.clone(), total.epoch), count);
        }
        for owner in &totals.epochs {
            state.epochs.insert(owner.owner_key.clone(), owner.clone());
        }
        for &rid in &totals.recent {
            state.tombstones.bury(rid, now_ms);
        }
        state
    }

    pub(super) fn reserve(&mut self, reserve: &mut Reserve<'_>, at_us: i64) -> Reserved {
        let Reserve { rid, lease_ms, message, .. } = *reserve;
        let holds = &mut *reserve.holds;
        let now_ms = at_us / 1_000;
        self.last_used_ms = now_ms;
        self.reap(now_ms);
        self.tombstones.prune(now_ms);
        self.count(holds, at_us);
        if let Some(live) = self.holds.get(&rid) {
            for asked in holds.iter_mut() {
                let taken = live.items.iter().find(|item| item.bucket == asked.hold.bucket);
                asked.epoch = taken.map_or(asked.epoch, |item| item.epoch);
                asked.standing = self.standing(asked, at_us);
            }
            return Reserved::Admitted { now_ms, repeat: live.repeat };
        }
        if self.tombstones.stands(rid, now_ms) {
            return Reserved::Admitted { now_ms, repeat: 0 };
        }
        let repeat = message.map_or(0, |message| self.repeats.next(message, now_ms));
        let is_free = |hold: &Hold| repeat > 0 && hold.rule.is_quota();
        let fits = |asked: &LimitHold| {
            if is_free(&asked.hold) { asked.standing.max > 0 } else { self.fits(asked, at_us) }
        };
        if let Some(full) = holds.iter().find(|asked| !fits(asked)) {
            return Reserved::Refused { now_ms, by: Box::new(full.clone()) };
        }
        let mut items = Vec::with_capacity(holds.len());
        for asked in holds.iter_mut() {
            let amount = if is_free(&asked.hold) { 0 } else { asked.hold.amount };
            items.extend(self.take(&asked.hold, amount, asked.epoch, at_us));
            asked.standing = self.standing(asked, at_us);
        }
        let mark = match message {
            Some(message) if repeat > 0 => {
                self.repeats.repeated(message);
                None
            }
            message => message.map(|message| Mark { message: message.clone(), at_ms: now_ms }),
        };
        self.hold(rid, LiveHold { expires_ms: after(now_ms, lease_ms), items, mark, repeat });
        Reserved::Admitted { now_ms, repeat }
    }

    pub(super) fn settle(&mut self, rid: Uuid, charges: &[Charge], now_ms: i64) -> Settled {
        self.last_used_ms = now_ms;
        self.tombstones.prune(now_ms);
        let hold = self.holds.remove(&rid);
        let settled = match &hold {
            Some(_) => Settled::Done,
            None if self.tombstones.stands(rid, now_ms) => return Settled::Duplicate,
            None => Settled::Late,
        };
        if let Some(hold) = hold {
            self.give_back(&hold);
            let is_charged = charges.iter().any(|charge| charge.amount > 0);
            if let Some(mark) = hold.mark.filter(|_| is_charged) {
                self.repeats.charged(mark);
            }
        }
        self.charge(charges);
        self.tombstones.bury(rid, now_ms);
        settled
    }

    /// Returns false if there is no such hold.
    pub(super) fn renew(&mut self, rid: Uuid, lease_ms: u64, now_ms: i64) -> bool {
        let Some(hold) = self.holds.get_mut(&rid) else { return false };
        hold.expires_ms = after(now_ms, lease_ms);
        self.next_expiry_ms = self.next_expiry_ms.min(hold.expires_ms);
        true
    }

    /// Returns when the latest epoch of these owners was opened, milliseconds since 1970; 0: never.
    pub(super) fn read(&mut self, holds: &mut [LimitHold], at_us: i64) -> i64 {
        self.reap(at_us / 1_000);
        self.count(holds, at_us)
    }

    pub(super) fn announce(&mut self, announcement: &Announcement, now_ms: i64) {
        let (Announcement::Held { rid, .. } | Announcement::Ended { rid, .. }) = announcement;
        if self.holds.contains_key(rid) || self.tombstones.stands(*rid, now_ms) {
            return;
        }
        match announcement {
            Announcement::Held { rid, holds, lease_ms } => {
                let put = |it: &LimitHold| self.put(&it.hold, it.hold.amount, it.epoch);
                let items = holds.iter().filter_map(put).collect();
                let expires_ms = after(now_ms, *lease_ms);
                self.hold(*rid, LiveHold { expires_ms, items, mark: None, repeat: 0 });
            }
            Announcement::Ended { rid, charges } => {
                self.charge(charges);
                self.tombstones.bury(*rid, now_ms);
            }
        }
    }

    pub(super) fn open_epoch(&mut self, owner: &OwnerEpoch) {
        let known = self.epochs.get(&owner.owner_key).map_or(0, |it| it.epoch);
        if owner.epoch > known {
            self.epochs.insert(owner.owner_key.clone(), owner.clone());
        }
    }

    pub(super) fn dump(&mut self, now_ms: i64) -> DomainDump {
        self.reap(now_ms);
        let mut dump = DomainDump::default();
        for ((bucket, epoch), count) in &self.buckets {
            if let Some((period_start_ms, period_end_ms)) = count.period {
                let (bucket, epoch, used) = (bucket.clone(), *epoch, count.used);
                dump.buckets.push(BucketTotal { bucket, epoch, period_start_ms, period_end_ms, used });
            }
            if count.held > 0 {
                dump.held.push(HeldTotal { bucket_key: bucket.key(), epoch: *epoch, held: count.held });
            }
        }
        dump.leases =
            self.holds.iter().map(|(&rid, hold)| HoldLease { rid, ends_ms: hold.expires_ms }).collect();
        dump.buckets.sort();
        dump.held.sort();
        dump.leases.sort();
        dump
    }

    pub(super) fn repair(&mut self, total: &BucketTotal, now_ms: i64) -> bool {
        self.reap(now_ms);
        let count = self.buckets.entry((total.bucket.clone(), total.epoch)).or_default();
        if count.held > 0 {
            return false;
        }
        count.used = total.used;
        count.period = Some((total.period_start_ms, total.period_end_ms));
        true
    }

    /// Gives back expired holds. Returns how many.
    pub(super) fn reap(&mut self, now_ms: i64) -> u64 {
        if now_ms < self.next_expiry_ms {
            return 0;
        }
        let expired: Vec<LiveHold> =
            self.holds.extract_if(|_, hold| hold.expires_ms <= now_ms).map(|(_, hold)| hold).collect();
        for hold in &expired {
            self.give_back(hold);
        }
        self.next_expiry_ms = self.holds.values().map(|hold| hold.expires_ms).min().unwrap_or(i64::MAX);
        u64::try_from(expired.len()).unwrap_or(u64::MAX)
    }

    /// Drops what says nothing any more: buckets of periods long ended, full bursts, old tombstones.
    pub(super) fn clean(&mut self, at_us: i64) {
        let now_ms = at_us / 1_000;
        self.tombstones.prune(now_ms);
        self.repeats.prune(now_ms);
        self.rates.retain(|_, tat_us| *tat_us > at_us);
        self.buckets.retain(|_, count| {
            let ended = count.period.is_none_or(|(_, end)| end.saturating_add(ENDED_BUCKET_MS) < now_ms);
            count.held > 0 || !ended
        });
    }

    pub(super) fn has_holds(&self) -> bool {
        !self.holds.is_empty()
    }

    /// Writes the current epoch and the numbers into each. Returns when the latest of these epochs was opened.
    fn count(&self, holds: &mut [LimitHold], at_us: i64) -> i64 {
        let mut reset_at_ms = 0;
        for asked in holds {
            let owner = self.epochs.get(&asked.hold.bucket.owner_key());
            asked.epoch = owner.map_or(0, |owner| owner.epoch);
            asked.standing = self.standing(asked, at_us);
            reset_at_ms = owner.map_or(reset_at_ms, |owner| reset_at_ms.max(owner.reset_at_ms));
        }
        reset_at_ms
    }

    fn standing(&self, asked: &LimitHold, at_us: i64) -> Standing {
        let LimitHold { hold, epoch, .. } = asked;
        match hold.rule {
            Rule::Rate { max, window_us } => {
                let tat_us = self.rates.get(&hold.bucket).copied().unwrap_or(0);
                Gcra::new(max, window_us).standing(tat_us, at_us)
            }
            Rule::Quota { max, .. } | Rule::Open { max } => {
                let count = self.buckets.get(&(hold.bucket.clone(), bucket_epoch(hold, *epoch)));
                let numbers = count.map_or((0, 0), |count| (count.used, count.held));
                Standing { used: numbers.0, held: numbers.1, max, wait_ms: 0 }
            }
        }
    }

    /// Do the numbers, as they were just written, leave room?
    fn fits(&self, asked: &LimitHold, at_us: i64) -> bool {
        let LimitHold { hold, standing, .. } = asked;
        if let Rule::Rate { max, window_us } = hold.rule {
            let tat_us = self.rates.get(&hold.bucket).copied().unwrap_or(0);
            return Gcra::new(max, window_us).take(tat_us, at_us, hold.amount).is_some();
        }
        standing.used.saturating_add(standing.held).saturating_add(hold.amount) <= standing.max
    }

    /// Takes `amount` of a hold that fits. A rate keeps no hold: it counts once and for all.
    fn take(&mut self, hold: &Hold, amount: u64, epoch: u32, at_us: i64) -> Option<HeldItem> {
        let Rule::Rate { max, window_us } = hold.rule else { return self.put(hold, amount, epoch) };
        let tat_us = self.rates.entry(hold.bucket.clone()).or_insert(0);
        if let Some(next_us) = Gcra::new(max, window_us).take(*tat_us, at_us, amount) {
            *tat_us = next_us;
        }
        None
    }

    /// Puts `amount` of a quota or open hold on its bucket, whatever the limit.
    fn put(&mut self, hold: &Hold, amount: u64, epoch: u32) -> Option<HeldItem> {
        let period = match hold.rule {
            Rule::Quota { period_start_ms, period_end_ms, .. } => Some((period_start_ms, period_end_ms)),
            Rule::Open { .. } => None,
            Rule::Rate { .. } => return None,
        };
        let count_epoch = bucket_epoch(hold, epoch);
        let count = self.buckets.entry((hold.bucket.clone(), count_epoch)).or_default();
        count.held = count.held.saturating_add(amount);
        count.period = period;
        Some(HeldItem { bucket: hold.bucket.clone(), epoch, count_epoch, amount })
    }

    fn hold(&mut self, rid: Uuid, hold: LiveHold) {
        self.next_expiry_ms = self.next_expiry_ms.min(hold.expires_ms);
        self.holds.insert(rid, hold);
    }

    fn give_back(&mut self, hold: &LiveHold) {
        for HeldItem { bucket, count_epoch, amount, .. } in &hold.items {
            if let Some(count) = self.buckets.get_mut(&(bucket.clone(), *count_epoch)) {
                count.held = count.held.saturating_sub(*amount);
            }
        }
    }

    fn charge(&mut self, charges: &[Charge]) {
        for charge in charges.iter().filter(|charge| charge.amount > 0) {
            let count = self.buckets.entry((charge.bucket.clone(), charge.epoch)).or_default();
            count.used = count.used.saturating_add(charge.amount);
            count.period = Some((charge.period_start_ms, charge.period_end_ms));
        }
    }
}

impl Tombstones {
    fn bury(&mut self, rid: Uuid, now_ms: i64) {
        let until_ms = after(now_ms, TOMBSTONE_MS);
        self.until_ms.insert(rid, until_ms);
        self.order.push_back((until_ms, rid));
    }

    fn stands(&self, rid: Uuid, now_ms: i64) -> bool {
        self.until_ms.get(&rid).is_some_and(|&until_ms| until_ms > now_ms)
    }

    fn prune(&mut self, now_ms: i64) {
        while let Some(&(until_ms, rid)) = self.order.front().filter(|(until_ms, _)| *until_ms <= now_ms) {
            self.order.pop_front();
            if self.until_ms.get(&rid) == Some(&until_ms) {
                self.until_ms.remove(&rid);
            }
        }
    }
}

fn bucket_epoch(hold: &Hold, epoch: u32) -> u32 {
    if hold.rule.is_quota() { epoch } else { NO_EPOCH }
}

fn after(now_ms: i64, by_ms: u64) -> i64 {
    now_ms.saturating_add(i64::try_from(by_ms).unwrap_or(i64::MAX))
}
