//! Random histories, and told ones, of a domain on each store, compared with the model call by call.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use uuid::Uuid;

use super::counters_env::*;
use super::counters_model::Model;
use crate::quota::{Bucket, Charge, Domain, Hold, Rule};
use crate::store::{Announcement, BucketTotal, DomainTotals, MessageKey, Reserve, Reserved};

/// Leases and steps of time never meet, so that milliseconds spent on the machine decide nothing.
pub(super) const LEASE_MS: u64 = 12_000;
const STEP_MS: u64 = 5_000;
/// Longer than a tombstone lives. All steps of a history and one wait stay within the ten minutes in which a message may
/// be repeated; two waits pass them.
const WAIT_MS: u64 = 302_500;
/// A domain in memory that nobody uses becomes cold after an hour.
const WAITS_MAX: u32 = 8;
/// A history's steps alone are shorter than the life of a tombstone.
const MAX_OPS: usize = 50;
/// Requests of a history: a bit each in `in_ledger`.
const REQUESTS: usize = 16;
/// A user and a message each: the third is another user's, with the first one's id.
const MESSAGES: [[&str; 2]; 3] = [["ann", "m1"], ["ann", "m2"], ["bob", "m1"]];

#[derive(Clone, Debug)]
pub(super) enum Op {
    /// The same number is the same request: asked again, perhaps after its end.
    Reserve {
        request: usize,
        kind: usize,
        message: Option<usize>,
    },
    Settle {
        request: usize,
        is_charged: bool,
    },
    Renew {
        request: usize,
    },
    Advance,
    /// Minutes in which nothing happens.
    Wait,
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
    let request = 0..REQUESTS;
    let message = prop::option::weighted(0.8, 0..MESSAGES.len());
    let asked = (request.clone(), 0..5_usize, message);
    let reserve = |(request, kind, message)| Op::Reserve { request, kind, message };
    let op = prop_oneof![
        8 => asked.clone().prop_map(move |asked| vec![reserve(asked)]),
        // from its hold to its charge at once: else few messages would be repeated
        4 => asked.prop_map(move |asked| vec![reserve(asked), Op::Settle { request: asked.0, is_charged: true }]),
        6 => (request.clone(), prop::bool::weighted(0.8))
            .prop_map(|(request, is_charged)| vec![Op::Settle { request, is_charged }]),
        1 => request.prop_map(|request| vec![Op::Renew { request }]),
        4 => Just(vec![Op::Advance]),
        1 => Just(vec![Op::Wait]),
        1 => Just(vec![Op::MonthTurn]),
        1 => any::<bool>().prop_map(|of_team| vec![Op::Reset { of_team }]),
        1 => Just(vec![Op::Sweep]),
        1 => (any::<u16>(), any::<bool>())
            .prop_map(|(in_ledger, is_reversed)| vec![Op::Reload { in_ledger, is_reversed }]),
    ];
    prop::collection::vec(op, 1..MAX_OPS).prop_map(|ops| ops.concat())
}

/// What the gateway knows of a request.
struct Known {
    rid: Uuid,
    holds: Vec<Hold>,
    message: Option<MessageKey>,
    /// Empty until admitted.
    epochs: Vec<u32>,
    repeat: u32,
    ended: Option<Vec<Charge>>,
}

impl Known {
    fn new() -> Self {
        Self { rid: rid(), holds: vec![], message: None, epochs: vec![], repeat: 0, ended: None }
    }

    fn begin(&mut self, month: u32, kind: usize, message: Option<usize>) {
        let month = month.to_string();
        let burst = Hold { rule: Rule::Rate { max: 3, window_us: 30_000_000 }, ..rate(3) };
        let messages = quota_in(&month, "messages", 5);
        self.message = message.map(|which| MessageKey::of(&MESSAGES[which]));
        self.holds = match kind {
            0 => vec![messages],
            1 => vec![messages, quota_in(&month, "premium", 2), amount(quota_in(&month, "tokens", 90), 20)],
            2 => vec![pool(7), messages, burst, open(2)],
            3 => vec![burst, pool(7)],
            _ => vec![messages, quota_in(&month, "blocked", 0)],
        };
    }
}

struct History<'a> {
    env: &'a Env,
    domain: Domain,
    model: Model,
    month: u32,
    waits: u32,
    requests: Vec<Known>,
    /// What requests were charged that nobody will name again: the ledger has them.
    archive: Vec<Charge>,
    /// Which repeat each admitted reserve was; `None`: refused.
    decisions: Vec<Option<u32>>,
}

impl History<'_> {
    async fn step(&mut self, op: Op) {
        let counters = self.env.counters.clone();
        match op {
            Op::Reserve { request, kind, message } => self.reserve(request, kind, message).await,
            Op::Settle { request, is_charged } => self.settle(request, is_charged).await,
            Op::Renew { request } => {
                let rid = self.requests[request].rid;
                let gone = counters.renew(&self.domain, &[rid], LEASE_MS).await.unwrap();
                assert_eq!(gone.is_empty(), self.model.live.contains_key(&rid));
                if let Some(live) = self.model.live.get_mut(&rid) {
                    live.end_ms = self.model.now_ms + LEASE_MS;
                }
            }
            Op::Advance => self.pass(STEP_MS),
            Op::Wait => self.wait(),
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

    fn pass(&mut self, ms: u64) {
        self.env.advance(ms);
        self.model.now_ms += ms;
    }

    /// So long after the end of a request nobody repeats a call of it.
    fn wait(&mut self) {
        if self.waits == WAITS_MAX {
            return;
        }
        self.waits += 1;
        self.pass(WAIT_MS);
        for known in &mut self.requests {
            if let Some(charges) = known.ended.take() {
                self.archive.extend(charges);
                *known = Known::new();
            }
        }
    }

    async fn reserve(&mut self, request: usize, kind: usize, message: Option<usize>) {
        let known = &mut self.requests[request];
        if known.holds.is_empty() {
            known.begin(self.month, kind, message);
        }
        let (domain, rid, holds) = (&self.domain, known.rid, known.holds.as_slice());
        let message = known.message.as_ref();
        let mut asked = untaken(holds);
        let mut reserve = Reserve { rid, domain, holds: &mut asked, lease_ms: LEASE_MS, message };
        let reserved = self.env.counters.reserve(&mut reserve).await.unwrap();
        let decided = Decided::of(reserved, &asked);
        let answer = self.model.reserve(rid, holds, message);
        match decided.reserved {
            Reserved::Admitted { repeat, .. } => {
                assert_eq!(answer.over, None);
                assert_eq!(repeat, answer.repeat);
                for (index, hold) in holds.iter().enumerate().filter(|(_, hold)| hold.rule.is_quota()) {
                    assert_eq!(decided.epochs[index], answer.epochs[index], "{}", hold.bucket.key());
                }
                (known.epochs, known.repeat) = (answer.epochs, answer.repeat);
                self.decisions.push(Some(answer.repeat));
            }
            Reserved::Refused { .. } => {
                assert_eq!(answer.over, decided.index);
                self.decisions.push(None);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(decided.standings.iter().map(|it| (it.used, it.held)).collect::<Vec<_>>(), answer.numbers);
    }

    async fn settle(&mut self, request: usize, is_charged: bool) {
        let known = &mut self.requests[request];
        // asked again it says the same; a request that was never admitted is decided without the counters, in epoch 0
        let epochs = if known.epochs.is_empty() { vec![0; known.holds.len()] } else { known.epochs.clone() };
        let mut first = if is_charged { charges(&known.holds, &epochs) } else { vec![] };
        if known.repeat > 0 {
            for charge in &mut first {
                charge.amount = 0;
            }
        }
        let charges = known.ended.get_or_insert(first).clone();
        let settled = self.env.counters.settle(&self.domain, known.rid, &charges).await.unwrap();
        assert_eq!(settled, self.model.settle(known.rid, &charges));
    }

    async fn reload(&mut self, in_ledger: u16, is_reversed: bool) {
        let (mut recent, mut news) = (Vec::new(), Vec::new());
        let mut ledger: Vec<&Charge> = self.archive.iter().collect();
        for (bit, known) in self.requests.iter().enumerate() {
            match &known.ended {
                Some(charges) if in_ledger >> bit & 1 == 1 => {
                    recent.push(known.rid);
                    ledger.extend(charges);
                }
                Some(charges) => news.push(Announcement::Ended { rid: known.rid, charges: charges.clone() }),
                None => {
                    if let Some(live) = self.model.live.get(&known.rid) {
                        let (holds, epochs): (Vec<_>, Vec<_>) = live.taken.iter().cloned().unzip();
                        let holds = taken(&holds, &epochs);
                        let lease_ms = live.end_ms.saturating_sub(self.model.now_ms);
                        news.push(Announcement::Held { rid: known.rid, holds, lease_ms });
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
        let totals = DomainTotals { buckets: fold(&ledger), epochs: epochs.collect(), recent };
        let counters = &self.env.counters;
        counters.forget(&self.domain).await.unwrap();
        assert!(counters.rebuild(&self.domain, &totals).await.unwrap());
        assert!(!counters.rebuild(&self.domain, &DomainTotals::default()).await.unwrap());
        counters.announce(&self.domain, &news).await.unwrap();
        self.model.forget();
    }

    async fn compare(&mut self) {
        self.model.expire();
        let dump = self.env.dump(&self.domain).await;
        let used: BTreeMap<_, _> =
            dump.buckets.into_iter().map(|it| ((it.bucket, it.epoch), it.used)).collect();
        let expected = self.model.used.clone().into_iter().filter(|(_, used)| *used > 0).collect();
        assert_eq!(used, expected);
        let mut held = BTreeMap::<(String, u32), u64>::new();
        for (hold, epoch) in self.model.live.values().flat_map(|live| &live.taken) {
            let epoch = match hold.rule {
                Rule::Quota { .. } => *epoch,
                Rule::Open { .. } => 0,
                Rule::Rate { .. } => continue,
            };
            *held.entry((hold.bucket.key(), epoch)).or_default() += hold.amount;
        }
        held.retain(|_, held| *held > 0);
        assert_eq!(
            dump.held.into_iter().map(|it| ((it.bucket_key, it.epoch), it.held)).collect::<BTreeMap<_, _>>(),
            held
        );
        let live: Vec<Uuid> = dump.leases.into_iter().map(|lease| lease.rid).collect();
        assert_eq!(live, self.model.live.keys().copied().collect::<Vec<_>>());
    }
}

/// The ledger's totals.
fn fold(charges: &[&Charge]) -> Vec<BucketTotal> {
    let mut totals: BTreeMap<(Bucket, u32), BucketTotal> = BTreeMap::new();
    for it in charges {
        let hold = Hold { bucket: it.bucket.clone(), ..quota("", 0) };
        let place = totals.entry((it.bucket.clone(), it.epoch));
        place.or_insert_with(|| total(&hold, it.epoch, 0)).used += it.amount;
    }
    totals.into_values().collect()
}

/// Returns what was decided of each reserve.
async fn replay(env: &Env, ops: Vec<Op>) -> Vec<Option<u32>> {
    let requests = (0..REQUESTS).map(|_| Known::new()).collect();
    let domain = env.warm().await;
    let (archive, decisions) = (Vec::new(), Vec::new());
    let model = Model::default();
    let mut history = History { env, domain, model, month: 0, waits: 0, requests, archive, decisions };
    for op in ops {
        history.step(op).await;
    }
    history.compare().await;
    history.decisions
}

/// First the told histories, whose decisions are known beforehand: the model itself could be wrong. Then random ones.
fn compare(cases: u32, start: impl Future<Output = Env>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let env = runtime.block_on(start);
    for (name, ops, expected) in super::counters_told::histories() {
        assert_eq!(runtime.block_on(replay(&env, ops)), expected, "{name}");
    }
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

mod redis_cluster {
    #[test]
    fn redis_cluster_does_what_the_model_says() {
        super::compare(60, super::super::counters_redis::cluster_env());
    }
}
