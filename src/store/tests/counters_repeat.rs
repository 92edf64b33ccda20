//! Behaviours of repeats: a message is charged once for at most three attempts, and never less than once.

use uuid::Uuid;

use super::counters_env::*;
use crate::quota::{Domain, Hold};
use crate::store::counters::REPEAT_WITHIN_MS;
use crate::store::{DomainTotals, MessageKey, Settled};

fn message() -> MessageKey {
    MessageKey::of(&["user_1", "gpt-4o", &rid().to_string()])
}

async fn attempt(env: &Env, domain: &Domain, message: &MessageKey, holds: &[Hold]) -> (Uuid, Decided) {
    let rid = rid();
    (rid, reserve(&*env.counters, domain, rid, holds, Some(message)).await.unwrap())
}

/// Which repeat an admitted attempt is.
async fn repeat(env: &Env, domain: &Domain, message: &MessageKey, holds: &[Hold]) -> (Uuid, u32) {
    let (rid, decided) = attempt(env, domain, message, holds).await;
    (rid, decided.repeat())
}

/// One attempt from its hold to its charge.
async fn whole(env: &Env, domain: &Domain, message: &MessageKey, holds: &[Hold]) -> u32 {
    let (rid, repeat) = repeat(env, domain, message, holds).await;
    let charged = if repeat == 0 { holds } else { &[] };
    assert_eq!(env.settle(domain, rid, charged, &vec![0; charged.len()]).await, Settled::Done);
    repeat
}

pub(super) async fn three_attempts_cost_one_and_the_fourth_is_a_new_message(env: &Env) {
    let domain = env.warm().await;
    let (key, holds) = (message(), [quota("messages", 9), quota("premium", 9)]);
    for (expected, used) in [(0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (2, 2), (0, 3)] {
        assert_eq!(whole(env, &domain, &key, &holds).await, expected);
        for hold in &holds {
            assert_eq!(env.numbers(&domain, &hold.bucket, 0).await, (used, 0));
        }
    }
    assert_eq!(whole(env, &domain, &message(), &holds).await, 0, "another message");
}

pub(super) async fn an_attempt_that_was_not_charged_makes_no_repeat(env: &Env) {
    let domain = env.warm().await;
    let (key, holds) = (message(), [quota("messages", 9)]);
    for _ in 0..3 {
        let (rid, first) = repeat(env, &domain, &key, &holds).await;
        assert_eq!(first, 0);
        env.settle(&domain, rid, &[], &[]).await;
    }
    let (open, first) = repeat(env, &domain, &key, &holds).await;
    let (_, second) = repeat(env, &domain, &key, &holds).await;
    assert_eq!((first, second), (0, 0), "nothing is known of an attempt that is still open");
    assert_eq!(env.numbers(&domain, &holds[0].bucket, 0).await, (0, 2));
    env.settle(&domain, open, &holds, &[0]).await;
    assert_eq!(repeat(env, &domain, &key, &holds).await.1, 1);
}

pub(super) async fn attempts_charged_at_once_allow_two_repeats_in_all(env: &Env) {
    let domain = env.warm().await;
    let (key, holds) = (message(), [quota("messages", 9)]);
    let (one, _) = repeat(env, &domain, &key, &holds).await;
    let (two, _) = repeat(env, &domain, &key, &holds).await;
    env.settle(&domain, one, &holds, &[0]).await;
    assert_eq!(whole(env, &domain, &key, &holds).await, 1);
    env.settle(&domain, two, &holds, &[0]).await;
    assert_eq!(whole(env, &domain, &key, &holds).await, 2);
    assert_eq!(whole(env, &domain, &key, &holds).await, 0);
}

pub(super) async fn racing_repeats_are_free_twice(env: &Env) {
    let domain = env.warm().await;
    for _ in 0..10 {
        let (key, holds) = (message(), [quota("messages", 1_000)]);
        assert_eq!(whole(env, &domain, &key, &holds).await, 0);
        let racers: Vec<_> = (0..20)
            .map(|_| {
                let (counters, domain, key) = (env.counters.clone(), domain.clone(), key.clone());
                tokio::spawn(async move {
                    let (rid, holds) = (rid(), [quota("messages", 1_000)]);
                    reserve(&*counters, &domain, rid, &holds, Some(&key)).await.unwrap().repeat()
                })
            })
            .collect();
        let mut repeats = Vec::new();
        for racer in racers {
            repeats.push(racer.await.unwrap());
        }
        repeats.sort_unstable();
        assert_eq!(repeats[..18], [0; 18]);
        assert_eq!(repeats[18..], [1, 2]);
    }
}

pub(super) async fn a_repeat_comes_within_ten_minutes_of_the_admission(env: &Env) {
    let domain = env.warm().await;
    let holds = [quota("messages", 9)];
    let (early, late) = (message(), message());
    for key in [&early, &late] {
        assert_eq!(whole(env, &domain, key, &holds).await, 0);
    }
    env.advance(REPEAT_WITHIN_MS - 30_000);
    assert_eq!(whole(env, &domain, &early, &holds).await, 1);
    env.advance(30_000);
    for key in [&early, &late] {
        assert_eq!(whole(env, &domain, key, &holds).await, 0);
    }
    assert_eq!(whole(env, &domain, &late, &holds).await, 1, "a new message, with repeats of its own");
}

pub(super) async fn bursts_open_requests_and_blocks_hold_for_repeats(env: &Env) {
    let domain = env.warm().await;
    let (key, spent) = (message(), [quota("messages", 1)]);
    assert_eq!(whole(env, &domain, &key, &spent).await, 0);
    assert_eq!(env.refuse(&domain, &spent).await.index, Some(0));
    let blocked = [quota("messages", 0)];
    assert_eq!(attempt(env, &domain, &key, &blocked).await.1.index, Some(0));
    let holds = [quota("messages", 1), open(1)];
    let (rid, first) = repeat(env, &domain, &key, &holds).await;
    assert_eq!(first, 1, "what is paid for passes a spent limit");
    let (_, refused) = attempt(env, &domain, &key, &holds).await;
    assert_eq!(refused.index, Some(1));
    let again = reserve(&*env.counters, &domain, rid, &holds, Some(&key)).await.unwrap();
    assert_eq!(again.repeat(), 1, "the same request gets the same answer");
    env.settle(&domain, rid, &[], &[]).await;
    assert_eq!(whole(env, &domain, &key, &holds).await, 2, "the refusals took no repeat");
}

pub(super) async fn a_cold_domain_charges_again(env: &Env) {
    let domain = env.warm().await;
    let (key, holds) = (message(), [quota("messages", 9)]);
    assert_eq!(whole(env, &domain, &key, &holds).await, 0);
    env.counters.forget(&domain).await.unwrap();
    env.load(&domain, &DomainTotals::default()).await;
    assert_eq!(whole(env, &domain, &key, &holds).await, 0);
}
