//! Days and how a range of them is cut.

use super::{Day, Pieces};

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

#[test]
fn only_days_of_the_calendar_are_days() {
    for text in ["2026-11-24", "2024-02-29", "0001-01-01", "9999-12-31"] {
        assert_eq!(day(text).as_str(), text);
    }
    for text in [
        "",
        "2026-02-29",
        "2026-13-01",
        "2026-11-24T",
        "20261124",
        "2026/11/24",
        "+026-11-24",
        "２０26-11-24",
    ] {
        assert_eq!(Day::parse(text), None, "{text}");
    }
}

#[test]
fn days_count_over_months_and_stop_at_the_calendars_ends() {
    assert_eq!(day("2026-03-02").earlier(6), day("2026-02-24"));
    assert_eq!(day("2026-12-31").next(), day("2027-01-01"));
    assert_eq!(day("9999-12-31").next(), day("9999-12-31"));
    assert_eq!(day("0001-01-01").earlier(400_000).as_str(), "0000-01-01");
}

/// Every day of the range lies in exactly one piece, and none outside it.
#[test]
fn the_pieces_are_the_range() {
    for (from, to, months) in [
        ("2026-11-24", "2026-11-24", 0),
        ("2026-11-01", "2026-11-29", 0),
        ("2026-11-01", "2026-11-30", 1),
        ("2026-10-31", "2026-12-01", 1),
        ("2026-11-02", "2026-12-30", 0),
        ("2025-10-21", "2026-11-24", 12),
        ("2025-12-15", "2026-01-15", 0),
    ] {
        let (from, to) = (day(from), day(to));
        let pieces = Pieces::of(&from, &to);
        let mut whole = std::collections::BTreeSet::new();
        let mut at = from.earlier(40);
        while at <= to.earlier(0).next().next_month() {
            let in_days =
                [&pieces.head, &pieces.tail].iter().filter(|(from, to)| at >= *from && at < *to).count();
            let in_months = at.month() >= pieces.months.0.as_str() && at.month() < pieces.months.1.as_str();
            if in_months {
                whole.insert(at.month().to_owned());
            }
            let expected = usize::from(at >= from && at <= to);
            assert_eq!(in_days + usize::from(in_months), expected, "{at} in {from}..={to}: {pieces:?}");
            at = at.next();
        }
        assert_eq!(whole.len(), months, "{from}..={to}");
    }
}
