//! Which months stand ahead.

use super::*;

#[test]
fn this_month_and_the_next_three() {
    let cases = [
        (0, ["1970-01", "1970-02", "1970-03", "1970-04"]),
        (1_794_744_000_000, ["2026-11", "2026-12", "2027-01", "2027-02"]),
        (1_798_761_599_999, ["2026-12", "2027-01", "2027-02", "2027-03"]),
        (1_798_761_600_000, ["2027-01", "2027-02", "2027-03", "2027-04"]),
    ];
    for (now_ms, months) in cases {
        assert_eq!(ahead(now_ms), months);
        assert!(months.iter().all(|month| is_month(month)));
    }
}
