//! Windows, ids, patterns and sentences, by value.

use super::*;
use crate::clock::Timestamp;
use chrono_tz::Tz;
use proptest::prelude::*;

/// For tests of those who do not look at the limit.
impl From<Hold> for LimitHold {
    fn from(hold: Hold) -> Self {
        let limit = Limit {
            name: std::sync::Arc::clone(&hold.bucket.limit),
            meter: Meter::Messages,
            models: None,
            scope: hold.bucket.scope,
            max: hold.rule.max(),
            window: Window::Open,
            alert_permille: Vec::new(),
        };
        Self::new(std::sync::Arc::new(limit), hold)
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn zone(name: &str) -> Tz {
    name.parse().unwrap()
}

#[test]
fn periods_begin_where_the_zone_says() {
    let cases = [
        (
            Calendar::Month,
            "UTC",
            "2026-11-24T12:00:00Z",
            "2026-11",
            "2026-11-01T00:00:00Z",
            "2026-12-01T00:00:00Z",
        ),
        (
            Calendar::Month,
            "Europe/Berlin",
            "2026-10-31T23:30:00Z",
            "2026-11",
            "2026-10-31T23:00:00Z",
            "2026-11-30T23:00:00Z",
        ),
        (
            Calendar::Month,
            "UTC",
            "2026-12-31T23:59:59Z",
            "2026-12",
            "2026-12-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
        ),
        (
            Calendar::Day,
            "America/New_York",
            "2026-11-01T12:00:00Z",
            "2026-11-01",
            "2026-11-01T04:00:00Z",
            "2026-11-02T05:00:00Z",
        ),
        (
            Calendar::Week,
            "UTC",
            "2027-01-01T00:00:00Z",
            "2026-W53",
            "2026-12-28T00:00:00Z",
            "2027-01-04T00:00:00Z",
        ),
        (
            Calendar::Year,
            "Asia/Tokyo",
            "2026-12-31T15:00:00Z",
            "2027",
            "2026-12-31T15:00:00Z",
            "2027-12-31T15:00:00Z",
        ),
        (
            Calendar::Hour,
            "Asia/Kolkata",
            "2026-11-24T12:10:00Z",
            "2026-11-24T17+05:30",
            "2026-11-24T11:30:00Z",
            "2026-11-24T12:30:00Z",
        ),
    ];
    for (calendar, tz, now, id, start, end) in cases {
        let period = calendar.period_at(at(now), zone(tz));
        assert_eq!(
            (&*period.id, period.start, period.end),
            (id, at(start), at(end)),
            "{calendar:?} {tz} {now}"
        );
    }
}

#[test]
fn the_hour_that_comes_twice_is_two_periods() {
    let berlin = zone("Europe/Berlin");
    let first = Calendar::Hour.period_at(at("2026-10-25T00:30:00Z"), berlin);
    let second = Calendar::Hour.period_at(at("2026-10-25T01:30:00Z"), berlin);
    assert_ne!(first.id, second.id);
    assert_eq!(first.end, second.start);
}

proptest! {
    #[test]
    fn every_instant_lies_in_its_period_and_the_next_begins_at_its_end(
        second in 0_i64..4_000_000_000,
        calendar in prop::sample::select(vec![Calendar::Hour, Calendar::Day, Calendar::Week, Calendar::Month, Calendar::Year]),
        name in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    ) {
        let (now, zone) = (Timestamp::from_second(second), zone(name));
        let period = calendar.period_at(now, zone);
        prop_assert!(period.start <= now && now < period.end, "{period:?}");
        let days = [Calendar::Month, Calendar::Day].map(|calendar| calendar.period_at(now, zone).id.to_string());
        prop_assert_eq!(month_and_day(now, zone), days.into());
        let next = calendar.period_at(period.end, zone);
        prop_assert_eq!(next.start, period.end);
        prop_assert_ne!(next.id, period.id);
    }

    #[test]
    fn ids_come_back_and_cannot_forge_a_separator(id in "\\PC{0,40}|[{}|:%\\n ]{0,10}") {
        let encoded = encode_id(&id);
        prop_assert_eq!(decode_id(&encoded), id);
        let forged = ['{', '}', '|', ':', '\n', ' '].iter().any(|c| encoded.contains(*c));
        prop_assert!(!forged);
    }

    #[test]
    fn a_pattern_without_star_matches_itself_only(name in "[a-z0-9.-]{1,20}", other in "[a-z0-9.-]{1,20}") {
        let pattern = Pattern::new(&name);
        prop_assert!(pattern.matches(&name));
        prop_assert_eq!(pattern.matches(&other), name == other);
    }
}

#[test]
fn patterns() {
    for (pattern, name, expected) in [
        ("claude-*", "claude-3-opus", true),
        ("claude-*", "Claude-3-Opus", true),
        ("claude-*", "claude-", true),
        ("claude-*", "xclaude-3", false),
        ("*", "", true),
        ("gpt-*-mini", "gpt-4o-mini", true),
        ("gpt-*-mini", "gpt-mini", false),
        ("a*a", "a", false),
        ("*b*", "abc", true),
        ("gpt-%", "gpt-4", false),
        (".*", "gpt-4", false),
    ] {
        assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} {name}");
    }
}

/// A limit on the owner's bucket, with numbers.
fn held(name: &str, scope: Scope, max: u64, window: Window, standing: Standing) -> LimitHold {
    let (period_start_ms, period_end_ms) = (0, at("2026-12-01T00:00:00Z").as_millisecond());
    let rule = match window {
        Window::Calendar(_) => Rule::Quota { max, period_start_ms, period_end_ms },
        Window::Rate(rate) => Rule::Rate { max, window_us: rate.window_us() },
        Window::Open => Rule::Open { max },
    };
    let bucket = Bucket { scope, owner: "u".into(), limit: name.into(), period: "p".into() };
    let of_bucket = LimitHold::from(Hold { bucket, rule, amount: 1 });
    let limit = std::sync::Arc::new(Limit { window, ..(*of_bucket.limit).clone() });
    LimitHold { limit, standing, ..of_bucket }
}

#[test]
fn sentences_say_what_is_spent_until_when_and_what_works() {
    let month = Window::Calendar(Calendar::Month);
    let standing = |used, held, max| Standing { used, held, max, wait_ms: 1500 };
    let say = |full: LimitHold, instead| Refusal::new(full, at("2026-11-24T00:00:00Z"), instead).message;

    let gemini = Some("gemini-2.0-flash");
    assert_eq!(
        say(held("premium", Scope::User, 20, month, standing(20, 0, 20)), gemini),
        "Premium quota exhausted: 20 of 20 messages used this month. Resets 2026-12-01T00:00:00Z. gemini-2.0-flash is still available."
    );
    assert_eq!(
        say(held("messages", Scope::User, 100, month, standing(98, 2, 100)), None),
        "Message quota exhausted: 98 of 100 messages used this month, 2 in progress. Resets 2026-12-01T00:00:00Z."
    );
    // a member does not learn the team's figures
    assert_eq!(
        say(held("pool", Scope::Team, 5000, month, standing(5000, 0, 5000)), None),
        "Team pool quota exhausted this month. Resets 2026-12-01T00:00:00Z."
    );
    assert_eq!(
        say(held("burst", Scope::User, 30, Window::Rate(Rate::Minute), standing(30, 0, 30)), None),
        "Too many messages: the limit is 30 a minute. Try again in 2 s."
    );
    assert_eq!(
        say(held("parallel", Scope::User, 4, Window::Open, standing(0, 4, 4)), None),
        "Too many requests at once: 4 of 4 are open. Wait for one to finish."
    );
}

#[test]
fn a_refusal_knows_when_to_come_back() {
    let refuse = |window, wait_ms| {
        let standing = Standing { used: 1, held: 0, max: 1, wait_ms };
        Refusal::new(held("m", Scope::User, 1, window, standing), at("2026-11-30T23:59:59Z"), None)
    };
    let month = refuse(Window::Calendar(Calendar::Month), 0);
    assert_eq!((month.retry_after_ms, month.is_long()), (Some(1000), true));
    let rate = refuse(Window::Rate(Rate::Second), 700);
    assert_eq!((rate.retry_after_ms, rate.is_long()), (Some(700), false));
}
