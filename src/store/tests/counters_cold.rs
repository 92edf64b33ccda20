//! Behaviours of a domain that is not loaded, of loading it, and of what gateways announce afterwards.

use super::counters_env::*;
use crate::quota::{Bucket, Domain, Hold, Scope};
use crate::store::{Announcement, DomainTotals, HeldTotal, Reserved, Settled};

fn held(rid: uuid::Uuid, holds: &[Hold], epochs: &[u32]) -> Announcement {
    Announcement::Held { rid, holds: taken(holds, epochs), lease_ms: LEASE_MS }
}

fn ended(rid: uuid::Uuid, holds: &[Hold]) -> Announcement {
    Announcement::Ended { rid, charges: charges(holds, &[0; 8]) }
}

pub(super) async fn a_cold_domain_is_cold_to_every_call(env: &Env) {
    let domain = cold();
    let holds = [quota("messages", 1)];
    assert_eq!(env.reserve(&domain, rid(), &holds).await.reserved, Reserved::Cold);
    let id = rid();
    assert_eq!(env.settle(&domain, id, &holds, &[0]).await, Settled::Cold);
    assert_eq!(env.counters.renew(&domain, &[id], LEASE_MS).await.unwrap(), [id]);
    assert_eq!(env.counters.read(&domain, &mut []).await.unwrap(), None);
    assert_eq!(env.counters.dump(&domain).await.unwrap(), None);
    assert!(!env.counters.repair(&domain, &total(&holds[0], 0, 5)).await.unwrap());
    env.counters.announce(&domain, &[ended(rid(), &holds), held(rid(), &holds, &[0])]).await.unwrap();
    env.counters.open_epoch(&domain, &owner(&holds[0], 4)).await.unwrap();
    env.counters.forget(&domain).await.unwrap();
    assert_eq!(
        env.reserve(&domain, rid(), &holds).await.reserved,
        Reserved::Cold,
        "none of them made it warm"
    );
    env.load(&domain, &DomainTotals::default()).await;
    let (_, admission) = env.admit(&domain, &holds).await;
    assert_eq!((admission.epochs[0], admission.standings[0].used, admission.standings[0].held), (0, 0, 1));
}

pub(super) async fn a_loaded_domain_has_the_ledgers_numbers(env: &Env) {
    let domain = cold();
    let (messages, premium) = (quota("messages", 10), quota("premium", 3));
    let totals = DomainTotals {
        buckets: vec![total(&messages, 2, 7), total(&messages, 1, 9), total(&premium, 2, 3)],
        epochs: vec![owner(&messages, 2)],
        recent: vec![],
    };
    env.load(&domain, &totals).await;
    let (_, admission) = env.admit(&domain, std::slice::from_ref(&messages)).await;
    assert_eq!((admission.epochs[0], admission.standings[0].used), (2, 7));
    assert_eq!(env.refuse(&domain, &[premium]).await.standings[0].used, 3);
    let mut expected = totals.buckets;
    expected.sort();
    assert_eq!(env.dump(&domain).await.buckets, expected);
}

pub(super) async fn the_first_of_several_loaders_wins(env: &Env) {
    let domain = cold();
    let hold = quota("messages", 10);
    env.load(&domain, &DomainTotals { buckets: vec![total(&hold, 0, 4)], ..DomainTotals::default() }).await;
    let stale = DomainTotals { buckets: vec![total(&hold, 0, 1)], ..DomainTotals::default() };
    assert!(!env.counters.rebuild(&domain, &stale).await.unwrap());
    assert_eq!(env.numbers(&domain, &hold.bucket, 0).await, (4, 0));
}

pub(super) async fn racing_loaders_count_once(env: &Env) {
    for _ in 0..5 {
        let domain = cold();
        let hold = quota("messages", 10);
        let racers: Vec<_> = (0..8)
            .map(|_| {
                let (counters, domain) = (env.counters.clone(), domain.clone());
                let buckets = vec![total(&hold, 0, 6)];
                tokio::spawn(async move {
                    let totals = DomainTotals { buckets, ..DomainTotals::default() };
                    counters.rebuild(&domain, &totals).await.unwrap()
                })
            })
            .collect();
        let mut winners = 0;
        for racer in racers {
            winners += u32::from(racer.await.unwrap());
        }
        assert_eq!(winners, 1);
        assert_eq!(env.numbers(&domain, &hold.bucket, 0).await, (6, 0));
    }
}

pub(super) async fn announced_holds_count_and_settle(env: &Env) {
    let domain = cold();
    let holds = [quota("messages", 2), open(5)];
    env.load(&domain, &DomainTotals::default()).await;
    let flying = [rid(), rid()];
    let news = flying.map(|rid| held(rid, &holds, &[0, 0]));
    for _ in 0..2 {
        env.counters.announce(&domain, &news).await.unwrap();
    }
    assert_eq!(env.refuse(&domain, &holds).await.standings[0].held, 2);
    assert_eq!(env.settle(&domain, flying[0], &holds, &[0, 0]).await, Settled::Done);
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (1, 1));
    assert_eq!(env.numbers(&domain, &holds[1].bucket, 0).await, (0, 1));
    env.advance(LEASE_MS);
    env.admit(&domain, &holds).await;
}

pub(super) async fn an_announced_hold_may_go_over_the_limit(env: &Env) {
    let domain = cold();
    let hold = quota("messages", 1);
    env.load(&domain, &DomainTotals { buckets: vec![total(&hold, 0, 1)], ..DomainTotals::default() }).await;
    let flying = rid();
    env.counters.announce(&domain, &[held(flying, std::slice::from_ref(&hold), &[0])]).await.unwrap();
    let refused = env.refuse(&domain, std::slice::from_ref(&hold)).await;
    assert_eq!((refused.standings[0].used, refused.standings[0].held), (1, 1));
}

pub(super) async fn announced_ends_are_added_once(env: &Env) {
    let domain = cold();
    let holds = [quota("messages", 9), pool(9)];
    let (known, unknown) = (rid(), rid());
    let totals = DomainTotals {
        buckets: vec![total(&holds[0], 0, 1)],
        recent: vec![known],
        ..DomainTotals::default()
    };
    env.load(&domain, &totals).await;
    let news = [ended(known, &holds), ended(unknown, &holds), ended(unknown, &holds)];
    for _ in 0..2 {
        env.counters.announce(&domain, &news).await.unwrap();
    }
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (2, 0));
    assert_eq!(env.numbers(&domain, &holds[1].bucket, 0).await, (1, 0));
    for rid in [known, unknown] {
        assert_eq!(env.settle(&domain, rid, &holds, &[0, 0]).await, Settled::Duplicate);
        env.counters.announce(&domain, &[held(rid, &holds, &[0, 0])]).await.unwrap();
    }
    assert!(env.dump(&domain).await.leases.is_empty(), "an ended request cannot be held again");
}

pub(super) async fn an_end_announced_for_a_live_hold_waits_for_its_settle(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 9)];
    let (rid, _) = env.admit(&domain, &holds).await;
    env.counters.announce(&domain, &[ended(rid, &holds)]).await.unwrap();
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (0, 1));
    assert_eq!(env.settle(&domain, rid, &holds, &[0]).await, Settled::Done);
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (1, 0));
}

pub(super) async fn a_forgotten_domain_comes_back_exact(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 10), amount(quota("tokens", 1_000), 30)];
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(env.admit(&domain, &holds).await.0);
    }
    let [in_ledger, journalled, flying, slow] = ids[..] else { panic!("four") };
    for rid in [in_ledger, journalled] {
        env.settle(&domain, rid, &holds, &[0, 0]).await;
    }
    env.counters.forget(&domain).await.unwrap();
    assert_eq!(env.settle(&domain, slow, &holds, &[0, 0]).await, Settled::Cold);
    let totals = DomainTotals {
        buckets: vec![total(&holds[0], 0, 1), total(&holds[1], 0, 30)],
        recent: vec![in_ledger],
        epochs: vec![],
    };
    assert!(env.counters.rebuild(&domain, &totals).await.unwrap());
    let news = [
        ended(in_ledger, &holds),
        ended(journalled, &holds),
        held(flying, &holds, &[0, 0]),
        ended(slow, &holds),
    ];
    env.counters.announce(&domain, &news).await.unwrap();
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (3, 1));
    assert_eq!(env.numbers(&domain, &holds[1].bucket, 0).await, (90, 30));
    assert_eq!(env.settle(&domain, slow, &holds, &[0, 0]).await, Settled::Duplicate);
    assert_eq!(env.settle(&domain, flying, &holds, &[0, 0]).await, Settled::Done);
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (4, 0));
}

pub(super) async fn an_announced_hold_keeps_its_epoch(env: &Env) {
    let domain = cold();
    let holds = [quota("messages", 1)];
    env.load(&domain, &DomainTotals { epochs: vec![owner(&holds[0], 2)], ..DomainTotals::default() }).await;
    let flying = rid();
    env.counters.announce(&domain, &[held(flying, &holds, &[1])]).await.unwrap();
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 1).await, (0, 1));
    let (_, admission) = env.admit(&domain, &holds).await;
    assert_eq!((admission.epochs[0], admission.standings[0].held), (2, 1));
    assert_eq!(admission_epochs(env, &domain, flying, &holds).await, [1]);
}

async fn admission_epochs(env: &Env, domain: &Domain, rid: uuid::Uuid, holds: &[Hold]) -> Vec<u32> {
    env.reserve(domain, rid, holds).await.admitted().epochs
}

pub(super) async fn repair_sets_a_quiet_bucket_in_its_epoch_only(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 9), quota("premium", 9)];
    let (rid, _) = env.admit(&domain, &holds[..1]).await;
    assert!(
        !env.counters.repair(&domain, &total(&holds[0], 0, 5)).await.unwrap(),
        "a hold stands in the way"
    );
    assert!(env.counters.repair(&domain, &total(&holds[1], 0, 5)).await.unwrap());
    assert!(env.counters.repair(&domain, &total(&holds[0], 1, 8)).await.unwrap());
    env.settle(&domain, rid, &holds[..1], &[0]).await;
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (1, 0));
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 1).await, (8, 0));
    assert_eq!(env.numbers(&domain, &holds[1].bucket, 0).await, (5, 0));
    assert!(env.counters.repair(&domain, &total(&holds[0], 0, 0)).await.unwrap());
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (0, 0));
    let (_, _) = env.admit(&domain, &holds).await;
    env.advance(LEASE_MS);
    assert!(env.counters.repair(&domain, &total(&holds[1], 0, 2)).await.unwrap(), "an expired hold does not");
}

pub(super) async fn names_come_back_as_they_were(env: &Env) {
    let domain = Domain::team("a{b}c|d:e\r\nf\u{202e}");
    let owner = crate::quota::encode_id("x|y;z{q}\n\0\u{e9}");
    let bucket = Bucket {
        scope: Scope::User,
        owner: owner.as_str().into(),
        limit: "per_hour".into(),
        period: "2026-11-24T13+01:00".into(),
    };
    let hold = Hold { bucket, ..quota("x", 5) };
    let _ = env.counters.forget(&domain).await;
    env.load(&domain, &DomainTotals::default()).await;
    let (rid, _) = env.admit(&domain, std::slice::from_ref(&hold)).await;
    let dump = env.dump(&domain).await;
    assert_eq!(dump.held, [HeldTotal { bucket_key: hold.bucket.key(), epoch: 0, held: 1 }]);
    assert_eq!(dump.leases.iter().map(|lease| lease.rid).collect::<Vec<_>>(), [rid]);
    env.settle(&domain, rid, std::slice::from_ref(&hold), &[0]).await;
    assert_eq!(env.dump(&domain).await.buckets, [total(&hold, 0, 1)]);
}
