//! Streams: pieces pass as they come, a client that leaves is charged once and stops the upstream, an upstream that
//! breaks off is told and never looks like a clean end.

use http::StatusCode;
use reqwest::Response;

use super::harness::{Answer, Dialect, Rig, Served, eventually, h2c_client, within};

const MODEL: &str = "gemini-2.0-flash";
/// Longer than any test lives: the next piece never comes.
const NEVER_MS: u32 = 600_000;

/// Reads until `text` has come; the answer stays open.
async fn read_until(response: &mut Response, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        let piece = within("a piece of the stream", response.chunk()).await.unwrap();
        seen.push_str(&String::from_utf8_lossy(&piece.expect("the stream ended")));
    }
    seen
}

#[tokio::test]
async fn the_first_piece_arrives_before_the_second_is_made_and_a_client_that_leaves_is_charged_once() {
    let rig = Rig::start().await;
    let h2c = h2c_client();
    let mut ids = Vec::new();
    for dialect in Dialect::ALL {
        for http in [&rig.http, &h2c] {
            let token = rig.token(&format!("{dialect:?}-{}", ids.len()));
            let call = rig.call(dialect, MODEL).token(&token).stream().through(http);
            let call = call.header("x-stub-piece-delay-ms", NEVER_MS);
            ids.push(call.id.clone());
            let mut response = call.open().await;
            assert_eq!(response.status(), StatusCode::OK);
            // the second piece is `am `: the stub waits before it
            let seen = read_until(&mut response, "\"I ").await;
            assert!(!seen.contains("\"am "), "{seen}");
            let cancelled = rig.stub.stats().await["cancelled"].as_u64().unwrap();
            drop(response);
            eventually("the stub does not see that the client left", async || {
                (rig.stub.stats().await["cancelled"] == cancelled + 1).then_some(())
            })
            .await;
            eventually("the message is not charged", async || {
                (rig.usage(&token).await["totalMessages"] == 1).then_some(())
            })
            .await;
        }
    }
    let books = rig.finish().await;
    for id in ids {
        let row = books.row(&id);
        assert_eq!((row.outcome.as_str(), row.status, row.messages), ("cancelled", 200, 1), "{row:?}");
        assert!(row.estimated && row.output_tokens > 0, "the tokens seen so far: {row:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_begins_is_not_charged() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let call = rig.chat(&token, MODEL).header("x-stub-delay-ms", NEVER_MS);
    let id = call.id.clone();
    let asking = tokio::spawn(call.try_open());
    eventually("the call does not reach the stub", async || {
        (rig.stub.stats().await["open"] == 1).then_some(())
    })
    .await;
    assert_eq!(rig.usage(&token).await["limits"][0]["held"], 1);
    asking.abort();
    eventually("the stub does not see that the client left", async || {
        (rig.stub.stats().await["cancelled"] == 1).then_some(())
    })
    .await;
    let books = rig.finish().await;
    let row = books.row(&id);
    assert_eq!((row.outcome.as_str(), row.messages), ("client_gone", 0), "{row:?}");
}

#[tokio::test]
async fn an_upstream_that_dies_in_mid_stream_is_told_and_the_stream_is_broken_off() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let mut ids = Vec::new();
    for dialect in Dialect::ALL {
        for http in [rig.http.clone(), h2c_client()] {
            let call = rig.call(dialect, MODEL).token(&token).stream().through(&http);
            let call = call.header("x-stub-cut-after", 2);
            ids.push(call.id.clone());
            let mut response = call.open().await;
            assert_eq!(response.status(), StatusCode::OK);
            let mut seen = String::new();
            let error = loop {
                match within("a piece of the stream", response.chunk()).await {
                    Ok(Some(piece)) => seen.push_str(&String::from_utf8_lossy(&piece)),
                    Ok(None) => panic!("{dialect:?}: a clean end after {seen}"),
                    Err(error) => break error,
                }
            };
            assert!(!error.is_timeout(), "{dialect:?}: {error}");
            let last = seen.trim_end().rsplit("\n\n").next().unwrap();
            assert!(last.contains("\"error\""), "{dialect:?}: the last event is {last}");
            assert!(last.contains("broke off"), "{dialect:?}: the last event is {last}");
            assert_eq!(last.starts_with("event: error"), dialect == Dialect::Anthropic, "{last}");
            assert!(!seen.contains("[DONE]"), "{seen}");
        }
    }
    let books = rig.finish().await;
    for id in ids {
        let row = books.row(&id);
        assert_eq!((row.outcome.as_str(), row.messages, row.estimated), ("truncated", 1, true), "{row:?}");
    }
}

#[tokio::test]
async fn an_upstream_that_dies_in_a_json_answer_is_no_whole_answer() {
    let rig = Rig::start().await;
    let token = rig.token("alice");
    let mut ids = Vec::new();
    for dialect in Dialect::ALL {
        let call = rig.call(dialect, MODEL).token(&token).header("x-stub-cut-after", 0);
        ids.push(call.id.clone());
        let response = call.open().await;
        let answer = Answer::read(response).await;
        assert!(answer.is_err(), "{dialect:?}: {answer:?}");
    }
    let books = rig.finish().await;
    for id in ids {
        let row = books.row(&id);
        assert_eq!((row.outcome.as_str(), row.messages), ("truncated", 1), "{row:?}");
    }
}

#[tokio::test]
async fn mixed_calls_with_clients_that_leave_agree_with_what_the_upstream_served() {
    let rig = Rig::start().await;
    let mut calls = Vec::new();
    for number in 0..60_usize {
        let token = rig.token(&format!("user-{}", number % 3));
        let call = rig.call(Dialect::ALL[number % 3], MODEL).token(&token);
        let call = if number % 2 == 0 { call.stream() } else { call };
        let call = call.header("x-stub-pieces", 20).header("x-stub-piece-delay-ms", 1);
        calls.push(tokio::spawn(async move {
            let mut response = call.open().await;
            if number % 5 == 0 {
                // leaves with the answer open
                response.chunk().await.unwrap();
            } else {
                while response.chunk().await.unwrap().is_some() {}
            }
        }));
    }
    for call in calls {
        call.await.unwrap();
    }
    let books = rig.finish_where(Served::Exactly).await;
    assert_eq!(books.rows.len(), 60);
    assert_eq!(books.messages(), 60);
}
