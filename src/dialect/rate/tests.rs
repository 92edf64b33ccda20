//! Rate-limit headers of each dialect from the same figures.

use super::{RateItem, RateUnit, go_duration, rate_headers};
use crate::dialect::{Dialect, is_upstream_private};

fn item(name: &str, unit: RateUnit, max: u64, remaining: u64, reset_s: u64) -> RateItem {
    RateItem {
        name: name.into(),
        unit,
        max,
        remaining,
        window_s: (unit != RateUnit::Concurrent).then_some(reset_s * 2),
        reset_s,
        reset_at: format!("at+{reset_s}"),
    }
}

fn items() -> Vec<RateItem> {
    vec![
        item("messages", RateUnit::Requests, 100, 40, 86_400),
        item("premium", RateUnit::Requests, 20, 8, 86_400),
        item("burst", RateUnit::Requests, 30, 8, 60),
        item("tokens", RateUnit::Tokens, 1_000, 0, 3_600),
        item("parallel", RateUnit::Concurrent, 4, 3, 0),
    ]
}

fn shown(dialect: Dialect, items: &[RateItem]) -> String {
    let lines: Vec<String> =
        rate_headers(dialect, items).into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
    lines.join("\n")
}

#[test]
fn every_limit_has_an_item_and_the_tightest_speaks_in_vendor_headers() {
    insta::assert_snapshot!(shown(Dialect::OpenAi, &items()), @r#"
    ratelimit-policy: "messages";q=100;w=172800, "premium";q=20;w=172800, "burst";q=30;w=120, "tokens";q=1000;tg-unit="tokens";w=7200, "parallel";q=4;qu="concurrent-requests"
    ratelimit: "messages";r=40;t=86400, "premium";r=8;t=86400, "burst";r=8;t=60, "tokens";r=0;t=3600, "parallel";r=3
    x-ratelimit-limit-requests: 20
    x-ratelimit-remaining-requests: 8
    x-ratelimit-reset-requests: 24h0m0s
    x-ratelimit-limit-tokens: 1000
    x-ratelimit-remaining-tokens: 0
    x-ratelimit-reset-tokens: 1h0m0s
    "#);
    insta::assert_snapshot!(shown(Dialect::Anthropic, &items()), @r#"
    ratelimit-policy: "messages";q=100;w=172800, "premium";q=20;w=172800, "burst";q=30;w=120, "tokens";q=1000;tg-unit="tokens";w=7200, "parallel";q=4;qu="concurrent-requests"
    ratelimit: "messages";r=40;t=86400, "premium";r=8;t=86400, "burst";r=8;t=60, "tokens";r=0;t=3600, "parallel";r=3
    anthropic-ratelimit-requests-limit: 20
    anthropic-ratelimit-requests-remaining: 8
    anthropic-ratelimit-requests-reset: at+86400
    anthropic-ratelimit-tokens-limit: 1000
    anthropic-ratelimit-tokens-remaining: 0
    anthropic-ratelimit-tokens-reset: at+3600
    "#);
    insta::assert_snapshot!(shown(Dialect::Gemini, &items()[..1]), @r#"
    ratelimit-policy: "messages";q=100;w=172800
    ratelimit: "messages";r=40;t=86400
    "#);
    assert_eq!(rate_headers(Dialect::OpenAi, &[]), []);
    let open = [item("parallel", RateUnit::Concurrent, 4, 3, 0)];
    assert_eq!(rate_headers(Dialect::OpenAi, &open).len(), 2);
}

#[test]
fn names_and_numbers_stay_inside_a_structured_field() {
    let odd = item("a\"b\\c\nd é", RateUnit::Requests, u64::MAX, u64::MAX, u64::MAX / 2);
    insta::assert_snapshot!(shown(Dialect::Gemini, &[odd]), @r#"
    ratelimit-policy: "a\"b\\c%0Ad %C3%A9";q=999999999999999;w=999999999999999
    ratelimit: "a\"b\\c%0Ad %C3%A9";r=999999999999999;t=999999999999999
    "#);
}

#[test]
fn durations_are_written_as_go_does() {
    for (seconds, text) in [
        (0, "0s"),
        (1, "1s"),
        (59, "59s"),
        (60, "1m0s"),
        (360, "6m0s"),
        (3_600, "1h0m0s"),
        (2_592_061, "720h1m1s"),
    ] {
        assert_eq!(go_duration(seconds), text);
    }
}

#[test]
fn upstream_rate_headers_are_known() {
    for name in [
        "RateLimit",
        "RateLimit-Policy",
        "ratelimit-remaining",
        "X-RateLimit-Limit-Requests",
        "x-rate-limit-reset",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-unified-status",
    ] {
        assert!(is_upstream_private(name), "{name}");
    }
    for name in ["retry-after", "anthropic-version", "date"] {
        assert!(!is_upstream_private(name), "{name}");
    }
}
