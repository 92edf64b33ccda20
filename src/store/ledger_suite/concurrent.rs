//! Several writers at once, and callers that stop waiting.

use std::time::Duration;

use super::Bench;
use super::ingest::used;
use super::material::{charge, entry};
use crate::quota::{Bucket, Charge, Scope};
use crate::store::entry::Entry;
use crate::store::ledger::{Ledger, LedgerTotals};

const WRITERS: usize = 4;
const BATCHES: usize = 10;
const ROWS: usize = 40;

/// Four gateways write batches that touch the same totals in different orders, and each row is sent by two of them.
pub(crate) async fn four_writers_of_the_same_rows_lose_nothing(bench: &impl Bench) {
    let batches: Vec<Vec<Entry>> =
        (0..BATCHES).map(|_| (0..ROWS).map(|at| member(&format!("m{}", at % 8))).collect()).collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let ledger = bench.ledger().clone();
            let mine: Vec<_> = batches
                .iter()
                .enumerate()
                .filter(|(at, _)| (at + writer).is_multiple_of(2))
                .map(|(_, batch)| turned(batch, writer))
                .collect();
            tokio::spawn(async move {
                for batch in mine {
                    ledger.ingest(&batch).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let rows = (BATCHES * ROWS) as u64;
    assert_eq!(bench.ledger().totals().await.unwrap(), LedgerTotals { rows, messages: rows });
    let loaded =
        bench.ledger().load(&crate::quota::Domain::team("crew"), super::material::NOW_MS).await.unwrap();
    let mut sums: Vec<_> = loaded.buckets.iter().map(|total| (&*total.bucket.owner, total.used)).collect();
    sums.sort_unstable();
    let each = rows / 8;
    assert_eq!(sums[0], ("crew", rows));
    assert_eq!(sums[1..], ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7"].map(|member| (member, each)));
}

/// A request of a team's member: the hot row of the team and the member's own.
fn member(user: &str) -> Entry {
    let pool =
        Bucket { scope: Scope::Team, owner: "crew".into(), limit: "pool".into(), period: "2026-11".into() };
    let charges = vec![charge(user, 1), Charge { bucket: pool, ..charge(user, 1) }];
    Entry { domain: "team:crew".to_owned(), team: Some("crew".to_owned()), charges, ..entry(user) }
}

fn turned(batch: &[Entry], writer: usize) -> Vec<Entry> {
    let mut batch = batch.to_vec();
    batch.rotate_left(writer * 7);
    if writer.is_multiple_of(2) {
        batch.reverse();
    }
    batch
}

/// The caller does not learn how its ingest ended: sending the batch again makes it right in every case.
pub(crate) async fn an_abandoned_ingest_can_be_sent_again(bench: &impl Bench) {
    let mut sent = 0;
    for wait_us in [0, 100, 300, 1_000, 3_000, 10_000] {
        let batch: Vec<Entry> = (0..50).map(|_| entry("ada")).collect();
        let wait = Duration::from_micros(wait_us);
        // Elapsed or not: both are the point.
        let _in_doubt = tokio::time::timeout(wait, bench.ledger().ingest(&batch)).await;
        let again = bench.ledger().ingest(&batch).await.unwrap();
        assert_eq!(again.inserted + again.duplicates, 50);
        sent += 50;
        assert_eq!(used(bench, "user:ada").await, sent);
    }
}
