//! The cap on background calls through two gateways that share Redis and PostgreSQL: what races at the cap is free exactly
//! as far as the cap, then a message, then refused.

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::Value;
use tollgate::auth::TokenRequest;
use toml_edit::value;

use super::apps::{MODEL, used};
use super::harness::{Dialect, ServerRig, Setup, eventually};

/// Background calls of the plan.
const CAP: u64 = 7;
/// Its messages.
const MESSAGES: u64 = 5;
const RACERS: usize = 20;
const ROUNDS: usize = 6;
/// Life of the tokens, in seconds.
const TTL_S: u32 = 3_600;

/// Two gateways that never decide without Redis: where it does not answer in its 100 ms, the call gets 503.
fn setup() -> Setup {
    let setup = Setup { gateways: 2, ..Setup::default() }.plan("capped", i64::try_from(MESSAGES).unwrap());
    setup.change(|file| {
        file["quota"]["on_outage"] = value("deny");
        let more = format!(
            r#"
            [[plans.capped.limits]]
            name = "background"
            meter = "background"
            max = {CAP}
            per = "month"

            [[apps]]
            preset = "open-webui"
            callers = ["chat"]"#
        );
        *file = format!("{file}\n{more}").parse().unwrap();
    })
}

/// What gateway `number` shows once the other one's settles are done as well.
async fn settled(rig: &ServerRig, number: usize, token: &str) -> Value {
    rig.quiet().await;
    eventually("something stays held", async || {
        let usage = rig.usage_at(number, token).await;
        let held: u64 =
            usage["limits"].as_array().unwrap().iter().map(|it| it["held"].as_u64().unwrap()).sum();
        (held == 0).then_some(usage)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_background_calls_on_two_gateways_are_free_exactly_as_far_as_the_cap() {
    let rig = ServerRig::with(setup(), &[]).await;
    let (mut exact, mut background_in_all, mut messages_in_all) = (0, 0, 0);
    for round in 0..ROUNDS {
        let request = TokenRequest {
            user: format!("racer-{round}"),
            plan: Some("capped".to_owned()),
            ttl_s: TTL_S,
            ..TokenRequest::default()
        };
        let token = rig.token_of(request);
        let before = rig.stub.requests().await;
        // in every other round no answer ends before the last racer comes: holds decide, not use
        let delay_ms = if round % 2 == 0 { 1_000 } else { 0 };
        let racers = (0..RACERS).map(|racer| {
            let call = rig.call_at(racer % 2, Dialect::OpenAi, MODEL).token(&token);
            let call = call.header("x-tollgate-task", "title_generation");
            tokio::spawn(call.header("x-stub-delay-ms", delay_ms).send())
        });
        let (mut answered, mut refused, mut unsure) = (0, 0, 0);
        for answer in join_all(racers).await {
            let answer = answer.unwrap();
            match answer.status {
                StatusCode::OK => answered += 1,
                StatusCode::TOO_MANY_REQUESTS => {
                    assert!(answer.message().starts_with("Message quota exhausted"), "{}", answer.message());
                    refused += 1;
                }
                StatusCode::SERVICE_UNAVAILABLE => unsure += 1,
                other => panic!("round {round}: {other}: {}", answer.text()),
            }
        }
        let usage = settled(&rig, round % 2, &token).await;
        let reached = rig.stub.requests().await - before;
        let (background, messages) = (used(&usage, "background"), used(&usage, "messages"));
        assert_eq!((background + messages, reached), (answered, answered), "round {round}: charged, reached");
        assert!(background <= CAP && messages <= MESSAGES, "round {round}: {background} and {messages}");
        if unsure == 0 {
            let beyond = RACERS as u64 - CAP - MESSAGES;
            assert_eq!((background, messages, refused), (CAP, MESSAGES, beyond), "round {round}");
            exact += 1;
        }
        background_in_all += background;
        messages_in_all += messages;
    }
    assert!(exact > 0, "Redis answered late in every round: nothing is proved");
    let books = rig.finish().await;
    let background = books.rows.iter().filter(|row| row.task == "title_generation");
    assert!(background.clone().all(|row| row.messages == 0));
    assert_eq!((background.count() as u64, books.messages()), (background_in_all, messages_in_all));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_spent_through_one_gateway_is_spent_at_the_other_and_after_redis_forgot() {
    let rig = ServerRig::with(setup(), &[]).await;
    let request = TokenRequest {
        user: "alice".to_owned(),
        plan: Some("capped".to_owned()),
        ttl_s: TTL_S,
        ..TokenRequest::default()
    };
    let token = rig.token_of(request);
    let send = async |gateway: usize| {
        eventually("Redis answers late for ever", async || {
            let call = rig.call_at(gateway, Dialect::OpenAi, MODEL).token(&token);
            let answer = call.header("x-tollgate-task", "tags_generation").send().await;
            (answer.status != StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
        })
        .await
    };
    for _ in 0..CAP {
        assert_eq!(send(0).await.status, StatusCode::OK);
    }
    let usage = settled(&rig, 1, &token).await;
    assert_eq!((used(&usage, "background"), used(&usage, "messages")), (CAP, 0));
    assert_eq!(send(1).await.status, StatusCode::OK);
    let usage = settled(&rig, 0, &token).await;
    assert_eq!((used(&usage, "background"), used(&usage, "messages")), (CAP, 1));
    // the ledger knows both: nothing is given anew
    assert_eq!(rig.redis.cli(&["FLUSHALL"]), "OK");
    assert_eq!(send(0).await.status, StatusCode::OK);
    let usage = settled(&rig, 1, &token).await;
    assert_eq!((used(&usage, "background"), used(&usage, "messages")), (CAP, 2));
    let books = rig.finish().await;
    assert_eq!(books.messages(), 2);
}
