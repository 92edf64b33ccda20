//! What rows must be, whatever the entry.

use proptest::prelude::*;

use super::*;

#[test]
fn months_are_years_and_months() {
    for good in ["2026-11", "0001-01", "9999-12"] {
        assert_eq!(month(good), good);
    }
    for bad in [
        "",
        "2026-13",
        "2026-00",
        "2026-1",
        "2026_11",
        "2026-11 ",
        "２026-11",
        "2026-1é",
        "+026-11",
        "unknown",
    ] {
        assert_eq!(month(bad), UNKNOWN_MONTH, "{bad:?}");
    }
}

#[test]
fn numbers_stop_at_the_largest_column_value() {
    assert_eq!(number(0), 0);
    assert_eq!(number(i64::MAX.unsigned_abs()), i64::MAX);
    assert_eq!(number(u64::MAX), i64::MAX);
    assert!(count(-1).unwrap_err().contains("negative"));
    assert!(epoch(i64::from(u32::MAX) + 1).is_err());
}

#[test]
fn an_id_of_the_longest_kind_stands_as_it_is() {
    let longest = Domain::team(&"\u{10FFFF}".repeat(64));
    assert!(longest.as_str().len() > 768);
    assert_eq!(domain(&longest), longest.as_str());
}

#[test]
fn long_texts_with_one_beginning_stay_apart() {
    let long = "a".repeat(5_000);
    let (one, other) = (format!("{long}1"), format!("{long}2"));
    assert_ne!(key(&one), key(&other));
    assert_eq!(key(&one), key(&one.clone()));
}

proptest! {
    #[test]
    fn texts_are_bounded_and_free_of_nul(text in "(\\PC|\0|x{0,400}){0,60}") {
        let safe = safe(&text, NAME_BYTES_MAX);
        prop_assert!(safe.len() <= NAME_BYTES_MAX);
        prop_assert!(!safe.contains('\0'));
        if text.len() <= NAME_BYTES_MAX && !text.contains('\0') {
            prop_assert_eq!(safe.as_ref(), text.as_str());
        }
    }
}
