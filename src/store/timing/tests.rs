//! Each call is told once, under its name, with how it ended; the answers are the store's own.

use std::sync::{Arc, Mutex};

use super::Timing;
use crate::clock::Clock;
use crate::quota::Domain;
use crate::store::ledger_suite::entry;
use crate::store::memory::MemoryCounters;
use crate::store::sqlite::SqliteLedger;
use crate::store::{Counters, DomainTotals, Ledger, Outbox, Reserve, Reserved, Settled};

type Told = Arc<Mutex<Vec<(&'static str, bool)>>>;

fn listener() -> (Timing, Told) {
    let told = Told::default();
    let into = Arc::clone(&told);
    (Timing::new(move |operation, _, failed| into.lock().unwrap().push((operation, failed))), told)
}

#[tokio::test]
async fn calls_of_counters_are_told_with_their_end() {
    let (timing, told) = listener();
    let clock = Clock::system();
    let counters = MemoryCounters::new(clock.clone()).timed(timing);
    let (domain, rid) = (Domain::team("acme"), clock.request_id());
    let mut reserve = Reserve { rid, domain: &domain, holds: &mut [], lease_ms: 1_000, message: None };
    assert_eq!(counters.reserve(&mut reserve).await.unwrap(), Reserved::Cold);
    assert!(counters.rebuild(&domain, &DomainTotals::default()).await.unwrap());
    assert!(matches!(counters.reserve(&mut reserve).await.unwrap(), Reserved::Admitted { .. }));
    assert_eq!(
        counters.settle_now(&domain, rid, &[]),
        Some(Settled::Done),
        "what is in this process need not wait"
    );
    assert_eq!(counters.settle(&domain, rid, &[]).await.unwrap(), Settled::Duplicate);
    let settles = [("settle", false), ("settle", false)];
    let expected = [&[("reserve", false), ("rebuild", false), ("reserve", false)], &settles[..]].concat();
    assert_eq!(*told.lock().unwrap(), expected);
}

#[tokio::test]
async fn calls_of_a_ledger_and_its_outbox_are_told_with_their_end() {
    let (timing, told) = listener();
    let clock = Clock::system();
    let file = std::env::temp_dir().join(format!("tollgate-timing-{}.sqlite", clock.request_id()));
    let ledger = SqliteLedger::open(&file).unwrap().timed(timing);
    assert!(ledger.totals().await.is_err(), "there are no tables yet");
    ledger.migrate().await.unwrap();
    assert_eq!(ledger.ingest(&[entry("ada")]).await.unwrap().inserted, 1);
    assert_eq!(ledger.totals().await.unwrap().rows, 1);
    ledger.outbox_counts().await.unwrap();
    let expected = [
        ("totals", true),
        ("migrate", false),
        ("ingest", false),
        ("totals", false),
        ("outbox_counts", false),
    ];
    assert_eq!(*told.lock().unwrap(), expected);
    drop(ledger);
    std::fs::remove_file(file).unwrap();
}
