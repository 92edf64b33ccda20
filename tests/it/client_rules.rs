//! What the client SDKs were seen to do, where it needs something of the gateway: refusals they do not sleep on, usage in
//! streams, encodings, and headers of theirs that must not decide anything.

use http::StatusCode;
use serde_json::json;
use tollgate::auth::TokenRequest;
use toml_edit::value;

use super::harness::{Answer, Call, Dialect, Rig, Served, Setup, Tape, Upstream, json_reply};

const MODEL: &str = "gemini-2.0-flash";
/// Of the plan `brisk`, a minute.
const BRISK: i64 = 2;

/// A plan of two messages a minute, and one of one message a month.
fn setup() -> Setup {
    Setup::default().plan("tiny", 1).plan("brisk", BRISK).change(|file| {
        let limits = file["plans"]["brisk"]["limits"].as_array_of_tables_mut().unwrap();
        limits.get_mut(0).unwrap()["per"] = value("minute");
    })
}

fn token(rig: &Rig, user: &str, plan: &str) -> String {
    let (user, plan) = (user.to_owned(), Some(plan.to_owned()));
    rig.token_of(TokenRequest { user, plan, ttl_s: 3_600, ..TokenRequest::default() })
}

/// Both ways of asking.
fn ways(call: impl Fn() -> Call) -> [Call; 2] {
    [call(), call().stream()]
}

/// A refusal that every SDK reads: JSON of a known length, even where a stream was asked for, and one line for a person.
fn check_shape(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    let message = answer.message();
    assert!(!message.contains('\n') && !message.is_empty(), "{message:?}");
}

#[tokio::test]
async fn a_spent_month_is_refused_for_good_also_to_who_asks_for_a_stream() {
    let rig = Rig::with(setup()).await;
    for dialect in Dialect::ALL {
        let token = token(&rig, &format!("{dialect:?}"), "tiny");
        let call = || rig.call(dialect, MODEL).token(&token);
        assert_eq!(call().send().await.status, StatusCode::OK);
        for call in ways(call) {
            let refused = call.send().await;
            check_shape(&refused);
            // without the first header SDKs would sleep for the time that the second says
            assert_eq!(refused.header("x-should-retry"), "false", "{dialect:?}");
            assert!(refused.header("retry-after").parse::<u64>().is_ok(), "{dialect:?}");
            assert_eq!(refused.header("retry-after-ms"), "", "{dialect:?}");
            let error = &refused.json()["error"];
            match dialect {
                Dialect::OpenAi => {
                    assert_eq!(
                        (&error["type"], &error["code"]),
                        (&"insufficient_quota".into(), &"insufficient_quota".into())
                    );
                }
                Dialect::Anthropic => assert_eq!(error["type"], "rate_limit_error"),
                Dialect::Gemini => {
                    assert_eq!(error["status"], "RESOURCE_EXHAUSTED");
                    assert_eq!(error["details"][0]["reason"], "QUOTA_EXHAUSTED");
                }
            }
        }
    }
    assert_eq!(rig.stub.requests().await, 3, "refused calls stay away from the upstream");
    rig.finish().await;
}

#[tokio::test]
async fn a_short_window_says_when_to_come_back_in_seconds_and_in_milliseconds() {
    let rig = Rig::with(setup()).await;
    for dialect in Dialect::ALL {
        let token = token(&rig, &format!("{dialect:?}"), "brisk");
        let call = || rig.call(dialect, MODEL).token(&token);
        for _ in 0..BRISK {
            assert_eq!(call().send().await.status, StatusCode::OK);
        }
        for call in ways(call) {
            let refused = call.send().await;
            check_shape(&refused);
            assert_eq!(refused.header("x-should-retry"), "", "{dialect:?}: it may come back by itself");
            let exact_ms: u64 = refused.header("retry-after-ms").parse().expect("whole milliseconds");
            let seconds: u64 = refused.header("retry-after").parse().expect("whole seconds");
            assert_eq!(seconds, exact_ms.div_ceil(1_000), "{dialect:?}");
            assert!((1..=30_000).contains(&exact_ms), "{dialect:?}: {exact_ms}");
            let error = &refused.json()["error"];
            match dialect {
                Dialect::OpenAi => {
                    assert_eq!(
                        (&error["type"], &error["code"]),
                        (&"rate_limit_exceeded".into(), &"rate_limit_exceeded".into())
                    );
                }
                Dialect::Anthropic => assert_eq!(error["type"], "rate_limit_error"),
                Dialect::Gemini => {
                    assert_eq!(error["status"], "RESOURCE_EXHAUSTED");
                    let wanted = format!("{}.{:03}s", exact_ms / 1_000, exact_ms % 1_000);
                    assert_eq!(error["details"][0]["retryDelay"], wanted);
                }
            }
        }
    }
    rig.finish().await;
}

#[tokio::test]
async fn the_usage_that_a_stream_was_not_asked_for_is_counted_and_not_shown() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let messages = json!([{ "role": "user", "content": "hello" }]);
    let mut ids = Vec::new();
    for (options, is_shown) in [(None, false), (Some(false), false), (Some(true), true)] {
        let mut body = json!({ "model": MODEL, "messages": messages, "stream": true });
        if let Some(include_usage) = options {
            body["stream_options"] = json!({ "include_usage": include_usage });
        }
        let call = rig.chat(&token, MODEL);
        ids.push(call.id.clone());
        let answer = call.send_bytes(body.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(answer.text().contains("\"prompt_tokens\""), is_shown, "{options:?}: {}", answer.text());
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    }
    let books = rig.finish().await;
    for id in ids {
        let row = books.row(&id);
        assert!(row.input_tokens > 0 && row.output_tokens > 0 && !row.estimated, "{row:?}");
    }
}

#[tokio::test]
async fn an_answer_comes_plain_whatever_encodings_the_client_takes() {
    let tape = Tape::start(json_reply("200 OK", "{}")).await;
    let rig = Rig::with(Setup { upstream: Upstream::Other(tape.address), ..Setup::default() }).await;
    let token = rig.token("alice");
    for dialect in Dialect::ALL {
        let call =
            rig.call(dialect, MODEL).token(&token).header("accept-encoding", "gzip, deflate, br, zstd");
        let answer = call.send().await;
        assert_eq!((answer.status, answer.header("content-encoding")), (StatusCode::OK, ""), "{dialect:?}");
    }
    for request in tape.requests() {
        let head = request.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
        let asked: Vec<&str> = head.lines().filter(|line| line.starts_with("accept-encoding:")).collect();
        assert_eq!(asked, ["accept-encoding: identity"], "usage could not be read otherwise");
    }
    rig.finish_where(Served::Elsewhere).await;
}

#[tokio::test]
async fn an_sdk_that_says_it_repeats_a_call_is_charged_all_the_same() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    for retry in 0..3 {
        let call = rig.chat(&token, MODEL).header("x-stainless-retry-count", retry);
        let call = call.header("idempotency-key", "the-same").header("x-stainless-read-timeout", 600);
        assert_eq!(call.send().await.status, StatusCode::OK);
    }
    assert_eq!(rig.usage(&token).await["totalMessages"], 3);
    assert_eq!(rig.finish().await.messages(), 3);
}

#[tokio::test]
async fn the_path_decides_the_dialect_and_a_token_is_good_in_any_place() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let hello = json!([{ "role": "user", "content": "hello" }]);
    let calls = [
        ("/v1/chat/completions", json!({ "model": MODEL, "messages": hello }), "choices"),
        ("/v1/messages", json!({ "model": MODEL, "messages": hello, "max_tokens": 9 }), "content"),
        // Google's newer SDKs ask under /v1
        (
            "/v1/models/gemini-2.0-flash:generateContent",
            json!({ "contents": [{ "parts": [{ "text": "hi" }] }] }),
            "candidates",
        ),
    ];
    let mut sent = 0;
    for (path, body, member) in calls {
        for (name, value) in [
            ("authorization", format!("Bearer {token}")),
            ("x-api-key", token.clone()),
            ("x-goog-api-key", token.clone()),
        ] {
            let request = rig.http.post(format!("{}{path}", rig.gateway().url)).header(name, value);
            // as openai and anthropic ask for it, even for a stream
            let request = request.header("accept", "application/json").json(&body);
            let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK, "{path} {name}: {}", answer.text());
            assert!(!answer.json()[member].is_null(), "{path} {name}: {}", answer.text());
            sent += 1;
        }
    }
    assert_eq!(rig.usage(&token).await["totalMessages"], sent);
    rig.finish().await;
}
