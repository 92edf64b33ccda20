//! Many requests at once on few units: exactly as many as are left reach the upstream (invariant I2).

use futures_util::future::join_all;
use http::StatusCode;

use super::harness::Rig;

const RACERS: u32 = 200;
/// What the plan `free` leaves a new user on premium models.
const LEFT: u64 = 20;
const ROUNDS: u32 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_200_parallel_requests_with_20_left_exactly_20_reach_the_upstream() {
    let rig = Rig::start().await;
    for round in 0..ROUNDS {
        let token = rig.token(&format!("racer-{round}"));
        let before = rig.stub.requests().await;
        // in every other round the answers are still open when the last racer comes: holds refuse, not use
        let delay_ms = if round % 2 == 0 { 100 } else { 0 };
        let racers = (0..RACERS).map(|_| {
            let call = rig.chat(&token, "claude-3-opus").header("x-stub-delay-ms", delay_ms);
            tokio::spawn(call.send())
        });
        let mut answered = 0;
        for answer in join_all(racers).await {
            match answer.unwrap().status {
                StatusCode::OK => answered += 1,
                StatusCode::TOO_MANY_REQUESTS => {}
                other => panic!("round {round}: {other}"),
            }
        }
        let reached = rig.stub.requests().await - before;
        assert_eq!((answered, reached), (LEFT, LEFT), "round {round}: answered, reached the upstream");
        let usage = rig.usage(&token).await;
        assert_eq!(usage["premiumMessages"], LEFT, "round {round}");
    }
    let books = rig.finish().await;
    assert_eq!(books.messages(), LEFT * u64::from(ROUNDS));
}
