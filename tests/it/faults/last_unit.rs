//! A thousand requests at once for the last unit, through three gateways: one reaches the upstream (invariant I2).

use futures_util::future::join_all;
use http::StatusCode;

use super::user;
use crate::harness::{Dialect, Rig, ServerRig, Setup, eventually, fault, number_from};

const RACERS: usize = 1_000;

/// Three gateways that never decide without Redis: the default, `ledger`, does so on a machine so busy that Redis does not
/// answer in its 100 ms, and then each gateway may give what it sees.
fn setup() -> Setup {
    let setup = Setup { gateways: 3, ..Setup::default() }.plan("last", 1);
    setup.change(|file| file["quota"]["on_outage"] = toml_edit::value("deny"))
}

/// The rounds of one rig; returns how many were admitted in all.
async fn race(rig: &Rig, rounds: u32) -> u64 {
    let mut admitted = 0;
    for round in 0..rounds {
        let token = user(rig, &format!("racer-{round}"), "last");
        let before = rig.stub.requests().await;
        // in every other round the one answer is still open when the last racer comes: a hold refuses, not use
        let delay_ms = if round % 2 == 0 { 200 } else { 0 };
        let racers = (0..RACERS).map(|racer| {
            let call = rig.call_at(racer % rig.gateways.len(), Dialect::OpenAi, "claude-3-opus");
            tokio::spawn(call.token(&token).header("x-stub-delay-ms", delay_ms).send())
        });
        let (mut answered, mut unsure) = (0, 0);
        for answer in join_all(racers).await {
            let answer = answer.unwrap();
            match answer.status {
                StatusCode::OK => answered += 1,
                StatusCode::TOO_MANY_REQUESTS => {}
                // a machine so busy that Redis does not answer in its 100 ms: refused, never guessed
                StatusCode::SERVICE_UNAVAILABLE => unsure += 1,
                other => panic!("round {round}: {other}: {}", answer.text()),
            }
        }
        if answered == 0 {
            // the one that got the unit was told 503, and gave it back: it must be there for the next
            assert!(unsure > 0, "round {round}: nobody got the unit");
            answered = eventually("the unit is lost", async || {
                let call = rig
                    .call_at(round as usize % rig.gateways.len(), Dialect::OpenAi, "claude-3-opus")
                    .token(&token);
                (call.send().await.status == StatusCode::OK).then_some(1)
            })
            .await;
        }
        let reached = rig.stub.requests().await - before;
        assert_eq!((answered, reached), (1, 1), "round {round}: answered, reached the upstream");
        admitted += answered;
    }
    admitted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes on a busy machine; scripts/faults runs it"]
async fn of_1000_racers_through_three_gateways_exactly_one_gets_the_last_unit() {
    let rounds = number_from("TOLLGATE_FAULTS_ROUNDS", 6);
    let setup = setup();
    let rig = ServerRig::with(setup, &[]).await;
    let admitted = race(&rig, rounds).await;
    assert_eq!(rig.finish().await.messages(), u64::from(rounds));
    fault(
        "I2",
        "1,000 racers, 3 gateways, 1 Redis, 1 unit: 1 admitted",
        format_args!("{rounds} rounds, {admitted} admitted, 0 too many"),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes on a busy machine; scripts/faults runs it"]
async fn of_1000_racers_on_a_redis_cluster_exactly_one_gets_the_last_unit() {
    let rounds = number_from("TOLLGATE_FAULTS_ROUNDS", 4);
    let setup = setup();
    let rig = ServerRig::on_cluster(setup).await;
    let admitted = race(&rig, rounds).await;
    assert_eq!(rig.finish().await.messages(), u64::from(rounds));
    fault(
        "I2",
        "the same on a Redis Cluster of six nodes",
        format_args!("{rounds} rounds, {admitted} admitted, 0 too many"),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_1000_racers_on_one_gateway_without_servers_exactly_one_gets_the_last_unit() {
    let rounds = number_from("TOLLGATE_FAULTS_ROUNDS", 10);
    let rig = Rig::with(Setup::default().plan("last", 1)).await;
    let admitted = race(&rig, rounds).await;
    assert_eq!(rig.finish().await.messages(), u64::from(rounds));
    fault(
        "I2",
        "the same in memory, on one gateway",
        format_args!("{rounds} rounds, {admitted} admitted, 0 too many"),
    );
}
