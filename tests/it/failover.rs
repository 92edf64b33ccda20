//! Several upstreams of one model: which is asked, what makes a request go on to the next, and what that costs. The stub
//! is the last resort; before it stand upstreams that fail each in their way.

use std::net::TcpListener;

use http::StatusCode;
use toml_edit::{DocumentMut, Table, value};

use super::harness::{Dialect, Port, Rig, Served, Setup, Tape, eventually, json_reply};

const MODEL: &str = "gemini-2.0-flash";

/// An upstream for all dialects, with more keys of its own.
pub fn upstream(name: &str, address: impl std::fmt::Display, keys: &str) -> Table {
    let text = format!(
        "name = \"{name}\"\nbase_url = \"http://{address}\"\nmodels = [\"*\"]\n\
         serves = {{ openai = \"/v1\", anthropic = \"/v1\", gemini = \"/v1beta\" }}\n{keys}\n"
    );
    text.parse::<DocumentMut>().unwrap().as_table().clone()
}

/// How often a request went on from an upstream to another.
async fn failovers(rig: &Rig, reason: &str, upstream: &str) -> u64 {
    let labels = format!(r#"reason="{reason}",upstream="{upstream}""#);
    rig.gateway().metric_where("tollgate_upstream_failovers_total", &labels).await
}

/// A list of one model.
pub fn only(model: &str) -> toml_edit::Item {
    value([model].into_iter().collect::<toml_edit::Array>())
}

/// With these upstreams before the stub, which keeps its place in the file and comes last.
pub fn before_the_stub(tables: Vec<Table>) -> Setup {
    Setup::default().change(move |file| {
        let all = file["upstreams"].as_array_of_tables_mut().unwrap();
        all.get_mut(0).unwrap()["priority"] = value(100);
        for table in &tables {
            all.push(table.clone());
        }
    })
}

#[tokio::test]
async fn a_dead_upstream_is_passed_over_with_the_whole_body_and_one_hold() {
    let dead = Port::free();
    let rig = Rig::with(before_the_stub(vec![upstream("dead", dead.address(), "")])).await;
    let token = rig.token("alice");
    let mut ids = Vec::new();
    for dialect in Dialect::ALL {
        for stream in [false, true] {
            let call = rig.call(dialect, MODEL).token(&token).text("a long prompt ".repeat(100_000));
            let call = if stream { call.stream() } else { call };
            let call = call.header("x-stub-echo-hash", "1");
            ids.push(call.id.clone());
            let answer = call.send().await;
            assert_eq!(answer.status, StatusCode::OK, "{dialect:?}: {}", answer.text());
        }
    }
    assert_eq!(rig.usage(&token).await["totalMessages"], 6);
    // three failures in a row eject it for a second: the first three requests went there for sure
    assert!(failovers(&rig, "connect", "dead").await >= 3);
    let books = rig.finish().await;
    for id in ids {
        let row = books.row(&id);
        assert_eq!((row.upstream.as_str(), row.messages, row.outcome.as_str()), ("stub", 1, "ok"));
    }
}

#[tokio::test]
async fn each_failure_before_the_first_byte_goes_on_to_the_next() {
    let reply = |status| json_reply(status, r#"{"error":{"message":"no"}}"#);
    let replies = [
        ("busy", reply("429 Too Many Requests")),
        ("status", reply("500 Internal Server Error")),
        ("status", reply("503 Service Unavailable")),
        ("status", reply("529 Overloaded")),
        ("broken", String::new()),
        ("broken", "HTTP/1.1 banana\r\n\r\n".to_owned()),
    ];
    let mut tapes = Vec::new();
    for (reason, reply) in &replies {
        tapes.push((*reason, Tape::start(reply.clone()).await));
    }
    let tables = tapes.iter().enumerate().map(|(at, (_, tape))| {
        let mut table = upstream(&format!("tape-{at}"), tape.address, "");
        table["models"] = only(&format!("model-{at}"));
        table
    });
    let names: Vec<String> = (0..tapes.len()).map(|at| format!("model-{at}")).collect();
    let setup = before_the_stub(tables.collect()).change(move |file| {
        let stub = file["upstreams"].as_array_of_tables_mut().unwrap().get_mut(0).unwrap();
        stub["models"] = value(names.iter().collect::<toml_edit::Array>());
    });
    let rig = Rig::with(setup).await;
    let token = rig.token("alice");
    for (at, (reason, tape)) in tapes.iter().enumerate() {
        for (number, dialect) in Dialect::ALL.into_iter().enumerate() {
            let call = rig.call(dialect, &format!("model-{at}")).token(&token);
            let answer = if number == 1 { call.stream() } else { call }.send().await;
            assert_eq!(answer.status, StatusCode::OK, "{dialect:?} {reason}: {}", answer.text());
        }
        assert_eq!(tape.requests().len(), 3, "{reason}: each request came once");
        assert_eq!(failovers(&rig, reason, &format!("tape-{at}")).await, 3);
    }
    assert_eq!(rig.usage(&token).await["totalMessages"], 18);
    let books = rig.finish().await;
    assert!(books.rows.iter().all(|row| row.upstream == "stub" && row.messages == 1));
}

#[tokio::test]
async fn three_upstreams_are_asked_and_the_last_ones_answer_passes() {
    let mut tapes = Vec::new();
    for at in 0..4 {
        let body = format!(r#"{{"error":{{"message":"from {at}"}}}}"#);
        tapes.push(Tape::start(json_reply("503 Service Unavailable", &body)).await);
    }
    let table = |(at, tape): (usize, &Tape)| {
        upstream(&format!("tape-{at}"), tape.address, &format!("priority = {at}"))
    };
    let rig = Rig::with(before_the_stub(tapes.iter().enumerate().map(table).collect())).await;
    let token = rig.token("alice");
    let call = rig.chat(&token, MODEL);
    let id = call.id.clone();
    let answer = call.send().await;
    assert_eq!((answer.status, answer.message()), (StatusCode::SERVICE_UNAVAILABLE, "from 2".to_owned()));
    assert_eq!(tapes.iter().map(|tape| tape.requests().len()).collect::<Vec<_>>(), [1, 1, 1, 0]);
    assert_eq!(rig.usage(&token).await["totalMessages"], 0);
    let books = rig.finish().await;
    let row = books.row(&id);
    assert_eq!((row.upstream.as_str(), row.messages, row.status), ("tape-2", 0, 503));
}

#[tokio::test]
async fn a_client_error_of_an_upstream_is_final() {
    let tape = Tape::start(json_reply("400 Bad Request", r#"{"error":{"message":"your fault"}}"#)).await;
    let rig = Rig::with(before_the_stub(vec![upstream("tape", tape.address, "")])).await;
    let answer = rig.chat(&rig.token("alice"), MODEL).send().await;
    assert_eq!((answer.status, answer.message()), (StatusCode::BAD_REQUEST, "your fault".to_owned()));
    assert_eq!(rig.stub.requests().await, 0);
    rig.finish_where(Served::Elsewhere).await;
}

#[tokio::test]
async fn an_upstream_that_breaks_off_in_mid_answer_is_not_replaced() {
    let torn = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n4\r\ndata\r\n";
    let tape = Tape::start(torn).await;
    let rig = Rig::with(before_the_stub(vec![upstream("tape", tape.address, "")])).await;
    let token = rig.token("alice");
    let call = rig.chat(&token, MODEL).stream();
    let id = call.id.clone();
    assert!(call.try_send().await.is_err(), "a torn answer must not end cleanly");
    assert_eq!(rig.stub.requests().await, 0);
    let books = rig.finish_where(Served::Elsewhere).await;
    assert_eq!((books.row(&id).outcome.as_str(), books.row(&id).messages), ("truncated", 1));
}

#[tokio::test]
async fn a_full_upstream_sends_on_and_when_all_are_full_it_is_503_and_costs_nothing() {
    let rig = Rig::with(Setup::default().change(|file| {
        let all = file["upstreams"].as_array_of_tables_mut().unwrap();
        all.get_mut(0).unwrap()["max_concurrent"] = value(1);
        let mut second = all.get(0).unwrap().clone();
        second["name"] = value("second");
        second["priority"] = value(1);
        all.push(second);
    }))
    .await;
    let token = rig.token("alice");
    let slow = || rig.chat(&token, MODEL).stream().header("x-stub-piece-delay-ms", 600_000);
    let open = [slow().open().await, slow().open().await];
    let call = rig.chat(&token, MODEL);
    let id = call.id.clone();
    let refused = call.send().await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text());
    assert_eq!(refused.json()["error"]["code"], "overloaded");
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(rig.stub.requests().await, 2);
    drop(open);
    eventually("the places are not given back", async || {
        (rig.gateway().metric("tollgate_in_flight_requests").await == 0).then_some(())
    })
    .await;
    assert_eq!(rig.chat(&token, MODEL).send().await.status, StatusCode::OK);
    let books = rig.finish().await;
    assert!(books.of_request(&id).is_empty(), "a refusal leaves no row");
    let mut upstreams: Vec<_> = books.rows.iter().map(|row| row.upstream.as_str()).collect();
    upstreams.sort_unstable();
    assert_eq!(upstreams, ["second", "stub", "stub"]);
}

#[tokio::test]
async fn an_upstream_that_is_silent_before_its_first_byte_is_replaced() {
    // connections come into the listener's queue, and nobody ever answers
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let keys = "timeouts = { first_byte = \"1s\", idle = \"1h\" }";
    let silent_table = upstream("silent", silent.local_addr().unwrap(), keys);
    let rig = Rig::with(before_the_stub(vec![silent_table])).await;
    let token = rig.token("alice");
    for dialect in Dialect::ALL {
        assert_eq!(rig.call(dialect, MODEL).token(&token).stream().send().await.status, StatusCode::OK);
    }
    assert_eq!(failovers(&rig, "timeout", "silent").await, 3);
    assert_eq!(rig.finish().await.messages(), 3);
}

/// Silence before the answer and silence inside it have each their own limit, whichever is the longer.
#[tokio::test]
async fn first_byte_and_idle_are_two_limits() {
    let of = |first_byte: &'static str, idle: &'static str| {
        Setup::default().change(move |file| {
            let stub = file["upstreams"].as_array_of_tables_mut().unwrap().get_mut(0).unwrap();
            stub["timeouts"]["first_byte"] = value(first_byte);
            stub["timeouts"]["idle"] = value(idle);
        })
    };
    let rig = Rig::with(of("1s", "1h")).await;
    let slow = rig.chat(&rig.token("alice"), MODEL).stream();
    let slow = slow.header("x-stub-pieces", 2).header("x-stub-piece-delay-ms", 1_500);
    assert!(
        slow.send().await.text().ends_with("data: [DONE]\n\n"),
        "the limit of the first byte is over with it"
    );
    rig.finish().await;

    let rig = Rig::with(of("1h", "1s")).await;
    let token = rig.token("alice");
    let late = rig.chat(&token, MODEL).stream().header("x-stub-delay-ms", 1_500);
    assert_eq!(late.send().await.status, StatusCode::OK, "the limit inside an answer begins with it");
    let stuck = rig.chat(&token, MODEL).stream().header("x-stub-piece-delay-ms", 600_000);
    let id = stuck.id.clone();
    assert!(stuck.try_send().await.is_err(), "silence inside an answer ends it, and not cleanly");
    let books = rig.finish().await;
    assert_eq!((books.row(&id).outcome.as_str(), books.row(&id).messages), ("truncated", 1));
}

#[tokio::test]
async fn an_upstream_whose_check_fails_is_not_asked() {
    let tape = Tape::start(json_reply("503 Service Unavailable", "{}")).await;
    let keys = "health_check = { path = \"/health\", every = \"1h\" }";
    let rig = Rig::with(before_the_stub(vec![upstream("checked", tape.address, keys)])).await;
    eventually("no check was made", async || {
        rig.gateway().log().contains("a health check failed").then_some(())
    })
    .await;
    assert_eq!(rig.chat(&rig.token("alice"), MODEL).send().await.status, StatusCode::OK);
    let requests = tape.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].starts_with("GET /health "), "{requests:?}");
    rig.finish().await;
}
