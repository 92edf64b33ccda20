//! Admission: all or nothing over every limit, exact under racing, and numbers that are the decision's.

use std::sync::Arc;

use super::{Bench, answer, asked, user};
use crate::auth::{Caller, Identity, Role};
use crate::gate::{Denied, Ending};
use crate::quota::{OnOutage, Scope};
use crate::store::{Audit, Outcome};

async fn send(bench: &Bench, who: &crate::gate::Who, model: &str) -> Result<(), Denied> {
    let mut permit = bench.gate.admit(who, asked(model)).await?;
    answer(&mut permit, 200);
    permit.finish(Ending::bare(Outcome::Ok));
    Ok(())
}

fn refused(result: Result<(), Denied>) -> crate::quota::Refusal {
    match result {
        Err(Denied::Refused(refusal)) => *refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn the_mission_twenty_premium_within_a_hundred() {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "alice", None, None);
    for _ in 0..20 {
        send(&bench, &who, "claude-3-opus").await.unwrap();
    }
    let premium = refused(send(&bench, &who, "claude-3-opus").await);
    assert_eq!(
        premium.message,
        "Premium quota exhausted: 20 of 20 messages used this month. Resets 2026-12-01T00:00:00Z. gemini-2.0-flash is still available."
    );
    for _ in 0..80 {
        send(&bench, &who, "gpt-4o").await.unwrap();
    }
    let all = refused(send(&bench, &who, "gpt-4o").await);
    assert_eq!(
        (&*all.full.limit.name, all.full.standing.used, all.full.standing.max),
        ("messages", 100, 100)
    );
    bench.conserved(&who, "messages", 100).await;
    bench.conserved(&who, "premium", 20).await;
}

#[tokio::test]
async fn a_thousand_racers_for_the_last_unit() {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "alice", None, None);
    for _ in 0..19 {
        send(&bench, &who, "claude-3-opus").await.unwrap();
    }
    let racers = (0..1000).map(|_| {
        let (gate, who) = (Arc::clone(&bench.gate), who.clone());
        tokio::spawn(async move { gate.admit(&who, asked("claude-3-opus")).await.ok() })
    });
    let mut permits = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        permits.extend(racer.await.unwrap());
    }
    assert_eq!(permits.len(), 1);
    for mut permit in permits {
        answer(&mut permit, 200);
        permit.finish(Ending::bare(Outcome::Ok));
    }
    bench.conserved(&who, "premium", 20).await;
}

#[tokio::test]
async fn a_refusal_takes_nothing_from_the_other_limits() {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "carol", Some("team"), Some("blue"));
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(bench.gate.admit(&who, asked("gpt-4o")).await.unwrap());
    }
    let fifth = refused(bench.gate.admit(&who, asked("gpt-4o")).await.map(drop));
    assert_eq!(&*fifth.full.limit.name, "parallel");
    assert_eq!(fifth.message, "Too many requests at once: 4 of 4 are open. Wait for one to finish.");
    assert_eq!(bench.numbers(&who, "messages").await, (0, 4));
    assert_eq!(bench.numbers(&who, "pool").await, (0, 4));
    drop(open);
    bench.conserved(&who, "pool", 0).await;
}

#[tokio::test]
async fn members_share_the_pool_and_do_not_see_its_figures() {
    let bench = Bench::new(OnOutage::Deny).await;
    let members: Vec<_> =
        ["dan", "eve"].iter().map(|name| user(&bench, name, Some("team"), Some("red"))).collect();
    for turn in 0..30 {
        bench.clock.advance(std::time::Duration::from_secs(1));
        send(&bench, &members[turn % 2], "gpt-4o").await.unwrap();
    }
    bench.clock.advance(std::time::Duration::from_secs(1));
    let refusal = refused(send(&bench, &members[0], "gpt-4o").await);
    assert_eq!((&*refusal.full.limit.name, refusal.full.limit.scope), ("pool", Scope::Team));
    assert!(!refusal.message.contains("30"), "{}", refusal.message);
    assert_eq!(bench.numbers(&members[0], "messages").await, (15, 0), "each member's own count");
    bench.conserved(&members[0], "pool", 30).await;
}

#[tokio::test]
async fn a_burst_is_refused_with_its_wait_and_passes_after_it() {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "fay", Some("team"), Some("green"));
    for _ in 0..5 {
        send(&bench, &who, "gpt-4o").await.unwrap();
    }
    let refusal = refused(send(&bench, &who, "gpt-4o").await);
    assert_eq!(
        (&*refusal.full.limit.name, refusal.retry_after_ms, refusal.is_long()),
        ("burst", Some(200), false)
    );
    bench.clock.advance(std::time::Duration::from_millis(200));
    send(&bench, &who, "gpt-4o").await.unwrap();
}

#[tokio::test]
async fn the_permit_shows_the_numbers_that_decided() {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "alice", None, None);
    send(&bench, &who, "gpt-4o").await.unwrap();
    bench.quiet().await;
    let permit = bench.gate.admit(&who, asked("claude-3-opus")).await.unwrap();
    let shown: Vec<_> =
        permit.limits().iter().map(|view| (&*view.limit.name, view.standing.remaining())).collect();
    assert_eq!(shown, [("messages", 98), ("premium", 19)]);
}

#[tokio::test]
async fn a_reset_opens_a_new_epoch_and_leaves_requests_in_flight_in_theirs() {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "alice", None, None);
    for _ in 0..20 {
        send(&bench, &who, "claude-3-opus").await.unwrap();
    }
    bench.quiet().await;
    let mut old = bench.gate.admit(&who, asked("gpt-4o")).await.unwrap();
    let audit =
        Audit { actor: "root", action: "usage.reset", subject: "alice", reason: "test", detail: "{}" };
    bench.gate.reports.reset_user("alice", audit).await.unwrap();
    assert_eq!(bench.numbers(&who, "premium").await, (0, 0));
    answer(&mut old, 200);
    old.finish(Ending::bare(Outcome::Ok));
    bench.quiet().await;
    assert_eq!(bench.numbers(&who, "messages").await, (0, 0), "the old request is settled in the old epoch");
    send(&bench, &who, "claude-3-opus").await.unwrap();
    bench.quiet().await;
    assert_eq!(bench.numbers(&who, "premium").await, (1, 0));
    assert_eq!(bench.ledger.totals().await.unwrap().messages, 22, "the ledger keeps its rows");
}

#[tokio::test]
async fn anonymous_callers_and_unknown_plans() {
    let bench = Bench::new(OnOutage::Deny).await;
    let nobody = bench.gate.identify(&Caller::anonymous([192, 0, 2, 1].into())).unwrap();
    assert!(send(&bench, &nobody, "gemini-2.0-flash").await.is_ok());
    let denied = send(&bench, &nobody, "claude-3-opus").await.unwrap_err();
    assert_eq!(
        denied.to_string(),
        "The model `claude-3-opus` is not available to a caller without sign-in. Available: gemini-2.0-flash."
    );
    let caller = Caller {
        identity: Identity::User,
        user: Some("zoe".to_owned()),
        team: None,
        plan: Some("gold".to_owned()),
        role: Role::User,
        issuer: None,
    };
    assert!(matches!(bench.gate.identify(&caller), Err(Denied::UnknownPlan(plan)) if plan == "gold"));
}
