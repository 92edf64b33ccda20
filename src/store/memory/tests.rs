//! Bounds on memory: what a sweep drops, and what a full store refuses. The shared behaviours stand in `store/tests`.

use std::time::Duration;

use super::*;
use crate::clock::Timestamp;
use crate::quota::{Bucket, Hold, Rule, Scope};

const LEASE_MS: u64 = 60_000;

fn store(max_domains: usize) -> (MemoryCounters, Clock) {
    let clock = Clock::manual(Timestamp::from_second(1_800_000_000));
    (MemoryCounters::with_max_domains(clock.clone(), max_domains), clock)
}

fn hold(clock: &Clock, period_ms: i64) -> Hold {
    let bucket =
        Bucket { scope: Scope::User, owner: "u".into(), limit: "messages".into(), period: "p".into() };
    let (start, end) = (clock.now_ms(), clock.now_ms() + period_ms);
    Hold { bucket, rule: Rule::Quota { max: 10, period_start_ms: start, period_end_ms: end }, amount: 1 }
}

async fn reserve(store: &MemoryCounters, domain: &Domain, holds: &[Hold]) -> Reserved {
    let rid = Clock::system().request_id();
    let mut holds: Vec<LimitHold> = holds.iter().cloned().map(LimitHold::from).collect();
    let holds = holds.as_mut_slice();
    store.reserve(&mut Reserve { rid, domain, holds, lease_ms: LEASE_MS, message: None }).await.unwrap()
}

/// Number of loaded domains.
fn loaded(store: &MemoryCounters) -> usize {
    store.shards.iter().map(|shard| lock(shard).len()).sum()
}

#[tokio::test]
async fn an_idle_domain_without_holds_becomes_cold() {
    let (store, clock) = store(1_000);
    let (idle, busy) = (Domain::user("idle"), Domain::user("busy"));
    for domain in [&idle, &busy] {
        store.rebuild(domain, &DomainTotals::default()).await.unwrap();
    }
    let lease_ms = 2 * 3_600_000;
    let holds = &mut [hold(&clock, 86_400_000).into()];
    let rid = Clock::system().request_id();
    store.reserve(&mut Reserve { rid, domain: &busy, holds, lease_ms, message: None }).await.unwrap();
    clock.advance(Duration::from_millis(3_599_999));
    assert_eq!(store.sweep().await.unwrap(), 0);
    assert_eq!(loaded(&store), 2);
    clock.advance(Duration::from_millis(1));
    store.sweep().await.unwrap();
    assert_eq!(loaded(&store), 1);
    assert!(store.dump(&busy).await.unwrap().is_some());
    clock.advance(Duration::from_millis(lease_ms));
    assert_eq!(store.sweep().await.unwrap(), 1, "the hold that ran out");
    assert_eq!(loaded(&store), 0);
}

#[tokio::test]
async fn a_full_store_makes_room_but_never_drops_a_hold() {
    let (store, clock) = store(SHARDS * 2);
    let holds = [hold(&clock, 86_400_000)];
    let held: Vec<Domain> = (0..1_000).map(|id| Domain::user(&format!("held{id}"))).collect();
    let mut taken = Vec::new();
    let mut refused = 0;
    for domain in &held {
        match store.rebuild(domain, &DomainTotals::default()).await {
            Ok(_) => {
                assert!(matches!(reserve(&store, domain, &holds).await, Reserved::Admitted { .. }));
                taken.push(domain);
            }
            Err(error) => {
                assert!(error.transient);
                refused += 1;
            }
        }
    }
    assert!(loaded(&store) <= SHARDS * 2);
    assert_eq!(taken.len() + refused, held.len());
    for domain in taken {
        assert_eq!(store.dump(domain).await.unwrap().unwrap().leases.len(), 1);
    }
    clock.advance(Duration::from_millis(LEASE_MS));
    store.sweep().await.unwrap();
    for id in 0..1_000 {
        store.rebuild(&Domain::user(&format!("idle{id}")), &DomainTotals::default()).await.unwrap();
    }
    assert!(loaded(&store) <= SHARDS * 2);
}

#[tokio::test]
async fn a_bucket_is_dropped_seven_days_after_its_period() {
    let (store, clock) = store(1_000);
    let domain = Domain::user("u");
    store.rebuild(&domain, &DomainTotals::default()).await.unwrap();
    reserve(&store, &domain, &[hold(&clock, 1_000)]).await;
    clock.advance(Duration::from_hours(7 * 24));
    // a request of today keeps the domain warm
    let today =
        Hold { bucket: Bucket { period: "q".into(), ..hold(&clock, 1).bucket }, ..hold(&clock, 1_000) };
    reserve(&store, &domain, std::slice::from_ref(&today)).await;
    store.sweep().await.unwrap();
    assert_eq!(store.dump(&domain).await.unwrap().unwrap().buckets.len(), 2);
    clock.advance(Duration::from_millis(1_001));
    store.sweep().await.unwrap();
    let left = store.dump(&domain).await.unwrap().unwrap().buckets;
    assert_eq!(left.iter().map(|total| &*total.bucket.period).collect::<Vec<_>>(), ["q"]);
}

#[tokio::test]
async fn tombstones_are_forgotten_after_five_minutes() {
    let (store, clock) = store(1_000);
    let domain = Domain::user("u");
    store.rebuild(&domain, &DomainTotals::default()).await.unwrap();
    let rid = Clock::system().request_id();
    assert_eq!(store.settle(&domain, rid, &[]).await.unwrap(), Settled::Late);
    clock.advance(Duration::from_millis(299_999));
    assert_eq!(store.settle(&domain, rid, &[]).await.unwrap(), Settled::Duplicate);
    clock.advance(Duration::from_millis(1));
    assert_eq!(store.settle(&domain, rid, &[]).await.unwrap(), Settled::Late);
}

#[tokio::test]
async fn what_cannot_be_exact_is_an_error() {
    let (store, clock) = store(1_000);
    let domain = Domain::user("u");
    store.rebuild(&domain, &DomainTotals::default()).await.unwrap();
    let one = hold(&clock, 1_000);
    let huge = Hold { amount: crate::quota::MAX_AMOUNT + 1, ..one.clone() };
    let many: Vec<Hold> = (0..=holds::MAX_HOLDS)
        .map(|n| Hold { bucket: Bucket { limit: n.to_string().into(), ..one.bucket.clone() }, ..one.clone() })
        .collect();
    for holds in [vec![one.clone(), one], vec![huge], many] {
        let mut holds: Vec<LimitHold> = holds.into_iter().map(LimitHold::from).collect();
        let mut reserve = Reserve {
            rid: clock.request_id(),
            domain: &domain,
            holds: &mut holds,
            lease_ms: LEASE_MS,
            message: None,
        };
        let error = store.reserve(&mut reserve).await.unwrap_err();
        assert!(!error.transient, "{error}");
    }
}
