//! Refusals for analytics: counted by day and reason, written as totals.

use super::*;
use crate::store::Day;

async fn by_day(bench: &Bench) -> Vec<(String, u64)> {
    let (from, to) = (Day::parse("2026-11-24").unwrap(), Day::parse("2026-11-30").unwrap());
    let found = bench.ledger.analytics(&from, &to).await.unwrap();
    found.days.into_iter().map(|day| (day.day, day.refused)).collect()
}

#[tokio::test]
async fn refusals_are_written_as_totals_of_their_day() {
    let bench = Bench::new(OnOutage::Deny).await;
    bench.gate.refusals.add("refused_quota");
    bench.gate.refusals.add("refused_rate");
    bench.gate.refusals.write().await.unwrap();
    assert_eq!(by_day(&bench).await, [("2026-11-24".to_owned(), 2)]);
    bench.gate.refusals.add("refused_quota");
    bench.clock.advance(Duration::from_secs(12 * 3600));
    bench.gate.refusals.add("refused_quota");
    bench.gate.refusals.write().await.unwrap();
    bench.gate.refusals.write().await.unwrap();
    assert_eq!(by_day(&bench).await, [("2026-11-24".to_owned(), 3), ("2026-11-25".to_owned(), 1)]);
}

/// Days that were dropped from memory stay in the ledger as they were.
#[tokio::test]
async fn days_that_are_over_are_forgotten_here_and_not_there() {
    let bench = Bench::new(OnOutage::Deny).await;
    for _ in 0..6 {
        bench.gate.refusals.add("refused_auth");
        bench.gate.refusals.write().await.unwrap();
        bench.clock.advance(Duration::from_secs(24 * 3600));
    }
    let days = by_day(&bench).await;
    assert_eq!(days.len(), 6);
    assert!(days.iter().all(|(_, refused)| *refused == 1), "{days:?}");
}

/// The day of a row is that of its admission, as its month is.
#[tokio::test]
async fn a_row_keeps_the_day_of_its_admission() {
    let bench = Bench::new(OnOutage::Deny).await;
    let who = user(&bench, "ada", None, None);
    let permit = bench.gate.admit(&who, asked("gpt-4o-mini")).await.unwrap();
    bench.clock.advance(Duration::from_secs(13 * 3600));
    assert_eq!(permit.entry_for_tests().day, "2026-11-24");
    permit.finish(crate::gate::Ending::bare(crate::store::Outcome::ClientGone));
    bench.conserved(&who, "messages", 0).await;
}
