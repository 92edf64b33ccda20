//! `on_disconnect`: what becomes of an answer whose client leaves in the middle. The message is charged once either way;
//! with `drain` the tokens are the upstream's own figures, within bounds of bytes and time.

use http::StatusCode;
use reqwest::Response;
use toml_edit::{Item, value};

use super::harness::{Dialect, Puppet, Rig, Served, Setup, Upstream, eventually, h2c_client, within};

const MODEL: &str = "gemini-2.0-flash";
/// Longer than any test lives: the next piece never comes.
const NEVER_MS: u32 = 600_000;
const DRAINS: &str = "{ max_bytes = \"1MiB\", max_time = \"1h\" }";

/// The stub, drained within `bounds`.
fn drained(bounds: &'static str) -> Setup {
    Setup::default().change(move |file| {
        let stub = file["upstreams"].as_array_of_tables_mut().unwrap().get_mut(0).unwrap();
        stub["on_disconnect"] = value("drain");
        stub["drain"] = Item::Value(bounds.parse().unwrap());
    })
}

/// Reads one piece and leaves.
async fn leave_in_the_middle(mut response: Response) {
    assert_eq!(response.status(), StatusCode::OK);
    within("the first piece", response.chunk()).await.unwrap().expect("the answer is empty");
    drop(response);
}

#[tokio::test]
async fn a_drained_stream_is_read_to_its_end_and_charged_once_with_the_upstreams_own_tokens() {
    let rig = Rig::with(drained(DRAINS)).await;
    let token = rig.token("alice");
    let h2c = h2c_client();
    let mut ids = Vec::new();
    for dialect in Dialect::ALL {
        for http in [&rig.http, &h2c] {
            let call = rig.call(dialect, MODEL).token(&token).stream().through(http);
            let call = call.header("x-stub-pieces", 40).header("x-stub-piece-delay-ms", 10);
            ids.push(call.id.clone());
            leave_in_the_middle(call.open().await).await;
        }
    }
    let books = rig.finish().await;
    assert_eq!(books.messages(), 6);
    for id in ids {
        let row = books.row(&id);
        assert_eq!((row.outcome.as_str(), row.status, row.messages), ("cancelled", 200, 1), "{row:?}");
        assert_eq!((row.output_tokens, row.estimated), (40, false), "{row:?}");
    }
}

#[tokio::test]
async fn without_drain_the_upstream_is_stopped_and_the_tokens_are_estimated() {
    let rig = Rig::start().await;
    let call = rig.chat(&rig.token("alice"), MODEL).stream();
    let call = call.header("x-stub-pieces", 40).header("x-stub-piece-delay-ms", NEVER_MS);
    let id = call.id.clone();
    leave_in_the_middle(call.open().await).await;
    eventually("the stub is not stopped", async || (rig.stub.stats().await["cancelled"] == 1).then_some(()))
        .await;
    let books = rig.finish().await;
    let row = books.row(&id);
    assert_eq!((row.outcome.as_str(), row.messages, row.estimated), ("cancelled", 1, true), "{row:?}");
}

#[tokio::test]
async fn bounds_of_bytes_and_time_end_a_drain_with_an_estimate() {
    for (bounds, delay_ms) in [
        // the next piece is one too many
        ("{ max_bytes = \"1B\", max_time = \"1h\" }", 20),
        // and here none comes
        ("{ max_bytes = \"1GiB\", max_time = \"1ms\" }", NEVER_MS),
    ] {
        let rig = Rig::with(drained(bounds)).await;
        let token = rig.token("alice");
        let mut ids = Vec::new();
        for http in [rig.http.clone(), h2c_client()] {
            let call = rig.chat(&token, MODEL).stream().through(&http);
            let call = call.header("x-stub-pieces", 100_000).header("x-stub-piece-delay-ms", delay_ms);
            ids.push(call.id.clone());
            leave_in_the_middle(call.open().await).await;
        }
        eventually("the stub is not stopped", async || {
            (rig.stub.stats().await["cancelled"] == 2).then_some(())
        })
        .await;
        let books = rig.finish().await;
        for id in ids {
            let row = books.row(&id);
            assert_eq!(
                (row.outcome.as_str(), row.messages, row.estimated),
                ("cancelled", 1, true),
                "{bounds}: {row:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_upstream_that_dies_while_it_is_drained_is_charged_once_with_an_estimate() {
    let rig = Rig::with(drained(DRAINS)).await;
    let call = rig.chat(&rig.token("alice"), MODEL).stream();
    let call =
        call.header("x-stub-cut-after", 20).header("x-stub-pieces", 40).header("x-stub-piece-delay-ms", 10);
    let id = call.id.clone();
    leave_in_the_middle(call.open().await).await;
    let books = rig.finish().await;
    let row = books.row(&id);
    assert_eq!((row.outcome.as_str(), row.messages, row.estimated), ("cancelled", 1, true), "{row:?}");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_what_nobody_reads() {
    let mut rig = Rig::with(drained(DRAINS)).await;
    let call = rig.chat(&rig.token("alice"), MODEL).stream();
    let call = call.header("x-stub-pieces", 40).header("x-stub-piece-delay-ms", NEVER_MS);
    let id = call.id.clone();
    leave_in_the_middle(call.open().await).await;
    // the hold of a drained answer stays until its end
    assert_eq!(rig.gateway().metric("tollgate_holds_open").await, 1);
    rig.gateway_mut().stop().await;
    assert!(!rig.gateway().log().contains("grace time ended"), "{}", rig.gateway().log());
    rig.gateway_mut().start_again().await;
    let books = rig.finish().await;
    let row = books.row(&id);
    assert_eq!((row.outcome.as_str(), row.messages, row.estimated), ("cancelled", 1, true), "{row:?}");
}

/// What an upstream says of its usage stands at the end of its JSON too.
#[tokio::test]
async fn a_drained_json_answer_is_read_to_its_end() {
    let puppet = Puppet::start().await;
    let rig = Rig::with(Setup { upstream: Upstream::Other(puppet.address), ..drained(DRAINS) }).await;
    let call = rig.chat(&rig.token("alice"), MODEL);
    let id = call.id.clone();
    // more than any buffer on the way holds back
    let words = "word ".repeat(20_000);
    puppet.say("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n");
    puppet.say(format!(r#"{{"choices":[{{"message":{{"content":"{words}"}}}}],"#));
    leave_in_the_middle(call.open().await).await;
    assert_eq!(rig.gateway().metric("tollgate_holds_open").await, 1, "the answer is not over");
    for _ in 0..20 {
        puppet.say(" ");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(rig.gateway().metric("tollgate_holds_open").await, 1, "and still read");
    puppet.say(r#""usage":{"prompt_tokens":7,"completion_tokens":12345,"total_tokens":12352}}"#);
    puppet.hang_up();
    let books = rig.finish_where(Served::Elsewhere).await;
    let row = books.row(&id);
    assert_eq!((row.outcome.as_str(), row.messages), ("cancelled", 1), "{row:?}");
    assert_eq!((row.input_tokens, row.output_tokens, row.estimated), (7, 12_345, false), "{row:?}");
}
