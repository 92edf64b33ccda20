//! The upstream's side: what it may see, what of it a client may see, and what its failures cost.

use std::time::Duration;

use http::StatusCode;
use toml_edit::value;

use super::harness::{Dialect, Rig, STUB_KEY, Served, Setup, Tape, Upstream, Weather, json_reply};

const MODEL: &str = "gemini-2.0-flash";

#[tokio::test]
async fn an_upstream_that_is_down_is_502_and_its_hold_is_released() {
    let rig = Rig::with(Setup { upstream: Upstream::StubBehindChaos, ..Setup::default() }).await;
    let token = rig.token("alice");
    assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::OK);
    rig.proxy().set(Weather::Broken).await;
    let mut ids = Vec::new();
    for dialect in Dialect::ALL {
        for stream in [false, true] {
            let call = rig.call(dialect, MODEL).token(&token);
            let call = if stream { call.stream() } else { call };
            ids.push(call.id.clone());
            let refused = call.send().await;
            assert_eq!(refused.status, StatusCode::BAD_GATEWAY, "{dialect:?}");
            assert!(refused.message().contains("Nothing was charged"), "{}", refused.message());
            let usage = rig.usage(&token).await;
            assert_eq!((&usage["limits"][0]["used"], &usage["limits"][0]["held"]), (&1.into(), &0.into()));
        }
    }
    rig.proxy().set(Weather::Clear).await;
    assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::OK);
    assert_eq!(rig.gateway().metric_where("tollgate_requests_total", "upstream_error").await, 6);
    let books = rig.finish().await;
    for id in ids {
        let row = books.row(&id);
        assert_eq!((row.outcome.as_str(), row.messages), ("upstream_error", 0), "{row:?}");
    }
    assert_eq!(books.messages(), 2);
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_504_and_costs_nothing() {
    let quick = |file: &mut toml_edit::DocumentMut| {
        let upstream = file["upstreams"].as_array_of_tables_mut().unwrap().get_mut(0).unwrap();
        upstream["timeouts"]["first_byte"] = value("1s");
        upstream["timeouts"]["idle"] = value("1s");
    };
    let rig = Rig::with(Setup::default().change(quick)).await;
    let token = rig.token("alice");
    for dialect in Dialect::ALL {
        let call = rig.call(dialect, MODEL).token(&token).header("x-stub-delay-ms", 600_000);
        let refused = call.send().await;
        assert_eq!(refused.status, StatusCode::GATEWAY_TIMEOUT, "{dialect:?}");
    }
    assert_eq!(rig.usage(&token).await["totalMessages"], 0);
    rig.finish().await;
}

#[tokio::test]
async fn an_upstreams_own_errors_pass_with_their_status_and_cost_nothing() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    for dialect in Dialect::ALL {
        for status in [400_u16, 404, 429, 500, 503, 529] {
            let call = rig.call(dialect, MODEL).token(&token).stream().header("x-stub-status", status);
            let answer = call.send().await;
            assert_eq!(answer.status.as_u16(), status, "{dialect:?}");
            assert_eq!(answer.message(), format!("the stub was asked to answer {status}"), "{dialect:?}");
        }
    }
    assert_eq!(rig.usage(&token).await["totalMessages"], 0);
    assert_eq!(rig.finish().await.messages(), 0);
}

#[tokio::test]
async fn the_upstreams_key_is_never_in_an_answer() {
    for status in ["401 Unauthorized", "403 Forbidden", "400 Bad Request", "500 Internal Server Error"] {
        let body = format!(r#"{{"error":{{"message":"Incorrect API key provided: {STUB_KEY}."}}}}"#);
        let tape = Tape::start(json_reply(status, &body)).await;
        let rig = Rig::with(Setup { upstream: Upstream::Other(tape.address), ..Setup::default() }).await;
        let token = rig.token("alice");
        for dialect in Dialect::ALL {
            let answer = rig.call(dialect, MODEL).token(&token).send().await;
            assert_eq!(answer.status.as_str(), &status[..3], "{dialect:?}");
            assert!(!answer.text().contains(STUB_KEY), "{dialect:?}: {}", answer.text());
            let in_headers = answer.headers.values().any(|v| v.to_str().unwrap().contains(STUB_KEY));
            assert!(!in_headers, "{dialect:?}: {:?}", answer.headers);
        }
        assert_eq!(tape.requests().len(), 3);
        assert!(!rig.gateway().log().contains(STUB_KEY), "the key is in the log");
        assert_eq!(rig.finish_where(Served::Elsewhere).await.messages(), 0);
    }
}

#[tokio::test]
async fn the_callers_credentials_never_reach_the_upstream() {
    let tape = Tape::start(json_reply("200 OK", "{}")).await;
    let rig = Rig::with(Setup { upstream: Upstream::Other(tape.address), ..Setup::default() }).await;
    let token = rig.token("alice");
    for dialect in Dialect::ALL {
        let call = rig.call(dialect, MODEL).token(&token);
        let call = call.header("cookie", "session=of-the-caller").header("x-tollgate-user", "of-the-caller");
        // named in `Connection`, a header would be dropped by the next hop
        let call = call.header("connection", "authorization, x-api-key, x-goog-api-key, x-passes");
        let call = call.header("x-passes", "not-on").header("anthropic-beta", "passes-on");
        assert_eq!(call.send().await.status, StatusCode::OK, "{dialect:?}");
    }
    // Gemini's clients may put the key into the query
    let url = format!("{}/v1beta/models/{MODEL}:generateContent?key={token}&alt=json", rig.gateway().url);
    let answer = rig.http.post(url).json(&serde_json::json!({ "contents": [] })).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let requests = tape.requests();
    assert_eq!(requests.len(), 4);
    for request in &requests {
        assert!(request.contains(STUB_KEY), "the gateway's own key is missing: {request}");
        for secret in [token.as_str(), "of-the-caller", "not-on"] {
            assert!(!request.contains(secret), "`{secret}` reached the upstream: {request}");
        }
    }
    assert!(requests[..3].iter().all(|request| request.contains("anthropic-beta: passes-on")));
    assert!(requests[3].contains("alt=json"), "the rest of the query passes: {}", requests[3]);
    assert_eq!(rig.finish_where(Served::Elsewhere).await.messages(), 4);
}

#[tokio::test]
async fn an_upstream_that_talks_nonsense_is_502_and_costs_nothing() {
    for reply in ["nonsense\r\n\r\n", "HTTP/1.1 banana\r\n\r\n", ""] {
        let tape = Tape::start(reply).await;
        let rig = Rig::with(Setup { upstream: Upstream::Other(tape.address), ..Setup::default() }).await;
        let token = rig.token("alice");
        let refused = rig.chat(&token, MODEL).send().await;
        assert_eq!(refused.status, StatusCode::BAD_GATEWAY, "after {reply:?}");
        assert_eq!(rig.usage(&token).await["totalMessages"], 0, "after {reply:?}");
        assert_eq!(rig.finish_where(Served::Elsewhere).await.messages(), 0);
    }
}

#[tokio::test]
async fn a_slow_upstream_holds_the_unit_until_it_answers() {
    let rig = Rig::with(Setup { upstream: Upstream::StubBehindChaos, ..Setup::default() }).await;
    let token = rig.token("alice");
    rig.proxy().set(Weather::Delayed(Duration::from_millis(300))).await;
    let asking = tokio::spawn(rig.chat(&token, MODEL).send());
    super::harness::eventually("no hold is shown", async || {
        (rig.usage(&token).await["limits"][0]["held"] == 1).then_some(())
    })
    .await;
    assert_eq!(asking.await.unwrap().status, StatusCode::OK);
    let limit = &rig.usage(&token).await["limits"][0];
    assert_eq!((&limit["used"], &limit["held"]), (&1.into(), &0.into()));
    rig.finish().await;
}
