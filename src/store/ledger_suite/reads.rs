//! What is read back: loads, histories, pages.

use super::Bench;
use super::material::{NOVEMBER, NOW_MS, charge, entry, uncharged};
use crate::quota::{Bucket, Charge, Domain, Scope};
use crate::store::entry::{Entry, Outcome, Tokens};
use crate::store::ledger::{Ledger, LedgerTotals, Messages, MonthUsage, Seen};
use crate::store::totals::{BucketTotal, DomainTotals};

pub(crate) async fn a_load_shows_running_periods_of_one_domain(bench: &impl Bench) {
    let ended = Charge { period_end_ms: NOW_MS, ..charge("ada", 40) };
    let ended = Charge { bucket: Bucket { period: "2026-10".into(), ..ended.bucket.clone() }, ..ended };
    let running = Charge { period_end_ms: NOW_MS + 1, ..charge("ada", 5) };
    let running = Charge { bucket: Bucket { period: "hour".into(), ..running.bucket.clone() }, ..running };
    let second_epoch = Charge { epoch: 1, ..charge("ada", 3) };
    let charges = vec![charge("ada", 2), ended, running.clone(), second_epoch];
    let mine = Entry { domain: "team:crew".to_owned(), charges, ..entry("ada") };
    bench.ledger().ingest(&[mine, entry("ada"), entry("team:crew")]).await.unwrap();

    let total = |charge: &Charge, used| BucketTotal {
        bucket: charge.bucket.clone(),
        epoch: charge.epoch,
        period_start_ms: charge.period_start_ms,
        period_end_ms: charge.period_end_ms,
        used,
    };
    let mut loaded = bench.ledger().load(&Domain::team("crew"), NOW_MS).await.unwrap().buckets;
    loaded.sort();
    let second = Charge { epoch: 1, ..charge("ada", 0) };
    assert_eq!(loaded, [total(&charge("ada", 0), 2), total(&second, 3), total(&running, 5)]);
    let after = bench.ledger().load(&Domain::team("crew"), NOVEMBER.1).await.unwrap();
    assert_eq!(after.buckets, []);
    assert_eq!(bench.ledger().load(&Domain::user("nobody"), NOW_MS).await.unwrap(), DomainTotals::default());
}

pub(crate) async fn a_load_names_the_ids_of_the_last_five_minutes(bench: &impl Bench) {
    let batch = [entry("ada"), uncharged("ada"), entry("ben")];
    bench.ledger().ingest(&batch).await.unwrap();
    let recent = async || {
        let mut recent = bench.ledger().load(&Domain::user("ada"), NOW_MS).await.unwrap().recent;
        recent.sort_unstable();
        recent
    };
    let mut expected = vec![batch[0].id, batch[1].id];
    expected.sort_unstable();
    assert_eq!(recent().await, expected);
    let age = |by_ms: u32| format!("UPDATE message_logs SET ingested_at_ms = ingested_at_ms - {by_ms}");
    bench.execute(&age(270_000)).await.unwrap();
    assert_eq!(recent().await, expected, "a repeat of a settle may still come");
    bench.execute(&age(30_000)).await.unwrap();
    assert_eq!(recent().await.len(), 0);
    assert_eq!(bench.ledger().ingest(&batch).await.unwrap().duplicates, 3);
    assert_eq!(recent().await.len(), 0, "a duplicate does not renew a tombstone");
}

pub(crate) async fn history_counts_messages_by_month(bench: &impl Bench) {
    let in_month = |month: &str, entry: Entry| Entry { month: month.to_owned(), ..entry };
    let premium = || Entry { premium: true, ..entry("ada") };
    let failed_premium = Entry { premium: true, ..uncharged("ada") };
    let crashed = |amount, status| Entry {
        outcome: Outcome::Crashed,
        status,
        charges: vec![charge("ada", amount)],
        ..entry("ada")
    };
    let batch = [
        in_month("2026-11", premium()),
        in_month("2026-11", Entry { domain: "team:crew".to_owned(), ..premium() }),
        in_month("2026-11", failed_premium),
        in_month("2026-11", crashed(1, 200)),
        in_month("2026-11", crashed(0, 0)),
        in_month(
            "2026-10",
            Entry { tokens: Tokens { estimated: true, ..entry("ada").tokens }, ..entry("ada") },
        ),
        in_month("2026-09", uncharged("ada")),
        in_month("2026-08", entry("ada")),
        in_month("2026-11", entry("ben")),
        in_month("2026-11", Entry { user: None, ..entry("ada") }),
    ];
    bench.ledger().ingest(&batch).await.unwrap();
    let usage = |month: &str, messages, premium_messages, answers: u64| MonthUsage {
        month: month.to_owned(),
        messages,
        premium_messages,
        input_tokens: 11 * answers,
        output_tokens: 22 * answers,
        cost_micro_usd: 33 * answers,
    };
    let expected = [usage("2026-11", 3, 2, 4), usage("2026-10", 1, 0, 1), usage("2026-09", 0, 0, 0)];
    assert_eq!(bench.ledger().history("ada", 3).await.unwrap(), expected);
    assert_eq!(bench.ledger().history("ada", 100).await.unwrap().len(), 4);
    assert_eq!(bench.ledger().history("ada", 0).await.unwrap(), []);
    assert_eq!(bench.ledger().history("nobody", 3).await.unwrap(), []);
}

pub(crate) async fn domains_of_a_user_come_newest_first(bench: &impl Bench) {
    let at =
        |domain: &str, admitted_at_ms| Entry { domain: domain.to_owned(), admitted_at_ms, ..entry("ada") };
    let batch = [
        at("team:old", NOW_MS - 3_000),
        at("user:ada", NOW_MS - 9_000),
        at("team:new", NOW_MS - 1_000),
        at("user:ada", NOW_MS - 2_000),
        Entry { domain: "team:other".to_owned(), ..entry("ben") },
    ];
    bench.ledger().ingest(&batch).await.unwrap();
    let of = async |user: &str, max| {
        let domains = bench.ledger().domains_of(user, max).await.unwrap();
        domains.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(of("ada", 9).await, ["team:new", "user:ada", "team:old"]);
    assert_eq!(of("ada", 2).await, ["team:new", "user:ada"]);
    assert_eq!(of("nobody", 2).await, [""; 0]);
}

pub(crate) async fn the_newest_row_tells_plan_and_team(bench: &impl Bench) {
    let seen = |plan: &str, team: Option<&str>, admitted_at_ms| Entry {
        plan: plan.to_owned(),
        team: team.map(ToOwned::to_owned),
        admitted_at_ms,
        ..entry("ada")
    };
    let batch = [
        seen("pro", Some("crew"), NOW_MS + 2),
        seen("free", None, NOW_MS + 1),
        Entry { plan: "basic".to_owned(), admitted_at_ms: NOW_MS + 9, ..entry("ben") },
    ];
    bench.ledger().ingest(&batch).await.unwrap();
    let pro = Seen { plan: "pro".to_owned(), team: Some("crew".to_owned()) };
    assert_eq!(bench.ledger().last_seen("ada").await.unwrap(), Some(pro));
    let next_month = Entry { month: "2026-12".to_owned(), ..seen("free", None, NOW_MS + 3) };
    bench.ledger().ingest(&[next_month]).await.unwrap();
    let free = Seen { plan: "free".to_owned(), team: None };
    assert_eq!(bench.ledger().last_seen("ada").await.unwrap(), Some(free));
    assert_eq!(bench.ledger().last_seen("nobody").await.unwrap(), None);
}

pub(crate) async fn domains_come_in_pages_by_bytes(bench: &impl Bench) {
    let mut names: Vec<String> = ["b", "B", "a%20b", "a", "_", "Zz", "10", "9", "a.b", "ä"]
        .iter()
        .map(|id| Domain::user(id).as_str().to_owned())
        .collect();
    let mut batch: Vec<Entry> =
        names.iter().map(|name| Entry { domain: name.clone(), ..entry("someone") }).collect();
    let two_limits =
        Charge { bucket: Bucket { scope: Scope::Team, ..charge("x", 1).bucket }, ..charge("x", 1) };
    batch.push(Entry { domain: names[0].clone(), charges: vec![two_limits], ..entry("someone") });
    let ended = Charge { period_end_ms: NOW_MS, ..charge("past", 1) };
    batch.push(Entry { charges: vec![ended], ..entry("past") });
    bench.ledger().ingest(&batch).await.unwrap();

    let mut found: Vec<String> = vec![];
    loop {
        let after = found.last().cloned().unwrap_or_default();
        let page = bench.ledger().domains(&after, 3, NOW_MS).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        found.extend(page.iter().map(ToString::to_string));
    }
    names.sort_unstable();
    assert_eq!(found, names);
}

pub(crate) async fn totals_count_rows_and_messages(bench: &impl Bench) {
    bench.ledger().ping().await.unwrap();
    let outcomes = [
        (Outcome::Ok, 1),
        (Outcome::Cancelled, 1),
        (Outcome::Truncated, 1),
        (Outcome::UpstreamError, 0),
        (Outcome::ClientGone, 0),
        (Outcome::Crashed, 0),
        (Outcome::Crashed, 1),
    ];
    let batch = outcomes.map(|(outcome, amount)| Entry {
        outcome,
        // no first byte had come: not a message
        status: if amount == 0 { 0 } else { 200 },
        charges: vec![charge("ada", amount)],
        ..entry("ada")
    });
    bench.ledger().ingest(&batch).await.unwrap();
    assert_eq!(bench.ledger().totals().await.unwrap(), LedgerTotals { rows: 7, messages: 4 });
}

/// Of charged messages alone, over all months and domains.
pub(crate) async fn messages_of_a_user_are_counted_since_a_time(bench: &impl Bench) {
    let at = |admitted_at_ms, premium| Entry { admitted_at_ms, premium, ..entry("ada") };
    let batch = [at(9, true), at(10, true), at(11, false), at(12, true), uncharged("ada"), entry("ben")];
    let elsewhere = Entry { domain: "team:crew".to_owned(), month: "2026-12".to_owned(), ..at(13, true) };
    bench.ledger().ingest(&[&batch[..], &[elsewhere]].concat()).await.unwrap();
    let count = async |since_ms, but: &[uuid::Uuid]| {
        let Messages { total, premium } = bench.ledger().messages_since("ada", since_ms, but).await.unwrap();
        (total, premium)
    };
    assert_eq!(count(10, &[]).await, (4, 3));
    assert_eq!(count(10, &[batch[1].id, batch[2].id, entry("ada").id]).await, (2, 2));
    assert_eq!(count(14, &[]).await, (0, 0));
}
