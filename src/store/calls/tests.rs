//! Buckets and percentiles.

use proptest::prelude::*;

use super::{BOUNDS_MS, Calls, CallsFound, ERRORS, Histogram, NO_BOUND_MS, bound_ms};
use crate::store::entry::Outcome;

fn histogram(times: &[i64]) -> Histogram {
    let mut histogram = Histogram::default();
    for ms in times {
        histogram.count(bound_ms(*ms), 1);
    }
    histogram
}

#[test]
fn the_bounds_rise_by_at_most_thirty_percent() {
    for pair in BOUNDS_MS.windows(2) {
        assert!(pair[0] < pair[1], "{pair:?}");
        assert!(pair[0] < 10 || pair[1] * 10 <= pair[0] * 13, "{pair:?}");
    }
}

#[test]
fn a_bound_begins_the_next_bucket() {
    for (ms, bound) in [
        (0, 1),
        (1, 2),
        (9, 10),
        (10, 13),
        (999, 1_000),
        (1_000, 1_250),
        (3_999_999, 4_000_000),
        (4_000_000, NO_BOUND_MS),
        (i64::MAX, NO_BOUND_MS),
    ] {
        assert_eq!(bound_ms(ms), bound, "{ms} ms");
    }
}

#[test]
fn percentiles_are_interpolated_in_their_bucket() {
    assert_eq!(Histogram::default().percentile_ms(50), None);
    assert_eq!(histogram(&[900]).percentile_ms(50), Some(900), "the middle of 800..1000");
    // four calls share 1000..1250: each stands in the middle of a quarter
    let four = histogram(&[1_001, 1_002, 1_003, 1_004]);
    assert_eq!(
        [25, 50, 75, 95, 100].map(|percent| four.percentile_ms(percent)),
        [1_031, 1_093, 1_156, 1_218, 1_218].map(Some)
    );
    let mut many = histogram(&[20; 95]);
    many.add(&histogram(&[70_000; 5]));
    assert_eq!(many.percentile_ms(95).map(|ms| bound_ms(ms.cast_signed())), Some(25));
    assert_eq!(many.percentile_ms(96).map(|ms| bound_ms(ms.cast_signed())), Some(80_000));
    assert_eq!(histogram(&[i64::MAX]).percentile_ms(50), Some(4_000_000), "a bucket without bound");
    assert_eq!((many.calls(), histogram(&[0]).percentile_ms(0)), (100, Some(0)));
}

proptest! {
    /// Whatever the times are, a percentile lies in the bucket of the true one.
    #[test]
    fn a_percentile_is_in_the_bucket_of_the_true_one(
        times in prop::collection::vec((0..63_u32, any::<u64>()), 1..60),
        percent in 1..=100_u32,
    ) {
        let mut times: Vec<i64> = times
            .into_iter()
            .map(|(bits, random)| (random & ((1_u64 << bits) - 1)).cast_signed())
            .collect();
        let found = histogram(&times).percentile_ms(percent).unwrap().cast_signed();
        times.sort_unstable();
        let rank = (times.len() * percent as usize).div_ceil(100).max(1);
        prop_assert_eq!(bound_ms(found), bound_ms(times[rank - 1]), "{} of {:?}", percent, times);
    }
}

#[test]
fn what_a_client_broke_off_is_no_error() {
    let all = [
        (Outcome::Ok, false),
        (Outcome::Cancelled, false),
        (Outcome::ClientGone, false),
        (Outcome::Truncated, true),
        (Outcome::UpstreamError, true),
        (Outcome::Crashed, true),
    ];
    for (outcome, is_error) in all {
        assert_eq!(ERRORS.contains(&outcome), is_error, "{outcome:?}");
    }
    let mut found = CallsFound::default();
    for (outcome, _) in all {
        found.of_day("2026-11-15".to_owned(), outcome.as_str(), 2);
        found.of_model("m".to_owned(), outcome.as_str().to_owned(), 2);
    }
    let of_day = Calls { calls: 12, errors: 6, ..Calls::default() };
    assert_eq!(found.days["2026-11-15"], of_day);
    assert_eq!((found.models()[0].calls, found.models()[0].errors, found.outcomes["ok"]), (12, 6, 2));
    assert!(found.took("2026-11-15".to_owned(), "weight", 1, 1).is_err());
}
