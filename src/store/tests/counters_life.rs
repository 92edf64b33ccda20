//! Behaviours of a hold's life: settle, release, renew, expire, twice, late, over a month's turn and a reset.

use super::counters_env::*;
use crate::quota::Hold;
use crate::store::{Reserved, Settled};

pub(super) async fn settle_turns_the_hold_into_use(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 5), amount(quota("tokens", 1_000), 600)];
    let (rid, _) = env.admit(&domain, &holds).await;
    // the true amount is smaller than the worst case that was held
    let actual = [holds[0].clone(), amount(holds[1].clone(), 150)];
    assert_eq!(env.settle(&domain, rid, &actual, &[0, 0]).await, Settled::Done);
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (1, 0));
    assert_eq!(env.numbers(&domain, &holds[1].bucket, 0).await, (150, 0));
    assert!(env.dump(&domain).await.leases.is_empty());
}

pub(super) async fn a_release_costs_nothing(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 1), open(1)];
    for nothing in [vec![], vec![amount(holds[0].clone(), 0)]] {
        let (rid, _) = env.admit(&domain, &holds).await;
        assert_eq!(env.settle(&domain, rid, &nothing, &[0]).await, Settled::Done);
        assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (0, 0));
    }
}

pub(super) async fn a_second_settle_does_nothing(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 5)];
    let (rid, _) = env.admit(&domain, &holds).await;
    assert_eq!(env.settle(&domain, rid, &holds, &[0]).await, Settled::Done);
    for _ in 0..3 {
        assert_eq!(env.settle(&domain, rid, &holds, &[0]).await, Settled::Duplicate);
    }
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (1, 0));
}

pub(super) async fn a_repeated_reserve_has_one_hold_and_the_same_answer(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 1), rate(1), open(1)];
    let rid = rid();
    let first = env.reserve(&domain, rid, &holds).await.admitted();
    for _ in 0..3 {
        let again = env.reserve(&domain, rid, &holds).await.admitted();
        let held = |it: &Decided| it.standings.iter().map(|s| s.held).collect::<Vec<_>>();
        assert_eq!((held(&again), &again.epochs), (held(&first), &first.epochs));
        assert_eq!(again.standings[1].used, 1);
    }
    assert_eq!(env.dump(&domain).await.leases.len(), 1);
    assert_eq!(env.settle(&domain, rid, &holds, &first.epochs).await, Settled::Done);
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (1, 0));
}

pub(super) async fn a_reserve_that_arrives_after_its_settle_holds_nothing(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 1), rate(1)];
    let rid = rid();
    // the reserve timed out, the gateway decided otherwise and released, then the reserve arrives
    assert_eq!(env.settle(&domain, rid, &[], &[]).await, Settled::Late);
    let admission = env.reserve(&domain, rid, &holds).await.admitted();
    assert_eq!(admission.standings.iter().map(|it| it.held + it.used).collect::<Vec<_>>(), [0, 0]);
    assert!(env.dump(&domain).await.leases.is_empty());
    env.admit(&domain, &holds).await;
}

pub(super) async fn a_request_over_the_months_turn_settles_where_it_was_held(env: &Env) {
    let domain = env.warm().await;
    let (november, december) = ([quota_in("2026-11", "messages", 1)], [quota_in("2026-12", "messages", 1)]);
    let (old, _) = env.admit(&domain, &november).await;
    let (new, admission) = env.admit(&domain, &december).await;
    assert_eq!(admission.standings[0].held, 1);
    assert_eq!(env.settle(&domain, old, &november, &[0]).await, Settled::Done);
    assert_eq!(env.numbers(&domain, &november[0].bucket, 0).await, (1, 0));
    assert_eq!(env.numbers(&domain, &december[0].bucket, 0).await, (0, 1));
    assert_eq!(env.settle(&domain, new, &december, &[0]).await, Settled::Done);
    assert_eq!(env.numbers(&domain, &december[0].bucket, 0).await, (1, 0));
}

pub(super) async fn a_reset_opens_a_fresh_count_and_leaves_requests_in_flight_in_the_old(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 1), pool(10), open(2)];
    let (rid, before) = env.admit(&domain, &holds).await;
    env.counters.open_epoch(&domain, &owner(&holds[0], 1)).await.unwrap();
    let repeated = env.reserve(&domain, rid, &holds).await.admitted();
    assert_eq!(repeated.epochs, before.epochs, "the same request stays in its epoch");
    let (second, after) = env.admit(&domain, &holds).await;
    assert_eq!(after.epochs, [1, 0, 1]);
    let held: Vec<u64> = after.standings.iter().map(|it| it.held).collect();
    assert_eq!(held, [1, 2, 2], "a reset closes no open request and no other owner's count");
    assert_eq!(env.settle(&domain, rid, &holds, &before.epochs).await, Settled::Done);
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (1, 0));
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 1).await, (0, 1));
    assert_eq!(env.settle(&domain, second, &holds, &after.epochs).await, Settled::Done);
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 1).await, (1, 0));
    assert_eq!(env.numbers(&domain, &holds[1].bucket, 0).await, (2, 0));
    assert!(env.dump(&domain).await.held.is_empty());
}

pub(super) async fn an_epoch_never_goes_back(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 9)];
    for epoch in [3, 2, 0] {
        env.counters.open_epoch(&domain, &owner(&holds[0], epoch)).await.unwrap();
        let (rid, admission) = env.admit(&domain, &holds).await;
        assert_eq!(admission.epochs, [3]);
        env.settle(&domain, rid, &holds, &admission.epochs).await;
    }
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 3).await, (3, 0));
}

pub(super) async fn an_expired_hold_is_given_back(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 1), open(1)];
    env.admit(&domain, &holds).await;
    env.advance(LEASE_MS - 5_000);
    assert_eq!(env.refuse(&domain, &holds).await.index, Some(0));
    env.advance(5_000);
    env.admit(&domain, &holds).await;
    assert_eq!(env.dump(&domain).await.leases.len(), 1);
    env.advance(LEASE_MS);
    let (read, _) = env.read(&domain, &holds).await;
    assert_eq!(read.standings.iter().map(|it| it.held).collect::<Vec<_>>(), [0, 0]);
}

pub(super) async fn only_expired_holds_are_given_back(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 10)];
    for _ in 0..4 {
        env.admit(&domain, &holds).await;
        env.advance(LEASE_MS / 4);
    }
    // the first is over, the other three live
    let (_, fifth) = env.admit(&domain, &holds).await;
    assert_eq!(fifth.standings[0].held, 4);
    env.advance(LEASE_MS / 2);
    let (_, sixth) = env.admit(&domain, &holds).await;
    assert_eq!(sixth.standings[0].held, 3);
}

pub(super) async fn a_settle_after_the_lease_is_added_once_and_late(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 1)];
    let (late, _) = env.admit(&domain, &holds).await;
    env.advance(LEASE_MS);
    let (other, _) = env.admit(&domain, &holds).await;
    assert_eq!(env.settle(&domain, late, &holds, &[0]).await, Settled::Late);
    assert_eq!(env.settle(&domain, late, &holds, &[0]).await, Settled::Duplicate);
    assert_eq!(env.settle(&domain, other, &holds, &[0]).await, Settled::Done);
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (2, 0));
    assert_eq!(env.refuse(&domain, &holds).await.standings[0].used, 2);
}

pub(super) async fn a_renewed_hold_stands_and_a_lost_one_is_named(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 2)];
    let (renewed, _) = env.admit(&domain, &holds).await;
    let (lost, _) = env.admit(&domain, &holds).await;
    let never = rid();
    env.advance(LEASE_MS / 2);
    assert_eq!(env.counters.renew(&domain, &[renewed, never], LEASE_MS).await.unwrap(), [never]);
    env.advance(LEASE_MS / 2);
    let (_, third) = env.admit(&domain, &holds).await;
    assert_eq!(third.standings[0].held, 2);
    assert_eq!(env.counters.renew(&domain, &[lost, renewed], LEASE_MS).await.unwrap(), [lost]);
    assert_eq!(env.settle(&domain, renewed, &holds, &[0]).await, Settled::Done);
}

pub(super) async fn a_shortened_lease_ends_when_it_says(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 1)];
    let (rid, _) = env.admit(&domain, &holds).await;
    assert!(env.counters.renew(&domain, &[rid], 5_000).await.unwrap().is_empty());
    env.advance(5_000);
    env.admit(&domain, &holds).await;
}

pub(super) async fn a_sweep_gives_back_what_expired(env: &Env) {
    // what other behaviours left on a shared server
    env.advance(LEASE_MS);
    env.counters.sweep().await.unwrap();
    let domain = env.warm().await;
    let holds = [quota("messages", 5)];
    for _ in 0..3 {
        env.admit(&domain, &holds).await;
    }
    env.advance(LEASE_MS / 2);
    env.admit(&domain, &holds).await;
    assert_eq!(env.counters.sweep().await.unwrap(), 0);
    env.advance(LEASE_MS / 2);
    assert_eq!(env.counters.sweep().await.unwrap(), 3);
    assert_eq!(env.counters.sweep().await.unwrap(), 0);
    env.advance(LEASE_MS / 2);
    assert_eq!(env.counters.sweep().await.unwrap(), 1);
    assert!(env.dump(&domain).await.held.is_empty());
}

pub(super) async fn a_crowd_of_whole_requests_sums_up_exactly(env: &Env) {
    let domain = env.warm().await;
    let holds: Vec<Hold> = vec![pool(150), quota("messages", 120), amount(quota("tokens", 100_000), 7)];
    let crowd: Vec<_> = (0..8)
        .map(|_| {
            let (counters, domain, holds) = (env.counters.clone(), domain.clone(), holds.clone());
            tokio::spawn(async move {
                let mut served = 0;
                for n in 0..25 {
                    let rid = rid();
                    let decided = reserve(&*counters, &domain, rid, &holds, None).await.unwrap();
                    let Reserved::Admitted { .. } = decided.reserved else { continue };
                    for standing in &decided.standings {
                        assert!(standing.used + standing.held <= standing.max, "{standing:?}");
                    }
                    // every fifth costs nothing
                    let charges = if n % 5 == 0 { vec![] } else { charges(&holds, &decided.epochs) };
                    assert_eq!(counters.settle(&domain, rid, &charges).await.unwrap(), Settled::Done);
                    served += u64::from(n % 5 != 0);
                }
                served
            })
        })
        .collect();
    let mut served = 0;
    for member in crowd {
        served += member.await.unwrap();
    }
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (served, 0));
    assert_eq!(env.numbers(&domain, &holds[1].bucket, 0).await, (served, 0));
    assert_eq!(env.numbers(&domain, &holds[2].bucket, 0).await, (served * 7, 0));
    assert!(served >= 112, "{served}");
}
