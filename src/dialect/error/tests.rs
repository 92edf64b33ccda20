//! Errors in each dialect's shape, headers included, as the contract's table has them.

use super::{Kind, LimitFacts, Problem, Rendered, Retry, render, stream_error_event};
use crate::dialect::{Dialect, Endpoint};

const KINDS: [Kind; 13] = [
    Kind::InvalidRequest,
    Kind::InvalidApiKey,
    Kind::ModelNotAllowed,
    Kind::ModelNotFound,
    Kind::UnknownPath,
    Kind::MethodNotAllowed { allow: "POST" },
    Kind::TooLarge,
    Kind::QuotaSpent,
    Kind::RateLimited,
    Kind::Internal,
    Kind::Upstream,
    Kind::UpstreamTimeout,
    Kind::Overloaded,
];

fn spent() -> Problem {
    let facts = LimitFacts {
        limit: "premium".into(),
        used: 18,
        max: 20,
        held: Some(2),
        resets_at: Some("2026-12-01T00:00:00Z".into()),
    };
    Problem::new(Kind::QuotaSpent, "Premium quota exhausted: 20 of 20 messages used this month.")
        .with_limit(facts)
        .with_retry(Retry::Never { after_s: Some(604_800) })
}

fn table(dialect: Dialect) -> String {
    let rows = KINDS.iter().map(|kind| {
        let answer = render(dialect, &Problem::new(*kind, "M"), "req-1");
        format!("{} {}", answer.status, answer.body)
    });
    rows.collect::<Vec<_>>().join("\n")
}

fn headers(answer: &Rendered) -> Vec<String> {
    answer
        .headers
        .iter()
        .filter(|(name, _)| !matches!(*name, "content-type" | "cache-control"))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect()
}

#[test]
fn every_kind_has_its_shape_in_openai() {
    insta::assert_snapshot!(table(Dialect::OpenAi), @r#"
    400 {"error":{"message":"M","type":"invalid_request_error","param":null,"code":"invalid_request"}}
    401 {"error":{"message":"M","type":"authentication_error","param":null,"code":"invalid_api_key"}}
    403 {"error":{"message":"M","type":"permission_error","param":null,"code":"model_not_allowed"}}
    404 {"error":{"message":"M","type":"invalid_request_error","param":null,"code":"model_not_found"}}
    404 {"error":{"message":"M","type":"invalid_request_error","param":null,"code":"model_not_found"}}
    405 {"error":{"message":"M","type":"invalid_request_error","param":null,"code":"method_not_allowed"}}
    413 {"error":{"message":"M","type":"invalid_request_error","param":null,"code":"request_too_large"}}
    429 {"error":{"message":"M","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}
    429 {"error":{"message":"M","type":"rate_limit_exceeded","param":null,"code":"rate_limit_exceeded"}}
    500 {"error":{"message":"M","type":"server_error","param":null,"code":"internal_error"}}
    502 {"error":{"message":"M","type":"server_error","param":null,"code":"upstream_error"}}
    504 {"error":{"message":"M","type":"server_error","param":null,"code":"upstream_timeout"}}
    503 {"error":{"message":"M","type":"server_error","param":null,"code":"overloaded"}}
    "#);
}

#[test]
fn every_kind_has_its_shape_in_anthropic() {
    insta::assert_snapshot!(table(Dialect::Anthropic), @r#"
    400 {"type":"error","error":{"type":"invalid_request_error","message":"M"},"request_id":"req-1"}
    401 {"type":"error","error":{"type":"authentication_error","message":"M"},"request_id":"req-1"}
    403 {"type":"error","error":{"type":"permission_error","message":"M"},"request_id":"req-1"}
    404 {"type":"error","error":{"type":"not_found_error","message":"M"},"request_id":"req-1"}
    404 {"type":"error","error":{"type":"not_found_error","message":"M"},"request_id":"req-1"}
    405 {"type":"error","error":{"type":"invalid_request_error","message":"M"},"request_id":"req-1"}
    413 {"type":"error","error":{"type":"request_too_large","message":"M"},"request_id":"req-1"}
    429 {"type":"error","error":{"type":"rate_limit_error","message":"M"},"request_id":"req-1"}
    429 {"type":"error","error":{"type":"rate_limit_error","message":"M"},"request_id":"req-1"}
    500 {"type":"error","error":{"type":"api_error","message":"M"},"request_id":"req-1"}
    502 {"type":"error","error":{"type":"api_error","message":"M"},"request_id":"req-1"}
    504 {"type":"error","error":{"type":"api_error","message":"M"},"request_id":"req-1"}
    503 {"type":"error","error":{"type":"overloaded_error","message":"M"},"request_id":"req-1"}
    "#);
}

#[test]
fn every_kind_has_its_shape_in_gemini() {
    insta::assert_snapshot!(table(Dialect::Gemini), @r#"
    400 {"error":{"code":400,"message":"M","status":"INVALID_ARGUMENT"}}
    401 {"error":{"code":401,"message":"M","status":"UNAUTHENTICATED"}}
    403 {"error":{"code":403,"message":"M","status":"PERMISSION_DENIED"}}
    404 {"error":{"code":404,"message":"M","status":"NOT_FOUND"}}
    404 {"error":{"code":404,"message":"M","status":"NOT_FOUND"}}
    405 {"error":{"code":405,"message":"M","status":"INVALID_ARGUMENT"}}
    413 {"error":{"code":413,"message":"M","status":"INVALID_ARGUMENT"}}
    429 {"error":{"code":429,"message":"M","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"QUOTA_EXHAUSTED","domain":"tollgate"}]}}
    429 {"error":{"code":429,"message":"M","status":"RESOURCE_EXHAUSTED"}}
    500 {"error":{"code":500,"message":"M","status":"INTERNAL"}}
    502 {"error":{"code":502,"message":"M","status":"UNAVAILABLE"}}
    504 {"error":{"code":504,"message":"M","status":"DEADLINE_EXCEEDED"}}
    503 {"error":{"code":503,"message":"M","status":"UNAVAILABLE"}}
    "#);
}

#[test]
fn a_spent_limit_shows_its_figures() {
    insta::assert_snapshot!(render(Dialect::OpenAi, &spent(), "r").body, @r#"{"error":{"message":"Premium quota exhausted: 20 of 20 messages used this month.","type":"insufficient_quota","param":null,"code":"insufficient_quota","limit":"premium","used":18,"max":20,"held":2,"resetsAt":"2026-12-01T00:00:00Z"}}"#);
    insta::assert_snapshot!(render(Dialect::Anthropic, &spent(), "r").body, @r#"{"type":"error","error":{"type":"rate_limit_error","message":"Premium quota exhausted: 20 of 20 messages used this month.","limit":"premium","used":18,"max":20,"held":2,"resetsAt":"2026-12-01T00:00:00Z"},"request_id":"r"}"#);
    insta::assert_snapshot!(render(Dialect::Gemini, &spent(), "r").body, @r#"{"error":{"code":429,"message":"Premium quota exhausted: 20 of 20 messages used this month.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"QUOTA_EXHAUSTED","domain":"tollgate"}],"limit":"premium","used":18,"max":20,"held":2,"resetsAt":"2026-12-01T00:00:00Z"}}"#);
    let short = Problem::new(Kind::RateLimited, "Slow down.").with_retry(Retry::After { ms: 1_050 });
    insta::assert_snapshot!(render(Dialect::Gemini, &short, "r").body, @r#"{"error":{"code":429,"message":"Slow down.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.050s"}]}}"#);
}

#[test]
fn headers_tell_each_sdk_what_to_do() {
    let of = |problem: Problem| headers(&render(Dialect::OpenAi, &problem, "r"));
    assert_eq!(of(spent()), ["x-should-retry: false", "retry-after: 604800"]);
    let short = |ms| Problem::new(Kind::RateLimited, "M").with_retry(Retry::After { ms });
    assert_eq!(of(short(700)), ["retry-after: 1", "retry-after-ms: 700"]);
    assert_eq!(of(short(0)), ["retry-after: 1", "retry-after-ms: 0"]);
    assert_eq!(of(short(60_000)), ["retry-after: 60", "retry-after-ms: 60000"]);
    assert_eq!(of(short(60_001)), ["x-should-retry: false", "retry-after: 61"]);
    assert_eq!(of(Problem::new(Kind::Overloaded, "M")), ["retry-after: 1"]);
    assert_eq!(
        of(Problem::new(Kind::InvalidApiKey, "M")),
        ["www-authenticate: Bearer realm=\"tollgate\"", "x-should-retry: false"]
    );
    assert_eq!(of(Problem::new(Kind::InvalidApiKey, "M").with_retry(Retry::None)).len(), 2);
    assert_eq!(of(Problem::new(Kind::MethodNotAllowed { allow: "GET, HEAD" }, "M")), ["allow: GET, HEAD"]);
    assert_eq!(of(Problem::new(Kind::InvalidRequest, "M")), [""; 0]);
    for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini] {
        let answer = render(dialect, &spent(), "r");
        assert!(answer.headers.contains(&("content-type", "application/json".into())));
        assert!(answer.headers.contains(&("cache-control", "no-store".into())));
    }
}

#[test]
fn a_callers_text_cannot_break_out() {
    let hostile = "a\r\nb\u{1b}[31m\"}\u{2028}c".to_owned() + &"x".repeat(5_000);
    for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini] {
        let answer = render(dialect, &Problem::new(Kind::InvalidRequest, hostile.clone()), "r");
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("a  b [31m\"} c"), "{message}");
        assert_eq!(message.chars().count(), 1_000);
    }
}

#[test]
fn streams_end_with_the_event_that_sdks_raise_on() {
    let broken = Problem::new(Kind::Upstream, "The upstream broke off.");
    let event = |dialect, endpoint| stream_error_event(dialect, endpoint, &broken).replace('\n', "|");
    insta::assert_snapshot!(event(Dialect::OpenAi, Endpoint::ChatCompletions), @r#"data: {"error":{"message":"The upstream broke off.","type":"server_error","param":null,"code":"upstream_error"}}||"#);
    insta::assert_snapshot!(event(Dialect::OpenAi, Endpoint::Responses), @r#"event: error|data: {"type":"error","code":"upstream_error","message":"The upstream broke off.","param":null}||"#);
    insta::assert_snapshot!(event(Dialect::Anthropic, Endpoint::Messages), @r#"event: error|data: {"type":"error","error":{"type":"api_error","message":"The upstream broke off."}}||"#);
    insta::assert_snapshot!(event(Dialect::Gemini, Endpoint::StreamGenerateContent), @r#"data: {"error":{"code":502,"message":"The upstream broke off.","status":"UNAVAILABLE"}}||"#);
}
