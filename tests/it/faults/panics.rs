//! A panic in one of Pingora's hooks: the request ends once, what it held is settled, and everything else goes on.

use http::StatusCode;

use super::user;
use crate::harness::{Call, ServerRig, Setup, eventually, fault, h2c_client, within};

/// Requests whose ids begin so panic, at the place that comes next in the id.
const PREFIX: &str = "panic-here";

/// Where they panic, and what is booked then: outcome, upstream's status, messages.
const PLACES: [(&str, (&str, u16, u64)); 3] = [
    ("upstream_request_filter", ("crashed", 0, 0)),
    ("response_body_filter", ("crashed", 200, 1)),
    // its END was written before
    ("logging", ("ok", 200, 1)),
];

/// Pieces of the streams that are open meanwhile.
const PIECES: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_hook_ends_its_request_once_and_disturbs_no_other() {
    let mut rig = ServerRig::with(Setup::default().plan("wide", 1_000_000), &[]).await;
    rig.gateways[0].restart_with("TOLLGATE_FAILPOINT_PANIC", PREFIX).await;
    let alice = user(&rig, "alice", "wide");
    let (http1, http2) = (rig.http.clone(), h2c_client());
    let open: Vec<_> = [&http1, &http2, &http2].map(|http| stream(&rig, &alice).through(http)).into();
    let ids: Vec<String> = open.iter().map(|call| call.id.clone()).collect();
    let open: Vec<_> = open.into_iter().map(|call| tokio::spawn(call.send())).collect();
    eventually("the streams do not open", async || {
        (rig.stub.stats().await["open"] == ids.len()).then_some(())
    })
    .await;
    let mut panicked = Vec::new();
    for (place, booked) in PLACES {
        // over HTTP/2 on the connection of the open streams
        for (name, http) in [("h1", &http1), ("h2", &http2)] {
            let mut call = rig.chat(&alice, "gpt-4o").through(http);
            call.id = format!("{PREFIX}.{place}.{name}");
            panicked.push((call.id.clone(), booked));
            let answer = within("the end of a call", call.try_send()).await;
            // before that the answer may have come whole
            assert!(answer.is_err() || place == "logging", "an answer after a panic in `{place}`");
        }
    }
    eventually("a request that panicked counts as in flight", async || {
        let gateway = &rig.gateways[0];
        let counts = (
            gateway.metric("tollgate_in_flight_requests").await,
            gateway.metric("tollgate_holds_open").await,
        );
        (counts == (ids.len() as u64, ids.len() as u64)).then_some(())
    })
    .await;
    let said = rig.gateways[0].log().matches("a test asked for this panic").count();
    assert_eq!(said, panicked.len(), "panics in the log");
    assert_eq!(rig.chat(&alice, "gpt-4o").send().await.status, StatusCode::OK, "it serves on");
    for stream in open {
        let answer = within("a stream", stream).await.unwrap();
        let last = format!("word{}", PIECES - 1);
        assert!(
            answer.text().contains(&last) && answer.text().ends_with("data: [DONE]\n\n"),
            "a stream is cut"
        );
    }
    let books = rig.finish().await;
    for (id, booked) in &panicked {
        let row = books.row(id);
        assert_eq!((row.outcome.as_str(), row.status, row.messages), *booked, "{id}");
    }
    for id in &ids {
        assert_eq!((books.row(id).outcome.as_str(), books.row(id).messages), ("ok", 1), "{id}");
    }
    fault(
        "F23",
        "a panic in a hook: its request is booked once, its hold settled; the process and all else in flight go on",
        format_args!(
            "{} panics over HTTP/1 and HTTP/2, {} open streams undisturbed",
            panicked.len(),
            ids.len()
        ),
    );
}

/// A stream that lasts longer than the panics take.
fn stream(rig: &ServerRig, token: &str) -> Call {
    let call = rig.chat(token, "gpt-4o").stream();
    call.header("x-stub-pieces", PIECES).header("x-stub-piece-delay-ms", 500)
}
