//! Each call is told once, under its name, with how it ended; the answers are the store's own.

use std::sync::{Arc, Mutex};

use super::{Measured, Observe};
use crate::clock::Clock;
use crate::quota::Domain;
use crate::store::ledger_suite::entry;
use crate::store::memory::MemoryCounters;
use crate::store::sqlite::SqliteLedger;
use crate::store::{Counters, DomainTotals, Ledger, Reserve, Reserved, Settled};

type Told = Arc<Mutex<Vec<(&'static str, bool)>>>;

fn observer() -> (Observe, Told) {
    let told = Told::default();
    let into = Arc::clone(&told);
    (Arc::new(move |operation, _, failed| into.lock().unwrap().push((operation, failed))), told)
}

#[tokio::test]
async fn calls_of_counters_are_told_with_their_end() {
    let (observe, told) = observer();
    let clock = Clock::system();
    let counters: Arc<dyn Counters> = Arc::new(MemoryCounters::new(clock.clone()));
    let measured = Measured::new(counters, observe);
    let (domain, rid) = (Domain::team("acme"), clock.request_id());
    let mut reserve = Reserve { rid, domain: &domain, holds: &mut [], lease_ms: 1_000, message: None };
    assert_eq!(measured.reserve(&mut reserve).await.unwrap(), Reserved::Cold);
    assert!(measured.rebuild(&domain, &DomainTotals::default()).await.unwrap());
    assert!(matches!(measured.reserve(&mut reserve).await.unwrap(), Reserved::Admitted { .. }));
    assert_eq!(
        measured.settle_now(&domain, rid, &[]),
        Some(Settled::Done),
        "what is in this process need not wait"
    );
    assert_eq!(measured.settle(&domain, rid, &[]).await.unwrap(), Settled::Duplicate);
    let settles = [("settle", false), ("settle", false)];
    let expected = [&[("reserve", false), ("rebuild", false), ("reserve", false)], &settles[..]].concat();
    assert_eq!(*told.lock().unwrap(), expected);
}

#[tokio::test]
async fn calls_of_a_ledger_are_told_with_their_end() {
    let (observe, told) = observer();
    let clock = Clock::system();
    let file = std::env::temp_dir().join(format!("tollgate-measured-{}.sqlite", clock.request_id()));
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&file).unwrap());
    let measured = Measured::new(ledger, observe);
    assert!(measured.totals().await.is_err(), "there are no tables yet");
    measured.migrate().await.unwrap();
    assert_eq!(measured.ingest(&[entry("ada")]).await.unwrap().inserted, 1);
    assert_eq!(measured.totals().await.unwrap().rows, 1);
    let expected = [("totals", true), ("migrate", false), ("ingest", false), ("totals", false)];
    assert_eq!(*told.lock().unwrap(), expected);
    drop(measured);
    std::fs::remove_file(file).unwrap();
}
