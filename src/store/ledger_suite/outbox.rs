//! Thresholds: each is told once a period and webhook, whatever is replayed, and by whichever gateway.

use super::Bench;
use super::material::{NOVEMBER, NOW_MS, charge, entry};
use crate::quota::{Bucket, Charge, Domain, Scope};
use crate::store::audit::{Audit, AuditFilter};
use crate::store::entry::{Alerts, Entry, LimitAlert};
use crate::store::ledger::{Ledger, ResetRequest};
use crate::store::outbox::{Attempt, Claim, Message, Outbox, OutboxCounts, THRESHOLD_REACHED, Tried};

/// A message of `user` under a limit of ten, told at 80 % and at 100 %.
fn watched(user: &str) -> Entry {
    let limit = LimitAlert {
        limit: "messages".to_owned(),
        meter: "messages".to_owned(),
        max: 10,
        permille: vec![800, 1_000],
    };
    let alerts = Alerts { webhooks: vec!["ops".to_owned()], limits: vec![limit] };
    Entry { alerts: Some(alerts), ..entry(user) }
}

fn messages(user: &str, count: usize) -> Vec<Entry> {
    (0..count).map(|_| watched(user)).collect()
}

/// The thresholds that are noted, with the total of each, lowest first.
async fn noted(bench: &impl Bench) -> Vec<(f64, u64)> {
    let messages = bench.ledger().undelivered(None, 100).await.unwrap();
    let threshold = |message: &Message| {
        let data: serde_json::Value = serde_json::from_str(&message.data).unwrap();
        (data["threshold"].as_f64().unwrap(), message.used)
    };
    let mut noted: Vec<_> = messages.iter().map(threshold).collect();
    noted.sort_by(|a, b| a.partial_cmp(b).unwrap());
    noted
}

pub(crate) async fn a_threshold_is_told_once(bench: &impl Bench) {
    let ledger = bench.ledger();
    let below = messages("ada", 7);
    ledger.ingest(&below).await.unwrap();
    assert_eq!(noted(bench).await, []);
    let reaching = messages("ada", 1);
    ledger.ingest(&reaching).await.unwrap();
    assert_eq!(noted(bench).await, [(0.8, 8)]);
    ledger.ingest(&[below, reaching].concat()).await.unwrap();
    ledger.ingest(&messages("ada", 1)).await.unwrap();
    assert_eq!(noted(bench).await, [(0.8, 8)], "a replay and the next message tell nothing");
    ledger.ingest(&messages("ada", 2)).await.unwrap();
    assert_eq!(noted(bench).await, [(0.8, 8), (1.0, 11)]);
    let message = ledger.undelivered(None, 1).await.unwrap().remove(0);
    assert_eq!((&*message.webhook, &*message.event, &*message.state), ("ops", THRESHOLD_REACHED, "pending"));
    assert!(message.id.starts_with("msg_") && message.at_ms == NOW_MS + 900, "{message:?}");
    let data: serde_json::Value = serde_json::from_str(&message.data).unwrap();
    assert_eq!(
        (&data["userId"], &data["plan"], &data["limit"]),
        (&"ada".into(), &"free".into(), &"messages".into())
    );
    assert_eq!((&data["max"], &data["period"]), (&10.into(), &"2026-11".into()));
    assert_eq!(data["resetsAt"], "2026-12-01T00:00:00Z");
}

pub(crate) async fn a_batch_that_jumps_tells_every_threshold_to_every_webhook(bench: &impl Bench) {
    let mut batch = messages("ada", 10);
    for entry in &mut batch {
        entry.alerts.as_mut().unwrap().webhooks.push("billing".to_owned());
    }
    bench.ledger().ingest(&batch).await.unwrap();
    assert_eq!(noted(bench).await, [(0.8, 10), (0.8, 10), (1.0, 10), (1.0, 10)]);
    bench.ledger().ingest(&[entry("ben")]).await.unwrap();
    assert_eq!(noted(bench).await.len(), 4, "who has no thresholds is told of none");
}

pub(crate) async fn a_new_period_and_a_reset_are_told_anew(bench: &impl Bench) {
    let ledger = bench.ledger();
    ledger.ingest(&messages("ada", 8)).await.unwrap();
    let december = |entry: Entry| {
        let bucket = Bucket { period: "2026-12".into(), ..charge("ada", 1).bucket };
        let charge = Charge { bucket, period_start_ms: NOVEMBER.1, ..charge("ada", 1) };
        Entry { charges: vec![charge], month: "2026-12".to_owned(), ..entry }
    };
    ledger.ingest(&messages("ada", 8).into_iter().map(december).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(noted(bench).await, [(0.8, 8), (0.8, 8)]);
    let audit = Audit { actor: "root", action: "usage.reset", subject: "ada", reason: "", detail: "{}" };
    let domain = Domain::user("ada");
    let reset = ResetRequest { domain: &domain, owner_key: "user|ada", now_ms: NOW_MS, audit };
    let epoch = ledger.reset(&reset).await.unwrap().epoch;
    let after = |entry: Entry| Entry { charges: vec![Charge { epoch, ..charge("ada", 1) }], ..entry };
    ledger.ingest(&messages("ada", 8).into_iter().map(after).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(noted(bench).await, [(0.8, 8), (0.8, 8), (0.8, 8)]);
}

/// The limit was lowered below what is used: the next message tells it.
pub(crate) async fn a_lowered_limit_is_told(bench: &impl Bench) {
    let mut batch = messages("ada", 4);
    bench.ledger().ingest(&batch[..3]).await.unwrap();
    batch[3].alerts.as_mut().unwrap().limits[0].max = 4;
    bench.ledger().ingest(&batch[3..]).await.unwrap();
    assert_eq!(noted(bench).await, [(0.8, 4), (1.0, 4)]);
}

/// Four gateways write the messages of one team at once; the pool's thresholds are told once.
pub(crate) async fn gateways_at_once_tell_a_threshold_once(bench: &impl Bench) {
    let member = |at: usize| {
        let bucket = Bucket {
            scope: Scope::Team,
            owner: "crew".into(),
            limit: "pool".into(),
            period: "2026-11".into(),
        };
        let mut entry = watched(&format!("m{at}"));
        entry.charges = vec![Charge { bucket, ..charge("crew", 1) }];
        (entry.domain, entry.team) = ("team:crew".to_owned(), Some("crew".to_owned()));
        let limit = &mut entry.alerts.as_mut().unwrap().limits[0];
        (limit.limit, limit.max) = ("pool".to_owned(), 100);
        entry
    };
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let ledger = bench.ledger().clone();
            let batches: Vec<Vec<Entry>> = (0..13).map(|_| vec![member(writer), member(writer)]).collect();
            tokio::spawn(async move {
                for batch in batches {
                    ledger.ingest(&batch).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let noted = noted(bench).await;
    let thresholds: Vec<f64> = noted.iter().map(|(threshold, _)| *threshold).collect();
    assert_eq!(thresholds, [0.8, 1.0]);
    assert!(noted[0].1 < 82 && noted[1].1 < 102, "told by the batch that reached it: {noted:?}");
    let message = bench.ledger().undelivered(None, 1).await.unwrap().remove(0);
    assert!(
        message.data.contains(r#""teamId":"crew""#) && !message.data.contains("userId"),
        "{}",
        message.data
    );
}

const LEASE_MS: i64 = 1_000;

async fn claim(bench: &impl Bench, now_ms: i64) -> Vec<Message> {
    let claim = Claim { webhook: "ops", now_ms, lease_ms: LEASE_MS, max: 10 };
    bench.ledger().claim(&claim).await.unwrap()
}

fn tried(message: &Message, attempt: Attempt) -> Tried {
    let (status, error) = match attempt {
        Attempt::Delivered => (Some(204), String::new()),
        Attempt::Again(_) | Attempt::Dead => (None, "no answer".to_owned()),
    };
    let (id, attempts) = (message.id.clone(), message.attempts);
    Tried { id, attempts, now_ms: NOW_MS, attempt, status, error }
}

pub(crate) async fn a_claimed_message_is_nobody_elses_until_its_lease_ends(bench: &impl Bench) {
    bench.ledger().ingest(&messages("ada", 8)).await.unwrap();
    let first = claim(bench, NOW_MS).await;
    assert_eq!((first.len(), first[0].attempts), (1, 1));
    assert_eq!(claim(bench, NOW_MS + LEASE_MS - 1).await, []);
    let second = claim(bench, NOW_MS + LEASE_MS).await;
    assert_eq!((second.len(), second[0].attempts), (1, 2));
    bench.ledger().tried(&tried(&first[0], Attempt::Dead)).await.unwrap();
    assert_eq!(
        bench.ledger().outbox_counts().await.unwrap(),
        OutboxCounts { pending: 1, dead: 0 },
        "an attempt that lost its lease"
    );
    bench.ledger().tried(&tried(&second[0], Attempt::Again(NOW_MS + 9_000))).await.unwrap();
    assert_eq!(claim(bench, NOW_MS + 8_999).await, []);
    let third = claim(bench, NOW_MS + 9_000).await;
    assert_eq!((third[0].attempts, &*third[0].last_error), (3, "no answer"));
    bench.ledger().tried(&tried(&first[0], Attempt::Delivered)).await.unwrap();
    assert_eq!(bench.ledger().outbox_counts().await.unwrap(), OutboxCounts::default());
    assert_eq!(claim(bench, i64::MAX - LEASE_MS).await, [], "what is delivered is never sent again");
}

pub(crate) async fn dead_messages_are_retried_and_audited(bench: &impl Bench) {
    let ledger = bench.ledger();
    ledger.ingest(&messages("ada", 10)).await.unwrap();
    for message in claim(bench, NOW_MS).await {
        ledger.tried(&tried(&message, Attempt::Dead)).await.unwrap();
    }
    assert_eq!(ledger.outbox_counts().await.unwrap(), OutboxCounts { pending: 0, dead: 2 });
    let dead = ledger.undelivered(Some("dead"), 10).await.unwrap();
    assert_eq!((dead[0].ended_at_ms, &*dead[0].last_error), (Some(NOW_MS), "no answer"));
    let audit = Audit { actor: "root", action: "webhooks.retry", subject: "x", reason: "", detail: "{}" };
    assert_eq!(ledger.retry(Some("msg_unknown"), NOW_MS, audit).await.unwrap(), 0);
    assert_eq!(ledger.retry(Some(&dead[0].id), NOW_MS, audit).await.unwrap(), 1);
    assert_eq!(ledger.retry(None, NOW_MS, audit).await.unwrap(), 1);
    assert_eq!(ledger.retry(None, NOW_MS, audit).await.unwrap(), 0, "nothing is dead any more");
    let again = claim(bench, NOW_MS).await;
    assert_eq!(again.iter().map(|message| message.attempts).collect::<Vec<_>>(), [1, 1]);
    let filter = AuditFilter { action: Some("webhooks.retry".to_owned()), max: 10, ..AuditFilter::default() };
    assert_eq!(
        ledger.audit(&filter).await.unwrap().len(),
        2,
        "an audit row for each retry that did something"
    );
}

pub(crate) async fn expired_messages_are_forgotten(bench: &impl Bench) {
    bench.ledger().ingest(&messages("ada", 10)).await.unwrap();
    let kept_until_ms = NOVEMBER.1 + 30 * 24 * 3_600_000;
    assert_eq!(bench.ledger().forget_expired(kept_until_ms - 1, 10).await.unwrap(), 0);
    assert_eq!(bench.ledger().forget_expired(kept_until_ms, 1).await.unwrap(), 1);
    assert_eq!(bench.ledger().forget_expired(kept_until_ms, 10).await.unwrap(), 1);
}

pub(crate) async fn hostile_ids_are_told(bench: &impl Bench) {
    // the second NUL is spelt out: it must not be taken for one
    let hostile = "a\0\\u0000\"}\u{2028}'|%";
    let mut batch = messages(hostile, 10);
    for entry in &mut batch {
        entry.plan = hostile.to_owned();
    }
    bench.ledger().ingest(&batch).await.unwrap();
    let message = claim(bench, NOW_MS).await.remove(0);
    let data: serde_json::Value = serde_json::from_str(&message.data).unwrap();
    assert_eq!(data["userId"], hostile.replace('\0', "\u{FFFD}"));
}
