//! How calls end and how long they take: the roll-ups equal SQL over `message_logs` to the unit, and what analytics answers
//! follows from the rows.

use std::collections::BTreeMap;

use super::Bench;
use super::material::{entry, uncharged};
use crate::store::analytics::Analytics;
use crate::store::calls::{BOUNDS_MS, Calls, NO_BOUND_MS, bound_ms};
use crate::store::day::Day;
use crate::store::entry::{Entry, Outcome};
use crate::store::ledger::Ledger;

/// The outcomes that count as errors, in SQL.
const ERRORS: &str = "outcome IN ('upstream_error', 'truncated', 'crashed')";

/// Every test ends here too: both tables are folds of all rows.
pub(crate) async fn assert_calls_rolled_up(bench: &impl Bench) {
    let rolled = "SELECT day, model, outcome, calls FROM usage_day_outcomes";
    let folded = "SELECT day, model_dispatched, outcome, count(*) FROM message_logs GROUP BY 1, 2, 3";
    assert_eq!(sorted(bench, rolled).await, sorted(bench, folded).await, "usage_day_outcomes");
    for (measure, column) in [("duration", "duration_ms"), ("first_byte", "first_byte_ms")] {
        let rolled =
            format!("SELECT day, below_ms, calls FROM usage_day_latencies WHERE measure = '{measure}'");
        let folded = format!(
            "SELECT day, {}, count(*) FROM message_logs WHERE outcome = 'ok' AND {column} IS NOT NULL GROUP BY 1, 2",
            bound_of(column)
        );
        assert_eq!(sorted(bench, &rolled).await, sorted(bench, &folded).await, "{column}");
    }
}

/// The bucket of a column, as both dialects of SQL understand it.
fn bound_of(column: &str) -> String {
    let cases = BOUNDS_MS.map(|bound| format!(" WHEN {column} < {bound} THEN {bound}"));
    format!("CASE{} ELSE {NO_BOUND_MS} END", cases.concat())
}

async fn sorted(bench: &impl Bench, sql: &str) -> Vec<Vec<String>> {
    let mut rows = bench.rows(sql).await;
    rows.sort();
    rows
}

/// What analytics answers for a range is SQL over its rows.
pub(crate) async fn assert_calls_answered(bench: &impl Bench, found: &Analytics, from: &Day, to: &Day) {
    let range = format!("FROM message_logs WHERE day BETWEEN '{from}' AND '{to}'");
    let sums = format!("count(*), sum(CASE WHEN {ERRORS} THEN 1 ELSE 0 END)");
    let days = bench.rows(&format!("SELECT day, {sums} {range} GROUP BY day ORDER BY day")).await;
    let with_calls = found.days.iter().filter(|day| day.calls.calls > 0);
    let answered = with_calls.clone().map(|day| texts(&day.day, day.calls.calls, day.calls.errors));
    assert_eq!(answered.collect::<Vec<_>>(), days);
    let models = bench
        .rows(&format!("SELECT model_dispatched, {sums} {range} GROUP BY 1 ORDER BY model_dispatched"))
        .await;
    let answered = found.calls_by_model.iter().map(|of| texts(&of.model, of.calls, of.errors));
    assert_eq!(answered.collect::<Vec<_>>(), models);
    let outcomes =
        bench.rows(&format!("SELECT outcome, count(*) {range} GROUP BY 1 ORDER BY 2 DESC, outcome")).await;
    let answered = found.by_outcome.iter().map(|(outcome, calls)| vec![outcome.clone(), calls.to_string()]);
    assert_eq!(answered.collect::<Vec<_>>(), outcomes);
    let timed = format!("SELECT day, duration_ms, first_byte_ms {range} AND outcome = 'ok'");
    let timed = bench.rows(&timed).await;
    let mut all = Calls::default();
    for day in with_calls {
        let of_day: Vec<_> = timed.iter().filter(|row| row[0] == day.day).collect();
        assert_percentiles(&day.calls, &of_day);
        all.add(&day.calls);
    }
    assert_percentiles(&all, &timed.iter().collect::<Vec<_>>());
}

fn texts(name: &str, calls: u64, errors: u64) -> Vec<String> {
    vec![name.to_owned(), calls.to_string(), errors.to_string()]
}

/// Each percentile lies in the bucket of the true one, by nearest rank. The rows: day, duration, first byte.
fn assert_percentiles(calls: &Calls, rows: &[&Vec<String>]) {
    for (histogram, column) in [(&calls.durations, 1), (&calls.first_bytes, 2)] {
        let known = rows.iter().map(|row| row[column].as_str()).filter(|ms| !ms.is_empty());
        let mut times: Vec<i64> = known.map(|ms| ms.parse().unwrap()).collect();
        times.sort_unstable();
        assert_eq!(histogram.calls(), times.len() as u64, "column {column}");
        for percent in [50, 95] {
            let rank = (times.len() * percent as usize).div_ceil(100);
            let bound = rank.checked_sub(1).map(|at| bound_ms(times[at]));
            let answered = histogram.percentile_ms(percent).map(|ms| bound_ms(ms.cast_signed()));
            assert_eq!(answered, bound, "p{percent} of column {column}: {times:?}");
        }
    }
}

/// All rows count, whoever pays; only whole answers are timed.
pub(crate) async fn calls_are_counted_by_outcome_and_timed(bench: &impl Bench) {
    let ended = |outcome, status| Entry { outcome, status, ..entry("ada") };
    let batch = [
        Entry { duration_ms: 900, first_byte_ms: Some(120), ..entry("ada") },
        // a background call costs no message and is a call all the same
        Entry { task: "title".to_owned(), duration_ms: 2_100, first_byte_ms: None, ..entry("ada") },
        Entry { user: None, duration_ms: 30_000, first_byte_ms: Some(450), ..entry("addr") },
        ended(Outcome::Cancelled, 200),
        ended(Outcome::ClientGone, 0),
        ended(Outcome::Truncated, 200),
        ended(Outcome::Crashed, 0),
        uncharged("ben"),
        Entry { model_dispatched: "broken".to_owned(), day: "2026-11-16".to_owned(), ..uncharged("ben") },
    ];
    bench.ledger().ingest(&batch).await.unwrap();
    bench.ledger().ingest(&batch[3..]).await.unwrap();
    let day = Day::parse("2026-11-15").unwrap();
    let found = bench.ledger().analytics(&day, &day.next()).await.unwrap();
    assert_calls_answered(bench, &found, &day, &day.next()).await;
    let calls = &found.days[0].calls;
    assert_eq!((calls.calls, calls.errors, found.days[0].sums.messages), (8, 3, 4));
    let percentiles =
        |percent| (calls.durations.percentile_ms(percent), calls.first_bytes.percentile_ms(percent));
    assert_eq!(percentiles(50), (Some(2_250), Some(112)), "the middles of 2000..2500 and 100..125");
    assert_eq!(percentiles(95), (Some(28_250), Some(450)));
    // a day on which every call failed is a day
    let failed = &found.days[1];
    assert_eq!((failed.day.as_str(), failed.sums.messages), ("2026-11-16", 0));
    assert_eq!((failed.calls.calls, failed.calls.errors), (1, 1));
    assert_eq!(failed.calls.durations.percentile_ms(50), None);
    let models: BTreeMap<_, _> =
        found.calls_by_model.iter().map(|of| (of.model.as_str(), (of.calls, of.errors))).collect();
    assert_eq!(models, BTreeMap::from([("broken", (1, 1)), ("gpt-4o-mini", (8, 3))]));
    assert_eq!(found.by_outcome[..2], [("ok".to_owned(), 3), ("upstream_error".to_owned(), 2)]);
    bench.ledger().ingest(&at_every_bound()).await.unwrap();
}

/// An answer for each side of each bound.
fn at_every_bound() -> Vec<Entry> {
    let both = |ms: i64| Entry {
        duration_ms: ms.unsigned_abs(),
        first_byte_ms: Some(ms.unsigned_abs()),
        ..entry("ada")
    };
    BOUNDS_MS.iter().flat_map(|bound| [both(bound - 1), both(*bound)]).collect()
}
