//! An administrator's reset and its trail.

use super::Bench;
use super::material::{NOW_MS, entry};
use crate::quota::Domain;
use crate::store::audit::{Audit, AuditFilter, first_broken};
use crate::store::ledger::{Ledger, ResetRequest};
use crate::store::totals::OwnerEpoch;

const AUDIT: Audit<'_> = Audit {
    actor: "root",
    action: "usage.reset",
    subject: "ada",
    reason: "it's \"fine\" – \0 really",
    detail: r#"{"domain": "user:ada"}"#,
};

fn request<'a>(domain: &'a Domain, owner_key: &'a str, now_ms: i64) -> ResetRequest<'a> {
    ResetRequest { domain, owner_key, now_ms, audit: AUDIT }
}

fn epoch(owner_key: &str, epoch: u32, reset_at_ms: i64) -> OwnerEpoch {
    OwnerEpoch { owner_key: owner_key.to_owned(), epoch, reset_at_ms }
}

pub(crate) async fn resets_count_up_and_leave_a_trail(bench: &impl Bench) {
    let ledger = bench.ledger();
    ledger.ingest(&[entry("ada")]).await.unwrap();
    let (ada, crew) = (Domain::user("ada"), Domain::team("crew"));
    let first = ledger.reset(&request(&ada, "user|ada", NOW_MS)).await.unwrap();
    assert_eq!(first, epoch("user|ada", 1, NOW_MS));
    let clock_went_back = ledger.reset(&request(&ada, "user|ada", NOW_MS - 5_000)).await.unwrap();
    assert_eq!(clock_went_back, epoch("user|ada", 2, NOW_MS));
    ledger.reset(&request(&crew, "user|ada", NOW_MS)).await.unwrap();
    let team = ledger.reset(&request(&crew, "team|crew", NOW_MS + 1)).await.unwrap();
    assert_eq!(team, epoch("team|crew", 1, NOW_MS + 1));

    let loaded = ledger.load(&ada, NOW_MS).await.unwrap();
    assert_eq!(loaded.epochs, [epoch("user|ada", 2, NOW_MS)]);
    assert_eq!(loaded.buckets.len(), 1, "the ledger keeps its rows and totals");
    let mut epochs = ledger.load(&crew, NOW_MS).await.unwrap().epochs;
    epochs.sort();
    assert_eq!(epochs, [epoch("team|crew", 1, NOW_MS + 1), epoch("user|ada", 1, NOW_MS)]);

    let trail = bench.audit_log().await;
    assert_eq!(first_broken(None, &trail), None);
    let times: Vec<_> = trail.iter().map(|record| (record.seq, record.at_ms)).collect();
    assert_eq!(times, [(1, NOW_MS), (2, NOW_MS - 5_000), (3, NOW_MS), (4, NOW_MS + 1)]);
    let record = &trail[0];
    assert_eq!((record.actor.as_str(), record.action.as_str()), ("root", "usage.reset"));
    assert_eq!((record.subject.as_str(), record.detail.as_str()), ("ada", AUDIT.detail));
    assert_eq!(record.reason, "it's \"fine\" – \u{FFFD} really");
}

pub(crate) async fn resets_at_once_get_an_epoch_each(bench: &impl Bench) {
    let resets: Vec<_> = (0..12_u32)
        .map(|at| {
            let ledger = bench.ledger().clone();
            tokio::spawn(async move {
                let owner_key = if at.is_multiple_of(3) { "team|crew" } else { "user|ada" };
                let reset = ledger.reset(&request(&Domain::team("crew"), owner_key, NOW_MS)).await.unwrap();
                (owner_key, reset.epoch)
            })
        })
        .collect();
    let mut opened = vec![];
    for reset in resets {
        opened.push(reset.await.unwrap());
    }
    opened.sort_unstable();
    let expected: Vec<_> =
        (1..=4).map(|epoch| ("team|crew", epoch)).chain((1..=8).map(|epoch| ("user|ada", epoch))).collect();
    assert_eq!(opened, expected);
    let trail = bench.audit_log().await;
    assert_eq!((trail.len(), first_broken(None, &trail)), (12, None));
}

pub(crate) async fn the_audit_log_takes_no_changes(bench: &impl Bench) {
    bench.ledger().reset(&request(&Domain::user("ada"), "user|ada", NOW_MS)).await.unwrap();
    let before = bench.audit_log().await;
    for change in [
        "UPDATE audit_log SET reason = 'none'",
        "DELETE FROM audit_log",
        "DELETE FROM audit_log WHERE seq = 1",
    ] {
        let refused = bench.execute(change).await.unwrap_err();
        assert!(refused.contains("audit_log is insert-only"), "{change}: {refused}");
    }
    assert_eq!(bench.audit_log().await, before);
    assert_eq!(before.len(), 1);
}

/// Newest first, page after page, and only what was asked for.
pub(crate) async fn the_audit_log_is_read_in_pages(bench: &impl Bench) {
    let ada = Domain::user("ada");
    for at in 0..5_i64 {
        let actor = if at % 2 == 0 { "root" } else { "cli" };
        let audit = Audit { actor, action: if at < 3 { "usage.reset" } else { "user.grant" }, ..AUDIT };
        let request = ResetRequest { audit, ..request(&ada, "user|ada", NOW_MS + at) };
        bench.ledger().reset(&request).await.unwrap();
    }
    let page = async |filter: AuditFilter| {
        let records = bench.ledger().audit(&filter).await.unwrap();
        records.iter().map(|record| record.seq).collect::<Vec<_>>()
    };
    let all = AuditFilter { max: 2, ..AuditFilter::default() };
    assert_eq!(page(all.clone()).await, [5, 4]);
    assert_eq!(page(AuditFilter { before_seq: Some(4), ..all.clone() }).await, [3, 2]);
    assert_eq!(page(AuditFilter { before_seq: Some(2), ..all.clone() }).await, [1]);
    assert_eq!(page(AuditFilter { before_seq: Some(1), ..all }).await, [0_i64; 0]);
    let by = |actor: Option<&str>, action: Option<&str>, since_ms| AuditFilter {
        before_seq: None,
        since_ms,
        actor: actor.map(str::to_owned),
        action: action.map(str::to_owned),
        subject: None,
        max: 9,
    };
    assert_eq!(page(by(Some("root"), None, None)).await, [5, 3, 1]);
    assert_eq!(page(by(Some("root"), Some("usage.reset"), None)).await, [3, 1]);
    assert_eq!(page(by(None, Some("user.grant"), Some(NOW_MS + 4))).await, [5]);
    assert_eq!(page(by(None, None, Some(NOW_MS + 5))).await, [0_i64; 0]);
    let audit = Audit { actor: "ro\0ot", ..AUDIT };
    bench.ledger().reset(&ResetRequest { audit, ..request(&ada, "user|ada", NOW_MS) }).await.unwrap();
    assert_eq!(page(by(Some("ro\0ot"), None, None)).await, [6], "what was written is found");
}

/// All that was done to one subject, page by page, however much stands between.
pub(crate) async fn the_audit_log_of_one_subject_is_whole(bench: &impl Bench) {
    let ada = Domain::user("ada");
    // longer than an index row of PostgreSQL, and with a sign that its text cannot hold
    let long = "x".repeat(5_000);
    let subjects = ["ada", "ben", "ada", "ad", &long, "ada", "a\0b", "adam", "ada"];
    for (at, subject) in subjects.iter().enumerate() {
        let audit = Audit { subject, actor: if at == 2 { "cli" } else { "root" }, ..AUDIT };
        bench.ledger().reset(&ResetRequest { audit, ..request(&ada, "user|ada", NOW_MS) }).await.unwrap();
    }
    let page = async |subject: &str, before_seq, actor: Option<&str>| {
        let (subject, actor) = (Some(subject.to_owned()), actor.map(str::to_owned));
        let filter = AuditFilter { before_seq, actor, subject, max: 2, ..AuditFilter::default() };
        let records = bench.ledger().audit(&filter).await.unwrap();
        records.iter().map(|record| record.seq).collect::<Vec<_>>()
    };
    assert_eq!(page("ada", None, None).await, [9, 6]);
    assert_eq!(page("ada", Some(6), None).await, [3, 1]);
    assert_eq!(page("ada", Some(1), None).await, [0_i64; 0]);
    assert_eq!(page("ada", None, Some("cli")).await, [3]);
    assert_eq!(page(&long, None, None).await, [5]);
    assert_eq!(page("a\0b", None, None).await, [7]);
    assert_eq!(page("nobody", None, None).await, [0_i64; 0]);
}
