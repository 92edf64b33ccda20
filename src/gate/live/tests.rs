//! The memory of ended requests: bounded, and honest about what it forgot.

use uuid::Uuid;

use super::*;
use crate::quota::{Bucket, Scope};

fn rid(n: usize) -> Uuid {
    Uuid::from_u128(n as u128)
}

fn entry(domain: &Domain, n: usize) -> Row {
    serde_json::from_value(serde_json::json!({
        "id": rid(n), "month": "2026-11", "request_id": "r", "admitted_at_ms": 0, "ended_at_ms": 0,
        "domain": domain.as_str(), "user": null, "team": null, "plan": "p", "dialect": "openai", "endpoint": "e",
        "upstream": "u", "model_requested": "m", "model_dispatched": "m", "groups": [], "stream": false,
        "outcome": "ok", "status": 200, "charges": [], "cost_micro_usd": 0, "first_byte_ms": null, "duration_ms": 0,
        "tokens": { "input": 0, "output": 0, "cached": 0, "reasoning": 0, "estimated": false }
    }))
    .unwrap()
}

#[test]
fn an_acknowledged_request_is_announced_for_a_minute_more() {
    let (live, domain) = (Live::default(), Domain::user("ada"));
    live.opened(&domain, rid(1), Vec::new().into(), 900_000);
    live.ended(&domain, rid(1), Vec::new(), 0);
    assert!(live.is_settling(&domain));
    live.settled(&domain, rid(1));
    live.acknowledged(&[entry(&domain, 1)], 1_000);
    live.acknowledged(&[], 61_000);
    assert_eq!(live.announcements(&domain, 61_000).len(), 1);
    live.acknowledged(&[], 61_001);
    assert_eq!(
        (live.announcements(&domain, 61_001).len(), live.domains().len(), live.open_count()),
        (0, 0, 0)
    );
}

#[test]
fn a_full_memory_drops_what_the_ledger_has_before_it_forgets_anything() {
    let (live, domain) = (Live::default(), Domain::user("ada"));
    for n in 0..ENDED_MAX {
        live.ended(&domain, rid(n), Vec::new(), 0);
        live.settled(&domain, rid(n));
    }
    live.acknowledged(&[entry(&domain, 0)], 0);
    live.ended(&domain, rid(ENDED_MAX), Vec::new(), 0);
    assert!(live.is_complete(), "an acknowledged request made room");
    live.ended(&domain, rid(ENDED_MAX + 1), Vec::new(), 0);
    assert!(!live.is_complete(), "nothing acknowledged was left");
    live.acknowledged(&[entry(&domain, ENDED_MAX + 1)], 0);
    assert!(live.is_complete(), "the forgotten one has reached the ledger");
}

#[test]
fn a_missed_acknowledgement_does_not_stay_for_ever() {
    let (live, domain) = (Live::default(), Domain::user("ada"));
    live.ended(&domain, rid(1), Vec::new(), 0);
    live.all_acknowledged(100_000);
    assert_eq!(live.domains().len(), 1, "its settle is still under way");
    live.settled(&domain, rid(1));
    live.all_acknowledged(60_000);
    assert_eq!(live.domains().len(), 1, "not old enough");
    live.all_acknowledged(60_001);
    assert_eq!(live.domains().len(), 0);
}

#[test]
fn a_request_that_is_read_back_twice_counts_once() {
    let (live, domain) = (Live::default(), Domain::user("ada"));
    live.inherited(&domain, rid(1), Vec::new(), 0);
    live.inherited(&domain, rid(1), Vec::new(), 0);
    assert_eq!((live.announcements(&domain, 0).len(), live.0.lock().unwrap().ended), (1, 1));
    assert!(!live.is_settling(&domain));
    live.acknowledged(&[entry(&domain, 1)], 0);
    live.acknowledged(&[], 60_001);
    assert_eq!(live.0.lock().unwrap().ended, 0);
}

#[test]
fn an_acknowledgement_that_comes_before_its_request_is_read_back_is_not_lost() {
    let (live, domain) = (Live::default(), Domain::user("ada"));
    live.read_back();
    live.acknowledged(&[entry(&domain, 1)], 0);
    live.inherited(&domain, rid(1), Vec::new(), 1_000);
    live.all_read_back();
    assert_eq!(live.announcements(&domain, 1_000).len(), 1, "a snapshot may be under way");
    live.acknowledged(&[], 61_001);
    assert_eq!(live.announcements(&domain, 61_001).len(), 0, "not announced for ever");
}

#[test]
fn what_is_unsettled_is_named_until_it_is_settled() {
    let (live, domain) = (Live::default(), Domain::user("ada"));
    assert_eq!(live.unsettled(2), Some(Vec::new()));
    for n in 0..2 {
        live.ended(&domain, rid(n), Vec::new(), 0);
    }
    let mut unsettled = live.unsettled(2).unwrap();
    unsettled.sort_by_key(|(_, rid)| *rid);
    assert_eq!(unsettled, [(domain.clone(), rid(0)), (domain.clone(), rid(1))]);
    assert_eq!(live.unsettled(1), None, "more than were asked for");
    live.settled(&domain, rid(0));
    assert_eq!([live.is_settled(&domain, rid(0)), live.is_settled(&domain, rid(1))], [true, false]);
    live.acknowledged(&[entry(&domain, 7)], 0);
    live.settled(&domain, rid(1));
    assert_eq!(live.unsettled(2), Some(Vec::new()));
}

#[test]
fn charges_that_are_alike_are_kept_once() {
    let (live, domain) = (Live::default(), Domain::team("red"));
    let charge = |owner: String| Charge {
        bucket: Bucket {
            scope: Scope::User,
            owner: owner.into(),
            limit: "messages".into(),
            period: "2026-11".into(),
        },
        epoch: 0,
        period_start_ms: 0,
        period_end_ms: 1,
        amount: 1,
    };
    for n in 0..1_000 {
        live.ended(&domain, rid(n), vec![charge(format!("member-{}", n % 10))], 0);
    }
    let inner = live.lock();
    let kept = inner.domains[&domain].ended.values().map(|ended| ended.charges.as_ptr() as usize);
    assert_eq!(kept.collect::<HashSet<_>>().len(), 10);
    drop(inner);
    let owners = live.announcements(&domain, 0).into_iter().map(|announcement| match announcement {
        Announcement::Ended { charges, .. } => charges[0].bucket.owner.to_string(),
        Announcement::Held { .. } => panic!("nothing is held"),
    });
    assert_eq!(owners.collect::<HashSet<_>>().len(), 10);
    for n in 1_000..1_100 {
        live.ended(&domain, rid(n), vec![charge(format!("guest-{n}"))], 0);
    }
    assert_eq!(live.lock().domains[&domain].usual.len(), USUAL_MAX, "bounded");
}
