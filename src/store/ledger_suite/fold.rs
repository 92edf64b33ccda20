//! The invariant: totals are the fold of the rows, whatever is repeated, split or reordered, and a breach is found.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Handle;

use super::Bench;
use super::material::{NOVEMBER, NOW_MS, entry};
use crate::quota::{Bucket, Charge, Domain, Scope};
use crate::store::entry::{Entry, Outcome};
use crate::store::ledger::Ledger;
use crate::store::totals::BucketTotal;

const MONTHS: [&str; 3] = ["2026-11", "2026-12", "2027-01"];
const LIMITS: [&str; 2] = ["messages", "premium"];
const TEAMS: usize = 2;

/// One request: which team, and what it is charged.
#[derive(Clone, Debug)]
struct Request {
    team: usize,
    month: usize,
    charged: bool,
    charges: Vec<(bool, u8, usize, u32, u64)>,
}

/// Requests, and the batches they arrive in, by index: some arrive often, some never.
#[derive(Clone, Debug)]
struct History {
    requests: Vec<Request>,
    batches: Vec<Vec<prop::sample::Index>>,
}

fn histories() -> impl Strategy<Value = History> {
    let amounts = prop_oneof![Just(0), Just(1), 2..100_000_u64, Just(1 << 53)];
    let charges = vec((any::<bool>(), 0..3_u8, 0..LIMITS.len(), 0..3_u32, amounts), 0..4);
    let request = (0..TEAMS, 0..MONTHS.len(), any::<bool>(), charges)
        .prop_map(|(team, month, charged, charges)| Request { team, month, charged, charges });
    let batches = vec(vec(any::<prop::sample::Index>(), 0..16), 1..6);
    (vec(request, 1..24), batches).prop_map(|(requests, batches)| History { requests, batches })
}

pub(crate) async fn random_histories_keep_the_fold(bench: &impl Bench) {
    let config = Config { cases: bench.histories(), failure_persistence: None, ..Config::default() };
    let played = AtomicU64::new(0);
    tokio::task::block_in_place(|| {
        let play = |history: History| {
            let name = format!("h{}", played.fetch_add(1, Ordering::Relaxed));
            Handle::current().block_on(play(bench, &name, &history))
        };
        TestRunner::new(config).run(&histories(), play).unwrap();
    });
    assert!(played.into_inner() >= u64::from(bench.histories()));
}

async fn play(bench: &impl Bench, name: &str, history: &History) -> Result<(), TestCaseError> {
    let entries: Vec<Entry> = history.requests.iter().map(|request| row(name, request)).collect();
    let mut seen = HashSet::new();
    let mut model: BTreeMap<(usize, Bucket, u32), u64> = BTreeMap::new();
    for batch in &history.batches {
        let chosen: Vec<usize> = batch.iter().map(|index| index.index(entries.len())).collect();
        let rows: Vec<Entry> = chosen.iter().map(|&at| entries[at].clone()).collect();
        let ingested = bench.ledger().ingest(&rows).await.unwrap();
        let mut fresh = 0;
        for at in chosen.into_iter().filter(|at| seen.insert(*at)) {
            fresh += 1;
            for charge in entries[at].charges.iter().filter(|charge| charge.amount > 0) {
                let key = (history.requests[at].team, charge.bucket.clone(), charge.epoch);
                *model.entry(key).or_default() += charge.amount;
            }
        }
        prop_assert_eq!((ingested.inserted, ingested.duplicates), (fresh, rows.len() as u64 - fresh));
    }
    for team in 0..TEAMS {
        let mut loaded = bench.ledger().load(&domain(name, team), NOW_MS).await.unwrap().buckets;
        loaded.sort();
        let expected: Vec<BucketTotal> = model
            .iter()
            .filter(|((of, ..), _)| *of == team)
            .map(|((_, bucket, epoch), used)| total(bucket.clone(), *epoch, *used))
            .collect();
        prop_assert_eq!(loaded, expected);
    }
    prop_assert_eq!(bench.ledger().fold_differences().await.unwrap(), []);
    Ok(())
}

fn domain(name: &str, team: usize) -> Domain {
    Domain::team(&format!("{name}-{team}"))
}

fn total(bucket: Bucket, epoch: u32, used: u64) -> BucketTotal {
    BucketTotal { bucket, epoch, period_start_ms: NOVEMBER.0, period_end_ms: NOVEMBER.1, used }
}

fn row(name: &str, request: &Request) -> Entry {
    let charges = request.charges.iter().map(|&(of_team, owner, limit, epoch, amount)| Charge {
        bucket: Bucket {
            scope: if of_team { Scope::Team } else { Scope::User },
            owner: format!("o{owner}").into(),
            limit: LIMITS[limit].into(),
            period: "2026-11".into(),
        },
        epoch,
        period_start_ms: NOVEMBER.0,
        period_end_ms: NOVEMBER.1,
        amount,
    });
    Entry {
        domain: domain(name, request.team).as_str().to_owned(),
        month: MONTHS[request.month].to_owned(),
        outcome: if request.charged { Outcome::Ok } else { Outcome::ClientGone },
        charges: charges.collect(),
        ..entry("someone")
    }
}

pub(crate) async fn a_wrong_total_is_found(bench: &impl Bench) {
    let batch: Vec<Entry> = ["ada", "ada", "ben", "cyd"].iter().map(|user| entry(user)).collect();
    bench.ledger().ingest(&batch).await.unwrap();
    let breaches = [
        "UPDATE user_usage SET used = used + 5 WHERE owner = 'ada'",
        "DELETE FROM user_usage WHERE owner = 'ben'",
        "INSERT INTO user_usage (domain, scope, owner, limit_name, period, epoch, period_start_ms, period_end_ms, used)
         VALUES ('user:dan', 'user', 'dan', 'messages', '2026-11', 0, 1, 2, 9)",
    ];
    for breach in breaches {
        bench.execute(breach).await.unwrap();
    }
    let found = bench.ledger().fold_differences().await.unwrap();
    let short: Vec<_> =
        found.iter().map(|(total, folded)| (&*total.bucket.owner, total.used, *folded)).collect();
    assert_eq!(short, [("ada", 7, 2), ("ben", 0, 1), ("dan", 9, 0)]);
    let ben = &found[1].0;
    assert_eq!((ben.period_start_ms, ben.period_end_ms), NOVEMBER);
    let repairs = [
        "UPDATE user_usage SET used = 2 WHERE owner = 'ada'",
        "DELETE FROM user_usage WHERE owner = 'dan'",
        "INSERT INTO user_usage (domain, scope, owner, limit_name, period, epoch, period_start_ms, period_end_ms, used)
         VALUES ('user:ben', 'user', 'ben', 'messages', '2026-11', 0, 1, 2, 1)",
    ];
    for repair in repairs {
        bench.execute(repair).await.unwrap();
    }
}
