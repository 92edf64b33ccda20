//! The counters lost, forgotten or out of reach: exact again afterwards, by the stated policy meanwhile.

use std::time::Duration;

use super::{Bench, answer, asked, user};
use crate::gate::{Denied, Ending, Permit, Who};
use crate::quota::OnOutage;
use crate::store::{Counters, DomainTotals, Outcome};

async fn admit(bench: &Bench, who: &Who) -> Result<Permit, Denied> {
    bench.gate.admit(who, asked("claude-3-opus")).await
}

fn end(mut permit: Permit) {
    answer(&mut permit, 200);
    permit.finish(Ending::bare(Outcome::Ok));
}

#[tokio::test]
async fn forgotten_counters_come_back_from_ledger_and_announcements() {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "alice", None, None);
    for _ in 0..10 {
        end(admit(&bench, &who).await.unwrap());
    }
    let open = [admit(&bench, &who).await.unwrap(), admit(&bench, &who).await.unwrap()];
    bench.quiet().await;
    bench.counters.forget(&who.subject.domain).await.unwrap();
    assert_eq!(
        bench.numbers(&who, "premium").await,
        (10, 2),
        "no fresh quota: used from the ledger, held from here"
    );
    open.into_iter().for_each(end);
    bench.conserved(&who, "premium", 12).await;
}

#[tokio::test]
async fn a_settle_that_comes_after_the_counters_were_lost_is_counted_once() {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "alice", None, None);
    let permit = admit(&bench, &who).await.unwrap();
    bench.counters.forget(&who.subject.domain).await.unwrap();
    end(permit);
    bench.conserved(&who, "premium", 1).await;
}

#[tokio::test]
async fn counters_that_lack_the_settle_of_a_killed_run_are_loaded_anew() {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "alice", None, None);
    end(admit(&bench, &who).await.unwrap());
    bench.quiet().await;
    let domain = &who.subject.domain;
    // as if the END had reached the ledger and the settle never the counters
    bench.counters.forget(domain).await.unwrap();
    assert!(bench.counters.rebuild(domain, &DomainTotals::default()).await.unwrap());
    assert_eq!(bench.numbers(&who, "premium").await, (0, 0), "the drift that is to be mended");
    bench.gate.make_cold(&[domain.to_string()]).await;
    bench.conserved(&who, "premium", 1).await;

    bench.counters.set_down(true);
    bench.gate.make_cold(&[domain.to_string()]).await;
    assert!(!bench.gate.is_mended(), "what cannot be made cold now is remembered");
    bench.counters.set_down(false);
    while !bench.gate.is_mended() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.conserved(&who, "premium", 1).await;
}

#[tokio::test]
async fn policy_deny_refuses_and_heals() {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "alice", None, None);
    let permit = admit(&bench, &who).await.unwrap();
    bench.counters.set_down(true);
    assert!(matches!(admit(&bench, &who).await, Err(Denied::Unavailable(_))));
    assert!(bench.gate.is_degraded());
    end(permit);
    bench.counters.set_down(false);
    bench.conserved(&who, "premium", 1).await;
}

#[tokio::test]
async fn policy_ledger_holds_the_limit_through_the_outage_and_is_exact_after_it() {
    let bench = Bench::new(OnOutage::Ledger).await;
    let who = user(&bench, "alice", None, None);
    for _ in 0..15 {
        end(admit(&bench, &who).await.unwrap());
    }
    let before = admit(&bench, &who).await.unwrap();
    bench.quiet().await;
    bench.counters.set_down(true);
    let mut passed = 0;
    for _ in 0..10 {
        if let Ok(permit) = admit(&bench, &who).await {
            passed += 1;
            end(permit);
        }
    }
    assert_eq!(passed, 4, "15 used and 1 held leave 4 of 20");
    end(before);
    bench.counters.set_down(false);
    while bench.gate.is_degraded() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.conserved(&who, "premium", 20).await;
    assert!(matches!(admit(&bench, &who).await, Err(Denied::Refused(_))));
}

#[tokio::test]
async fn policy_allow_lets_pass_and_records() {
    let bench = Bench::new(OnOutage::Allow).await;
    let who = user(&bench, "alice", None, None);
    bench.counters.set_down(true);
    for _ in 0..25 {
        end(admit(&bench, &who).await.unwrap());
    }
    assert_eq!(bench.gate.counts().degraded.load(std::sync::atomic::Ordering::Relaxed), 25);
    bench.counters.set_down(false);
    bench.conserved(&who, "premium", 25).await;
    assert!(matches!(admit(&bench, &who).await, Err(Denied::Refused(_))), "what was let pass counts");
}

#[tokio::test]
async fn one_slow_answer_is_no_outage_and_leaves_no_hold() {
    let bench = Bench::new(OnOutage::Ledger).await;
    let who = user(&bench, "alice", None, None);
    end(admit(&bench, &who).await.unwrap());
    bench.quiet().await;
    bench.counters.set_late(true);
    assert!(
        matches!(admit(&bench, &who).await, Err(Denied::Unavailable(_))),
        "nothing is decided without the counters"
    );
    assert!(!bench.gate.is_degraded());
    bench.counters.set_late(false);
    // the reserve had taken effect: its hold is given back
    while bench.numbers(&who, "premium").await != (1, 0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bench.conserved(&who, "premium", 1).await;
}

#[tokio::test]
async fn a_domain_that_stays_cold_is_no_outage_of_the_counters() {
    let bench = Bench::new(OnOutage::Ledger).await;
    let who = user(&bench, "alice", None, None);
    bench.counters.set_cold(true);
    let permit = admit(&bench, &who).await.expect("the ledger decides");
    assert!(!bench.gate.is_degraded(), "the counters answer: other domains are decided by them");
    end(permit);
    bench.counters.set_cold(false);
    bench.conserved(&who, "premium", 1).await;

    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "bob", None, None);
    bench.counters.set_cold(true);
    assert!(matches!(admit(&bench, &who).await, Err(Denied::Unavailable(_))));
    assert!(!bench.gate.is_degraded());
}

#[tokio::test]
async fn verify_finds_counts_and_repairs_a_counter_that_drifted() {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "alice", None, None);
    end(admit(&bench, &who).await.unwrap());
    bench.quiet().await;
    assert!(bench.gate.verifier.verify(false).await.unwrap().is_clean());
    let mut total =
        bench.ledger.load(&who.subject.domain, bench.clock.now_ms()).await.unwrap().buckets.remove(0);
    total.used = 7;
    assert!(bench.counters.repair(&who.subject.domain, &total).await.unwrap(), "the counter is made wrong");
    let found = bench.gate.verifier.verify(false).await.unwrap();
    assert_eq!(
        found.counters.iter().map(|found| (found.found, found.expected)).collect::<Vec<_>>(),
        [(7, 1)]
    );
    assert!(!found.is_clean());
    assert_eq!(bench.gate.counts().drift.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert!(bench.gate.verifier.verify(true).await.unwrap().is_clean());
    assert!(bench.gate.verifier.verify(false).await.unwrap().counters.is_empty());
}

#[tokio::test]
async fn the_journal_is_told_what_is_settled_and_nothing_that_waits() {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "alice", None, None);
    let all_settled = async || {
        while bench.journal.unsettled() != Some(0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    end(admit(&bench, &who).await.unwrap());
    all_settled().await;
    let permit = admit(&bench, &who).await.unwrap();
    bench.counters.set_down(true);
    end(permit);
    // longer than two rounds of mending
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(bench.journal.unsettled(), Some(1));
    bench.counters.set_down(false);
    all_settled().await;
    bench.conserved(&who, "premium", 2).await;
}
