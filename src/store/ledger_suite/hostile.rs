//! Input that means harm: no entry may hold up its batch, none may be taken for another.

use super::Bench;
use super::material::{NOW_MS, charge, entry};
use crate::quota::{Charge, Domain};
use crate::store::entry::{Entry, Tokens};
use crate::store::ledger::Ledger;
use crate::store::row::AMOUNT_MAX;

pub(crate) async fn hostile_texts_go_in_and_are_found(bench: &impl Bench) {
    let long = "x".repeat(100_000);
    let texts = [
        "'; DROP TABLE message_logs; --",
        "\"double\" and \\backslash\\ and \\u0000",
        "nul\0in\0side",
        "\0",
        "",
        "{\"json\": [1, 2]}, {braces} | pipe",
        "line\r\nbreak\ttab\u{7f}\u{1b}[31m",
        "ünïcödé \u{202e}right-to-left \u{FFFD} \u{10FFFF}",
        "$1 :named ?2 %s %00",
        &long,
        &format!("{long}1"),
        &"\0".repeat(2_000),
        &"漢".repeat(1_000),
    ];
    let batch: Vec<Entry> = texts.iter().map(|text| everywhere(text)).collect();
    let ingested = bench.ledger().ingest(&batch).await.unwrap();
    assert_eq!((ingested.inserted, ingested.duplicates), (batch.len() as u64, 0));
    let again = bench.ledger().ingest(&batch).await.unwrap();
    assert_eq!((again.inserted, again.duplicates), (0, batch.len() as u64));
    for (text, entry) in texts.iter().zip(&batch) {
        let shown: String = text.chars().take(40).collect();
        let domain = Domain::from_text(text);
        let loaded = bench.ledger().load(&domain, NOW_MS).await.unwrap();
        assert_eq!(loaded.recent, [entry.id], "{shown:?}");
        assert_eq!(loaded.buckets.len(), 1, "{shown:?}");
        let history = bench.ledger().history(text, 9).await.unwrap();
        assert_eq!(history.iter().map(|month| month.messages).sum::<u64>(), 1, "{shown:?}");
        assert_eq!(bench.ledger().domains_of(text, 9).await.unwrap().len(), 1, "{shown:?}");
    }
    // a row with a task is no message: apart from the others
    let tasks: Vec<Entry> =
        texts.iter().map(|text| Entry { task: format!("{text}!"), ..entry("background") }).collect();
    assert_eq!(bench.ledger().ingest(&tasks).await.unwrap().inserted, tasks.len() as u64);
    let history = bench.ledger().history("background", 9).await.unwrap();
    assert_eq!(history.iter().map(|month| month.messages).sum::<u64>(), 0);
}

/// The text in every place where an entry has one.
fn everywhere(text: &str) -> Entry {
    let own = || text.to_owned();
    let mut bucket = charge(text, 1).bucket;
    (bucket.limit, bucket.period) = (text.into(), text.into());
    Entry {
        month: own(),
        day: own(),
        request_id: own(),
        domain: own(),
        user: Some(own()),
        team: Some(own()),
        plan: own(),
        dialect: own(),
        endpoint: own(),
        upstream: own(),
        model_requested: own(),
        model_dispatched: own(),
        groups: vec![own(), own()],
        charges: vec![Charge { bucket, ..charge(text, 1) }],
        price: own(),
        message_hash: own(),
        ..entry("someone")
    }
}

pub(crate) async fn numbers_at_the_limits_go_in(bench: &impl Bench) {
    let most = i64::MAX.unsigned_abs();
    let largest = || Entry {
        admitted_at_ms: i64::MAX,
        ended_at_ms: i64::MIN,
        status: u16::MAX,
        tokens: Tokens {
            input: u64::MAX,
            output: most,
            cached: u64::MAX,
            reasoning: u64::MAX,
            estimated: true,
        },
        charges: vec![
            charge("ada", u64::MAX),
            Charge {
                epoch: u32::MAX,
                period_start_ms: i64::MIN,
                period_end_ms: i64::MAX,
                ..charge("ada", most)
            },
        ],
        cost_micro_usd: u64::MAX,
        first_byte_ms: Some(u64::MAX),
        duration_ms: u64::MAX,
        ..entry("ada")
    };
    let same_batch = [largest(), largest()];
    bench.ledger().ingest(&same_batch).await.unwrap();
    bench.ledger().ingest(&[largest()]).await.unwrap();
    bench.ledger().ingest(&[entry("ada")]).await.unwrap();
    let mut loaded = bench.ledger().load(&Domain::user("ada"), NOW_MS).await.unwrap().buckets;
    loaded.sort();
    let found: Vec<_> = loaded
        .iter()
        .map(|total| (total.epoch, total.period_start_ms, total.period_end_ms, total.used))
        .collect();
    let november = super::material::NOVEMBER;
    assert_eq!(found, [(0, november.0, november.1, most), (u32::MAX, i64::MIN, i64::MAX, most)]);
    let history = &bench.ledger().history("ada", 1).await.unwrap()[0];
    // a status of 65535 is no 2xx: only the last row is a message
    let sum = |ordinary: u64| 3 * AMOUNT_MAX.unsigned_abs() + ordinary;
    assert_eq!((history.messages, history.input_tokens, history.output_tokens), (1, sum(11), sum(22)));
    assert_eq!(history.cost_micro_usd, sum(33));
    let far = bench.ledger().load(&Domain::user("ada"), i64::MAX).await.unwrap();
    assert_eq!(far.buckets, [], "a period ends before its end");
    assert_eq!(bench.ledger().load(&Domain::user("ada"), i64::MIN).await.unwrap().buckets.len(), 2);
}
