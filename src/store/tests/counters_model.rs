//! A model of the counters, small enough to be read as their definition, and random histories compared with it.
//!
//! In the model `held` is no number but the sum of the live holds, and loading anew is no event: nothing may change.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use uuid::Uuid;

use super::counters_env::*;
use crate::quota::{Bucket, Charge, Domain, Hold, Rule};
use crate::store::{Announcement, BucketTotal, DomainTotals, Reserve, Reserved, Settled};

/// Leases and steps of time never meet, so that milliseconds spent on the machine decide nothing.
const LEASE_MS: u64 = 12_000;
const STEP_MS: u64 = 5_000;
/// A history stays shorter than the life of a tombstone.
const MAX_OPS: usize = 50;

#[derive(Default)]
struct Model {
    now_ms: u64,
    used: BTreeMap<(Bucket, u32), u64>,
    tat_ms: BTreeMap<Bucket, u64>,
    epochs: BTreeMap<String, u32>,
    live: BTreeMap<Uuid, (u64, Vec<(Hold, u32)>)>,
    ended: BTreeSet<Uuid>,
}

/// The first hold that does not fit, the epochs, and `used` and `held` of each hold.
type Answer = (Option<usize>, Vec<u32>, Vec<(u64, u64)>);

impl Model {
    fn reserve(&mut self, rid: Uuid, holds: &[Hold]) -> Answer {
        self.expire();
        let current = |hold: &Hold| *self.epochs.get(&hold.bucket.owner_key()).unwrap_or(&0);
        let mut epochs: Vec<u32> = holds.iter().map(current).collect();
        let mut over = None;
        if let Some((_, taken)) = self.live.get(&rid) {
            epochs = taken.iter().map(|&(_, epoch)| epoch).collect();
        } else if !self.ended.contains(&rid) {
            let fits = |(hold, &epoch): (&Hold, &u32)| {
                let (used, held) = self.numbers(hold, epoch);
                used + held + hold.amount <= hold.rule.max()
            };
            over = holds.iter().zip(&epochs).position(|it| !fits(it));
            if over.is_none() {
                for hold in holds.iter().filter(|hold| matches!(hold.rule, Rule::Rate { .. })) {
                    let tat = self.tat_ms.entry(hold.bucket.clone()).or_default();
                    *tat = self.now_ms.max(*tat) + interval_ms(hold) * hold.amount;
                }
                let taken = holds.iter().cloned().zip(epochs.clone()).collect();
                self.live.insert(rid, (self.now_ms + LEASE_MS, taken));
            }
        }
        let numbers = holds.iter().zip(&epochs).map(|(hold, &epoch)| self.numbers(hold, epoch)).collect();
        (over, epochs, numbers)
    }

    fn settle(&mut self, rid: Uuid, charges: &[Charge]) -> Settled {
        let was_live = self.live.remove(&rid).is_some();
        if !self.ended.insert(rid) {
            return Settled::Duplicate;
        }
        for charge in charges {
            *self.used.entry((charge.bucket.clone(), charge.epoch)).or_default() += charge.amount;
        }
        if was_live { Settled::Done } else { Settled::Late }
    }

    fn expire(&mut self) {
        self.live.retain(|_, (end_ms, _)| *end_ms > self.now_ms);
    }

    fn numbers(&self, hold: &Hold, epoch: u32) -> (u64, u64) {
        if let Rule::Rate { .. } = hold.rule {
            let tat_ms = self.tat_ms.get(&hold.bucket).copied().unwrap_or(0);
            return (tat_ms.saturating_sub(self.now_ms).div_ceil(interval_ms(hold)), 0);
        }
        let same = |(other, at): &&(Hold, u32)| {
            other.bucket == hold.bucket && (*at == epoch || !hold.rule.is_quota())
        };
        let used = self.used.get(&(hold.bucket.clone(), epoch)).copied().unwrap_or(0);
        let taken = self.live.values().flat_map(|(_, taken)| taken);
        (used, taken.filter(same).map(|(it, _)| it.amount).sum())
    }
}

fn interval_ms(hold: &Hold) -> u64 {
    let Rule::Rate { max, window_us } = hold.rule else { panic!("no rate") };
    window_us / max / 1_000
}

#[derive(Clone, Debug)]
enum Op {
    /// The same number is the same request: a repeat, perhaps after its end.
    Reserve {
        request: usize,
        kind: usize,
    },
    Settle {
        request: usize,
        is_charged: bool,
    },
    Renew {
        request: usize,
    },
    Advance,
    MonthTurn,
    Reset {
        of_team: bool,
    },
    Sweep,
    /// Forget, load from a ledger that has the requests of `in_ledger` (a bit each), announce the others, some twice.
    Reload {
        in_ledger: u16,
        is_reversed: bool,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let request = 0..16_usize;
    let op = prop_oneof![
        8 => (request.clone(), 0..4_usize).prop_map(|(request, kind)| Op::Reserve { request, kind }),
        6 => (request.clone(), prop::bool::weighted(0.8))
            .prop_map(|(request, is_charged)| Op::Settle { request, is_charged }),
        1 => request.prop_map(|request| Op::Renew { request }),
        4 => Just(Op::Advance),
        1 => Just(Op::MonthTurn),
        1 => any::<bool>().prop_map(|of_team| Op::Reset { of_team }),
        1 => Just(Op::Sweep),
        1 => (any::<u16>(), any::<bool>())
            .prop_map(|(in_ledger, is_reversed)| Op::Reload { in_ledger, is_reversed }),
    ];
    prop::collection::vec(op, 1..MAX_OPS)
}

/// What the gateway knows of a request.
#[derive(Clone, Default)]
struct Known {
    rid: Uuid,
    holds: Vec<Hold>,
    /// Empty until admitted.
    epochs: Vec<u32>,
    ended: Option<Vec<Charge>>,
}

struct History<'a> {
    env: &'a Env,
    domain: Domain,
    model: Model,
    month: u32,
    requests: Vec<Known>,
}

impl History<'_> {
    async fn step(&mut self, op: Op) {
        let counters = self.env.counters.clone();
        match op {
            Op::Reserve { request, kind } => self.reserve(request, kind).await,
            Op::Settle { request, is_charged } => self.settle(request, is_charged).await,
            Op::Renew { request } => {
                let rid = self.requests[request].rid;
                let gone = counters.renew(&self.domain, &[rid], LEASE_MS).await.unwrap();
                assert_eq!(gone.is_empty(), self.model.live.contains_key(&rid));
                if let Some((end_ms, _)) = self.model.live.get_mut(&rid) {
                    *end_ms = self.model.now_ms + LEASE_MS;
                }
            }
            Op::Advance => {
                self.env.advance(STEP_MS);
                self.model.now_ms += STEP_MS;
            }
            Op::MonthTurn => self.month += 1,
            Op::Reset { of_team } => {
                let hold = if of_team { pool(1) } else { quota("messages", 1) };
                let epoch = self.model.epochs.entry(hold.bucket.owner_key()).or_default();
                *epoch += 1;
                counters.open_epoch(&self.domain, &owner(&hold, *epoch)).await.unwrap();
            }
            Op::Sweep => {
                counters.sweep().await.unwrap();
                self.model.expire();
            }
            Op::Reload { in_ledger, is_reversed } => self.reload(in_ledger, is_reversed).await,
        }
    }

    async fn reserve(&mut self, request: usize, kind: usize) {
        let month = self.month.to_string();
        let known = &mut self.requests[request];
        if known.holds.is_empty() {
            let burst = Hold { rule: Rule::Rate { max: 3, window_us: 30_000_000 }, ..rate(3) };
            let messages = quota_in(&month, "messages", 5);
            known.holds = match kind {
                0 => vec![messages],
                1 => {
                    vec![messages, quota_in(&month, "premium", 2), amount(quota_in(&month, "tokens", 90), 20)]
                }
                2 => vec![pool(7), messages, burst, open(2)],
                _ => vec![burst, pool(7)],
            };
        }
        let (domain, rid, holds) = (&self.domain, known.rid, known.holds.as_slice());
        let reserve = Reserve { rid, domain, holds, lease_ms: LEASE_MS, message: None };
        let reserved = self.env.counters.reserve(&reserve).await.unwrap();
        let (over, epochs, numbers) = self.model.reserve(rid, holds);
        let standings = match &reserved {
            Reserved::Admitted(admission) => {
                assert_eq!(over, None);
                for (index, hold) in holds.iter().enumerate().filter(|(_, hold)| hold.rule.is_quota()) {
                    assert_eq!(admission.epochs[index], epochs[index], "{}", hold.bucket.key());
                }
                known.epochs = epochs;
                &admission.standings
            }
            Reserved::Refused(refused) => {
                assert_eq!(over, Some(refused.index));
                &refused.standings
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(standings.iter().map(|it| (it.used, it.held)).collect::<Vec<_>>(), numbers);
    }

    async fn settle(&mut self, request: usize, is_charged: bool) {
        let known = &mut self.requests[request];
        // a repeat says the same; a request that was never admitted is decided without the counters, in epoch 0
        let epochs = if known.epochs.is_empty() { vec![0; known.holds.len()] } else { known.epochs.clone() };
        let first = if is_charged { charges(&known.holds, &epochs) } else { vec![] };
        let charges = known.ended.get_or_insert(first).clone();
        let settled = self.env.counters.settle(&self.domain, known.rid, &charges).await.unwrap();
        assert_eq!(settled, self.model.settle(known.rid, &charges));
    }

    async fn reload(&mut self, in_ledger: u16, is_reversed: bool) {
        let mut totals: BTreeMap<(Bucket, u32), BucketTotal> = BTreeMap::new();
        let (mut recent, mut news) = (Vec::new(), Vec::new());
        for (bit, known) in self.requests.iter().enumerate() {
            match &known.ended {
                Some(charges) if in_ledger >> bit & 1 == 1 => {
                    recent.push(known.rid);
                    for it in charges {
                        let hold = Hold { bucket: it.bucket.clone(), ..quota("", 0) };
                        let place = totals.entry((it.bucket.clone(), it.epoch));
                        place.or_insert_with(|| total(&hold, it.epoch, 0)).used += it.amount;
                    }
                }
                Some(charges) => news.push(Announcement::Ended { rid: known.rid, charges: charges.clone() }),
                None => {
                    if let Some((end_ms, taken)) = self.model.live.get(&known.rid) {
                        let quotas = taken.iter().filter(|(hold, _)| !matches!(hold.rule, Rule::Rate { .. }));
                        let (holds, epochs) = quotas.cloned().unzip();
                        let lease_ms = end_ms.saturating_sub(self.model.now_ms);
                        news.push(Announcement::Held { rid: known.rid, holds, epochs, lease_ms });
                    }
                }
            }
        }
        if is_reversed {
            news.reverse();
        }
        news.extend(news.clone().into_iter().take(3));
        let epochs = self.model.epochs.iter();
        let epochs = epochs.map(|(key, &epoch)| crate::store::OwnerEpoch {
            owner_key: key.clone(),
            epoch,
            reset_at_ms: 1,
        });
        let totals =
            DomainTotals { buckets: totals.into_values().collect(), epochs: epochs.collect(), recent };
        let counters = &self.env.counters;
        counters.forget(&self.domain).await.unwrap();
        assert!(counters.rebuild(&self.domain, &totals).await.unwrap());
        assert!(!counters.rebuild(&self.domain, &DomainTotals::default()).await.unwrap());
        counters.announce(&self.domain, &news).await.unwrap();
        // all that a loading may lose
        self.model.tat_ms.clear();
    }

    async fn compare(&mut self) {
        self.model.expire();
        let dump = self.env.dump(&self.domain).await;
        let used: BTreeMap<_, _> =
            dump.buckets.into_iter().map(|it| ((it.bucket, it.epoch), it.used)).collect();
        let expected = self.model.used.clone().into_iter().filter(|(_, used)| *used > 0).collect();
        assert_eq!(used, expected);
        let mut held = BTreeMap::<(String, u32), u64>::new();
        for (hold, epoch) in self.model.live.values().flat_map(|(_, taken)| taken) {
            let epoch = match hold.rule {
                Rule::Quota { .. } => *epoch,
                Rule::Open { .. } => 0,
                Rule::Rate { .. } => continue,
            };
            *held.entry((hold.bucket.key(), epoch)).or_default() += hold.amount;
        }
        assert_eq!(
            dump.held.into_iter().map(|(key, epoch, held)| ((key, epoch), held)).collect::<BTreeMap<_, _>>(),
            held
        );
        let live: Vec<Uuid> = dump.holds.into_iter().map(|(rid, _)| rid).collect();
        assert_eq!(live, self.model.live.keys().copied().collect::<Vec<_>>());
    }
}

async fn replay(env: &Env, ops: Vec<Op>) {
    let requests = (0..16).map(|_| Known { rid: rid(), ..Known::default() }).collect();
    let domain = env.warm().await;
    let mut history = History { env, domain, model: Model::default(), month: 0, requests };
    for op in ops {
        history.step(op).await;
    }
    history.compare().await;
}

fn compare(cases: u32, start: impl Future<Output = Env>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let env = runtime.block_on(start);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&ops(), |ops| {
        runtime.block_on(replay(&env, ops));
        Ok(())
    });
    runtime.block_on(async { drop(env) });
    outcome.unwrap();
}

#[test]
fn memory_does_what_the_model_says() {
    compare(2_000, async { Env::memory() });
}

#[test]
fn redis_does_what_the_model_says() {
    compare(100, super::counters_redis::env());
}
