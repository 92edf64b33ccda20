//! Behaviours of admission: what fits, what is refused, and that it is all or nothing.

use super::counters_env::*;
use crate::quota::{Bucket, Hold, Rule, Scope, Standing};
use crate::store::{Reserved, Settled};

fn standing(used: u64, held: u64, max: u64) -> Standing {
    Standing { used, held, max, wait_ms: 0 }
}

pub(super) async fn a_first_reserve_is_admitted_with_its_numbers(env: &Env) {
    let domain = env.warm().await;
    let (_, admission) =
        env.admit(&domain, &[quota("messages", 3), amount(quota("tokens", 1_000), 400)]).await;
    assert_eq!(admission.standings, [standing(0, 1, 3), standing(0, 400, 1_000)]);
    assert_eq!(admission.epochs, [0, 0]);
    let ahead_ms = admission.now_ms() - crate::clock::Clock::system().now_ms();
    assert!(ahead_ms.abs() < 5_000, "the store's time is about ours: {ahead_ms}");
}

pub(super) async fn the_limit_itself_is_admitted_and_one_more_refused(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 2)];
    env.admit(&domain, &holds).await;
    let (_, second) = env.admit(&domain, &holds).await;
    assert_eq!(second.standings, [standing(0, 2, 2)]);
    let refused = env.refuse(&domain, &holds).await;
    assert_eq!((refused.index, refused.standings), (Some(0), vec![standing(0, 2, 2)]));
}

pub(super) async fn racers_on_the_last_units_are_admitted_exactly(env: &Env) {
    let domain = env.warm().await;
    for _ in 0..10 {
        let limit = rid().simple().to_string();
        let racers: Vec<_> = (0..60)
            .map(|_| {
                let (counters, domain, hold) = (env.counters.clone(), domain.clone(), quota(&limit, 7));
                tokio::spawn(async move {
                    let decided = reserve(&*counters, &domain, rid(), &[hold], None).await.unwrap();
                    matches!(decided.reserved, Reserved::Admitted { .. })
                })
            })
            .collect();
        let mut admitted = 0;
        for racer in racers {
            admitted += u32::from(racer.await.unwrap());
        }
        assert_eq!(admitted, 7);
        assert_eq!(env.numbers(&domain, &quota(&limit, 7).bucket, 0).await, (0, 7));
    }
}

pub(super) async fn a_refusal_changes_nothing(env: &Env) {
    let domain = env.warm().await;
    let full = quota("premium", 1);
    env.admit(&domain, std::slice::from_ref(&full)).await;
    let before = env.dump(&domain).await;
    for place in 0..=3 {
        let mut holds = vec![pool(10), rate(5), open(5)];
        holds.insert(place, full.clone());
        let refused = env.refuse(&domain, &holds).await;
        assert_eq!(refused.index, Some(place));
        assert_eq!(refused.standings[place], standing(0, 1, 1));
        for (index, hold) in holds.iter().enumerate().filter(|&(index, _)| index != place) {
            assert_eq!(refused.standings[index], standing(0, 0, hold.rule.max()), "{place}/{index}");
        }
        assert_eq!(env.dump(&domain).await, before);
    }
}

pub(super) async fn pool_member_premium_burst_and_parallel_in_one_reserve(env: &Env) {
    let domain = env.warm().await;
    let holds = [pool(100), quota("messages", 10), quota("premium", 5), rate(3), open(4)];
    let mut admitted = Vec::new();
    for n in 1..=3 {
        let (rid, admission) = env.admit(&domain, &holds).await;
        let held: Vec<u64> = admission.standings.iter().map(|it| it.held).collect();
        assert_eq!(held, [n, n, n, 0, n]);
        assert_eq!(admission.standings[3].used, n);
        admitted.push(rid);
    }
    // another member shares the pool and nothing else
    let others: Vec<Hold> = holds
        .iter()
        .map(|hold| match hold.bucket.scope {
            Scope::Team => hold.clone(),
            Scope::User => {
                Hold { bucket: Bucket { owner: "user_2".into(), ..hold.bucket.clone() }, ..hold.clone() }
            }
        })
        .collect();
    let (_, other) = env.admit(&domain, &others).await;
    assert_eq!(other.standings.iter().map(|it| it.held).collect::<Vec<_>>(), [4, 1, 1, 0, 1]);
    assert_eq!(env.refuse(&domain, &holds).await.index, Some(3), "the burst is gone");
    for rid in admitted {
        assert_eq!(env.settle(&domain, rid, &holds, &[0; 5]).await, Settled::Done);
    }
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (3, 1));
    assert_eq!(env.numbers(&domain, &holds[1].bucket, 0).await, (3, 0));
    assert_eq!(env.numbers(&domain, &holds[4].bucket, 0).await, (0, 0));
}

pub(super) async fn a_limit_of_zero_blocks(env: &Env) {
    let domain = env.warm().await;
    for hold in [quota("messages", 0), open(0), rate(0)] {
        let refused = env.refuse(&domain, &[quota("other", 9), hold.clone()]).await;
        assert_eq!((refused.index, refused.standings[1].max), (Some(1), 0));
    }
    assert!(env.dump(&domain).await.held.is_empty());
}

pub(super) async fn a_lowered_limit_binds_at_once(env: &Env) {
    let domain = env.warm().await;
    for _ in 0..3 {
        env.admit(&domain, &[quota("messages", 5)]).await;
    }
    let refused = env.refuse(&domain, &[quota("messages", 2)]).await;
    assert_eq!(refused.standings, [standing(0, 3, 2)]);
    env.admit(&domain, &[quota("messages", 4)]).await;
}

pub(super) async fn an_amount_that_overfills_is_refused_and_a_smaller_one_passes(env: &Env) {
    let domain = env.warm().await;
    let tokens = quota("tokens", 1_000);
    env.admit(&domain, &[amount(tokens.clone(), 999)]).await;
    assert_eq!(env.refuse(&domain, &[amount(tokens.clone(), 2)]).await.standings, [standing(0, 999, 1_000)]);
    env.admit(&domain, &[amount(tokens, 1)]).await;
}

pub(super) async fn large_amounts_stay_exact(env: &Env) {
    let domain = env.warm().await;
    let max = crate::quota::MAX_AMOUNT;
    let hold = amount(quota("cost", max), max - 1);
    let (rid, admission) = env.admit(&domain, std::slice::from_ref(&hold)).await;
    assert_eq!(admission.standings, [standing(0, max - 1, max)]);
    assert_eq!(env.settle(&domain, rid, std::slice::from_ref(&hold), &[0]).await, Settled::Done);
    let one = quota("cost", max);
    let (_, last) = env.admit(&domain, std::slice::from_ref(&one)).await;
    assert_eq!(last.standings, [standing(max - 1, 1, max)]);
    assert_eq!(env.refuse(&domain, &[one]).await.standings, [standing(max - 1, 1, max)]);
}

pub(super) async fn a_rate_gives_its_burst_and_refills_evenly(env: &Env) {
    let domain = env.warm().await;
    // one a second would race the machine's clock; one in twenty minutes does not
    let hold = Hold { rule: Rule::Rate { max: 3, window_us: 3_600_000_000 }, ..rate(3) };
    for used in 1..=3 {
        let (rid, admission) = env.admit(&domain, std::slice::from_ref(&hold)).await;
        assert_eq!((admission.standings[0].used, admission.standings[0].held), (used, 0));
        assert_eq!(admission.standings[0].wait_ms > 0, used == 3);
        // a settled or released request is not given back
        env.settle(&domain, rid, &[], &[]).await;
    }
    let refused = env.refuse(&domain, std::slice::from_ref(&hold)).await.standings[0];
    assert_eq!((refused.used, refused.max), (3, 3));
    assert!((1_190_000..=1_200_000).contains(&refused.wait_ms), "{}", refused.wait_ms);
    env.advance(refused.wait_ms);
    env.admit(&domain, std::slice::from_ref(&hold)).await;
    assert_eq!(env.refuse(&domain, std::slice::from_ref(&hold)).await.standings[0].used, 3);
    env.advance(3_600_000);
    let (_, fresh) = env.admit(&domain, &[hold]).await;
    assert_eq!(fresh.standings[0].used, 1);
}

pub(super) async fn open_requests_are_counted_while_they_live(env: &Env) {
    let domain = env.warm().await;
    let holds = [open(2)];
    let (first, _) = env.admit(&domain, &holds).await;
    let (_, second) = env.admit(&domain, &holds).await;
    assert_eq!(second.standings, [standing(0, 2, 2)]);
    assert_eq!(env.refuse(&domain, &holds).await.standings, [standing(0, 2, 2)]);
    assert_eq!(env.settle(&domain, first, &holds, &[0]).await, Settled::Done);
    let (_, third) = env.admit(&domain, &holds).await;
    assert_eq!(third.standings, [standing(0, 2, 2)]);
    assert!(env.dump(&domain).await.buckets.is_empty(), "open requests leave no use");
}

pub(super) async fn domains_do_not_touch_each_other(env: &Env) {
    let (one, two) = (env.warm().await, env.warm().await);
    let holds = [quota("messages", 1)];
    env.admit(&one, &holds).await;
    env.admit(&two, &holds).await;
    env.counters.forget(&one).await.unwrap();
    assert_eq!(env.reserve(&one, rid(), &holds).await.reserved, Reserved::Cold);
    assert_eq!(env.refuse(&two, &holds).await.standings, [standing(0, 1, 1)]);
}

pub(super) async fn reading_takes_nothing_and_agrees_with_the_decision(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 2), open(3), rate(4)];
    let (_, admission) = env.admit(&domain, &holds).await;
    for _ in 0..3 {
        let (read, reset_at_ms) = env.read(&domain, &holds).await;
        assert_eq!(read.standings, admission.standings);
        assert_eq!((read.epochs, reset_at_ms), (vec![0; 3], 0));
    }
    let owner = owner(&holds[0], 1);
    env.counters.open_epoch(&domain, &owner).await.unwrap();
    let (read, reset_at_ms) = env.read(&domain, &holds).await;
    assert_eq!((read.epochs, reset_at_ms), (vec![1; 3], owner.reset_at_ms));
    assert_eq!(read.standings[0], standing(0, 0, 2));
    let (read, reset_at_ms) = env.read(&domain, &[pool(5), holds[0].clone()]).await;
    assert_eq!((read.epochs, reset_at_ms), (vec![0, 1], owner.reset_at_ms), "an owner that was never reset");
}
