//! The three forms, their limits, and what is read.

use super::Timestamp;

#[test]
fn each_form_has_its_digits() {
    for (ms, shown, seconds, millis) in [
        (0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
        (1_795_478_400_120, "2026-11-24T00:00:00.12Z", "2026-11-24T00:00:00Z", "2026-11-24T00:00:00.120Z"),
        (1_795_478_410_999, "2026-11-24T00:00:10.999Z", "2026-11-24T00:00:10Z", "2026-11-24T00:00:10.999Z"),
        (-1, "1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999Z"),
        (i64::MIN, "0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z"),
        (i64::MAX, "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999Z"),
    ] {
        let at = Timestamp::from_millisecond(ms);
        assert_eq!((at.to_string().as_str(), at.to_seconds().as_str()), (shown, seconds));
        assert_eq!(at.to_millis(), millis);
        assert_eq!(shown.parse(), Ok(at));
    }
    assert_eq!(Timestamp::from_microsecond(1_000_010).to_string(), "1970-01-01T00:00:01.00001Z");
    assert_eq!(Timestamp::from_second(i64::MAX), Timestamp::from_microsecond(i64::MAX));
}

#[test]
fn a_time_is_read_in_any_offset_and_never_without_one() {
    let at = Ok(Timestamp::from_second(1_795_478_400));
    for text in ["2026-11-24T00:00:00Z", "2026-11-24T01:00:00+01:00", "2026-11-24t00:00:00.000z"] {
        assert_eq!(text.parse(), at, "{text}");
    }
    for text in ["", "2026-11-24", "2026-11-24T00:00:00", "yesterday", "2026-02-30T00:00:00Z"] {
        assert!(text.parse::<Timestamp>().is_err(), "{text}");
    }
}
