//! Batches: what is new goes in, what stands adds nothing.

use super::Bench;
use super::material::{NOW_MS, charge, entry, uncharged};
use crate::quota::{Charge, Domain};
use crate::store::entry::Entry;
use crate::store::ledger::{Ingested, Ledger, LedgerTotals};

/// The only total of a domain, 0 if there is none.
pub(super) async fn used(bench: &impl Bench, domain: &str) -> u64 {
    let buckets = bench.ledger().load(&Domain::from_text(domain), NOW_MS).await.unwrap().buckets;
    assert!(buckets.len() <= 1, "more than one total: {buckets:?}");
    buckets.first().map_or(0, |total| total.used)
}

fn counts(ingested: Ingested) -> (u64, u64) {
    (ingested.inserted, ingested.duplicates)
}

pub(crate) async fn an_empty_batch_is_nothing(bench: &impl Bench) {
    assert_eq!(counts(bench.ledger().ingest(&[]).await.unwrap()), (0, 0));
    assert_eq!(bench.ledger().totals().await.unwrap(), LedgerTotals::default());
}

pub(crate) async fn a_repeated_batch_adds_nothing(bench: &impl Bench) {
    let batch: Vec<Entry> = (0..7).map(|_| entry("ada")).collect();
    let first = bench.ledger().ingest(&batch).await.unwrap();
    assert_eq!(counts(first), (7, 0));
    for _ in 0..3 {
        let again = bench.ledger().ingest(&batch).await.unwrap();
        assert_eq!(counts(again), (0, 7));
        assert_eq!(again.incarnation, first.incarnation);
    }
    assert_eq!(used(bench, "user:ada").await, 7);
    assert_eq!(bench.ledger().totals().await.unwrap(), LedgerTotals { rows: 7, messages: 7 });
}

pub(crate) async fn an_overlapping_shuffled_batch_adds_only_what_is_new(bench: &impl Bench) {
    let all: Vec<Entry> = (0..10).map(|_| entry("ada")).collect();
    bench.ledger().ingest(&all[..6]).await.unwrap();
    let mut rest = all[3..].to_vec();
    rest.reverse();
    rest.swap(0, 4);
    assert_eq!(counts(bench.ledger().ingest(&rest).await.unwrap()), (4, 3));
    assert_eq!(used(bench, "user:ada").await, 10);
}

pub(crate) async fn an_id_twice_in_one_batch_counts_once(bench: &impl Bench) {
    let (ada, ben) = (entry("ada"), entry("ben"));
    let batch = [ada.clone(), ben, ada];
    assert_eq!(counts(bench.ledger().ingest(&batch).await.unwrap()), (2, 1));
    assert_eq!((used(bench, "user:ada").await, used(bench, "user:ben").await), (1, 1));
}

/// The month is fixed at reserve and part of the key; nothing else of a row decides whether it stands already.
pub(crate) async fn an_id_is_unique_in_its_month_only(bench: &impl Bench) {
    let first = entry("ada");
    let changed = Entry { charges: vec![charge("ada", 50)], duration_ms: 1, ..first.clone() };
    let next_month = Entry { month: "2026-12".to_owned(), ..first.clone() };
    bench.ledger().ingest(&[first]).await.unwrap();
    assert_eq!(counts(bench.ledger().ingest(&[changed, next_month]).await.unwrap()), (1, 1));
    assert_eq!(used(bench, "user:ada").await, 2);
}

pub(crate) async fn a_charge_of_nothing_makes_no_total(bench: &impl Bench) {
    let batch = [uncharged("ada"), Entry { charges: vec![], ..uncharged("ada") }, entry("ben")];
    assert_eq!(counts(bench.ledger().ingest(&batch).await.unwrap()), (3, 0));
    let ada = bench.ledger().load(&Domain::user("ada"), NOW_MS).await.unwrap();
    assert_eq!(ada.buckets, []);
    assert_eq!(ada.recent.len(), 2, "a released request leaves a tombstone too");
    assert_eq!(bench.ledger().totals().await.unwrap(), LedgerTotals { rows: 3, messages: 1 });
}

pub(crate) async fn a_batch_of_two_thousand_rows_goes_in(bench: &impl Bench) {
    let batch: Vec<Entry> = (0..2_000).map(|at| entry(&format!("user-{}", at % 40))).collect();
    assert_eq!(counts(bench.ledger().ingest(&batch).await.unwrap()), (2_000, 0));
    for user in 0..40 {
        assert_eq!(used(bench, &format!("user:user-{user}")).await, 50);
    }
    assert_eq!(counts(bench.ledger().ingest(&batch[1_000..]).await.unwrap()), (0, 1_000));
}

pub(crate) async fn a_month_turn_and_a_far_month_need_no_preparation(bench: &impl Bench) {
    let months = ["2026-11", "2026-12", "2027-01", "2031-07", "1999-02"];
    let batch: Vec<Entry> = months
        .iter()
        .map(|&month| {
            let mut bucket = charge("ada", 1).bucket;
            bucket.period = month.into();
            let charges = vec![Charge { bucket, ..charge("ada", 1) }];
            Entry { month: month.to_owned(), charges, ..entry("ada") }
        })
        .collect();
    assert_eq!(counts(bench.ledger().ingest(&batch).await.unwrap()), (5, 0));
    assert_eq!(counts(bench.ledger().ingest(&batch).await.unwrap()), (0, 5));
    let history = bench.ledger().history("ada", 9).await.unwrap();
    let found: Vec<_> = history.iter().map(|usage| (usage.month.as_str(), usage.messages)).collect();
    assert_eq!(found, [("2031-07", 1), ("2027-01", 1), ("2026-12", 1), ("2026-11", 1), ("1999-02", 1)]);
}
