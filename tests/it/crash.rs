//! Ends of a gateway: killed under load, asked to stop with streams open, started again on what it left.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::StatusCode;

use super::harness::{Dialect, Rig, Served, eventually, within};

const MODEL: &str = "gemini-2.0-flash";
/// Callers of one load, each with one call open at a time.
const CALLERS: usize = 24;
/// Users that the callers share.
const USERS: usize = 12;
/// Answers that are complete before the gateway is killed, and how often it is.
const ANSWERS: usize = 120;
const KILLS: usize = 5;

/// What clients know of their calls.
#[derive(Default)]
struct Seen {
    whole: Mutex<BTreeSet<String>>,
    count: AtomicUsize,
    over: AtomicBool,
}

/// Calls until the gateway is gone, then ends.
async fn keep_calling(rig: &Rig, caller: usize, token: String, seen: Arc<Seen>) {
    for number in 0.. {
        if seen.over.load(Ordering::Acquire) {
            return;
        }
        let call = rig.call(Dialect::ALL[number % 3], MODEL).token(&token);
        let call = call.header("x-stub-pieces", 5).header("x-stub-piece-delay-ms", 1);
        let call = if (number + caller).is_multiple_of(2) { call.stream() } else { call };
        let id = call.id.clone();
        match call.try_send().await {
            Ok(answer) if answer.status == StatusCode::OK => {
                seen.whole.lock().unwrap().insert(id);
                seen.count.fetch_add(1, Ordering::AcqRel);
            }
            Ok(refused) => {
                assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{}", refused.text());
                return;
            }
            // the gateway was killed
            Err(_) => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_under_load_every_completed_answer_stands_in_the_ledger_once_and_no_hold_is_left() {
    let mut rig = Rig::start().await;
    let mut whole = BTreeSet::new();
    for kill in 0..KILLS {
        // new users each time, so that the load never meets its limits
        let tokens: Vec<String> = (0..USERS).map(|user| rig.token(&format!("user-{kill}-{user}"))).collect();
        let seen = Arc::new(Seen::default());
        let load = futures_util::future::join_all(
            (0..CALLERS)
                .map(|caller| keep_calling(&rig, caller, tokens[caller % USERS].clone(), Arc::clone(&seen))),
        );
        let pid = rig.gateway().pid();
        let until_enough = async {
            eventually("the load makes no progress", async || {
                (seen.count.load(Ordering::Acquire) >= ANSWERS).then_some(())
            })
            .await;
            super::harness::signal(pid, "KILL");
            seen.over.store(true, Ordering::Release);
        };
        within("the load", async { tokio::join!(load, until_enough) }).await;
        rig.gateway_mut().ended().await;
        rig.gateway_mut().start_again().await;
        assert_eq!(rig.gateway().metric("tollgate_holds_open").await, 0, "holds of a dead process");
        for token in &tokens {
            for limit in rig.usage(token).await["limits"].as_array().unwrap() {
                assert_eq!(limit["held"], 0, "a hold of a dead process: {limit}");
            }
        }
        whole.append(&mut seen.whole.lock().unwrap());
    }
    // the check of the books also finds a request that stands twice, and usage that is not the sum of the rows
    let books = rig.finish_where(Served::OrMore).await;
    for id in &whole {
        assert_eq!(books.row(id).messages, 1, "{id}");
    }
    let charged = books.messages();
    assert!(whole.len() >= KILLS * ANSWERS);
    assert!(charged >= whole.len() as u64, "{charged} charged, {} complete", whole.len());
}

#[tokio::test]
async fn a_request_that_a_killed_gateway_had_open_is_charged_only_if_its_answer_had_begun() {
    let mut rig = Rig::start().await;
    let token = rig.token("alice");
    let begun = rig.chat(&token, MODEL).stream().header("x-stub-piece-delay-ms", 600_000);
    let waiting = rig.chat(&token, MODEL).header("x-stub-delay-ms", 600_000);
    let (begun_id, waiting_id) = (begun.id.clone(), waiting.id.clone());
    let mut response = begun.open().await;
    within("the first piece", response.chunk()).await.unwrap();
    let asking = tokio::spawn(waiting.try_send());
    eventually("the calls do not reach the stub", async || {
        (rig.stub.stats().await["open"] == 2).then_some(())
    })
    .await;
    rig.gateway_mut().kill();
    within("the end of the stream", async { while let Ok(Some(_)) = response.chunk().await {} }).await;
    assert!(within("the end of the call", asking).await.unwrap().is_err());
    rig.gateway_mut().start_again().await;
    assert_eq!(rig.usage(&token).await["totalMessages"], 1);
    let books = rig.finish_where(Served::OrMore).await;
    let (begun, waiting) = (books.row(&begun_id), books.row(&waiting_id));
    assert_eq!((begun.outcome.as_str(), begun.status, begun.messages), ("crashed", 200, 1));
    assert_eq!((waiting.outcome.as_str(), waiting.status, waiting.messages), ("crashed", 0, 0));
}

#[tokio::test]
async fn usage_survives_a_stop_and_a_kill() {
    let mut rig = Rig::start().await;
    let token = rig.token("alice");
    let mut messages = 0;
    for round in 0..4 {
        for _ in 0..5 {
            assert_eq!(rig.chat(&token, "claude-3-opus").send().await.status, StatusCode::OK);
            messages += 1;
        }
        if round % 2 == 0 {
            rig.gateway_mut().stop().await;
        } else {
            rig.gateway_mut().kill();
        }
        rig.gateway_mut().start_again().await;
        assert_eq!(rig.usage(&token).await["premiumMessages"], messages, "after round {round}");
    }
    let refused = rig.chat(&token, "claude-3-opus").send().await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "a restart gives no fresh quota");
    rig.finish().await;
}

#[tokio::test]
async fn sigterm_finishes_open_streams_refuses_new_calls_and_exits_0() {
    let mut rig = Rig::start().await;
    let token = rig.token("alice");
    let call = rig.chat(&token, MODEL).stream();
    let call = call.header("x-stub-pieces", 40).header("x-stub-piece-delay-ms", 25);
    let id = call.id.clone();
    let mut response = call.open().await;
    let mut seen = within("the first piece", response.chunk()).await.unwrap().unwrap().to_vec();
    rig.gateway().terminate();
    eventually("new connections are still taken", async || {
        let refused = rig.chat(&token, MODEL).through(&super::harness::http_client()).try_open().await;
        refused.is_err().then_some(())
    })
    .await;
    while let Some(piece) = within("a piece", response.chunk()).await.unwrap() {
        seen.extend_from_slice(&piece);
    }
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.contains("word39") && seen.ends_with("data: [DONE]\n\n"), "{seen}");
    let status = rig.gateway_mut().ended().await;
    assert!(status.success(), "{status}");
    rig.gateway_mut().start_again().await;
    let books = rig.finish().await;
    assert_eq!((books.row(&id).outcome.as_str(), books.row(&id).messages), ("ok", 1));
}
