//! Redis away or slow under load: the outage policy decides, limits hold to a bound, and all is exact after its return.

use std::time::Duration;

use http::StatusCode;

use super::{put_off, user, users};
use crate::harness::{
    Dialect, Load, Pace, Seen, ServerRig, Setup, Weather, eventually, fault, number_from, within,
};

/// What a tight user may send.
const TIGHT: i64 = 60;
const TIGHT_USERS: usize = 4;

/// Two gateways with this policy.
async fn rig(policy: &'static str) -> ServerRig {
    let setup = Setup { gateways: 2, ..Setup::default() }.plan("wide", 1_000_000).plan("tight", TIGHT);
    let setup = setup.change(move |file| file["quota"]["on_outage"] = toml_edit::value(policy));
    ServerRig::with(setup, &[]).await
}

fn outage() -> Duration {
    Duration::from_secs(number_from("TOLLGATE_FAULTS_REDIS_DOWN_S", 4).into())
}

async fn is_degraded(rig: &ServerRig) {
    eventually("no gateway notices", async || {
        (rig.metric("tollgate_degraded_admissions_total").await > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_redis_down_the_ledger_decides_and_limits_hold_to_the_bound() {
    let rig = rig("ledger").await;
    let wide = users(&rig, "wide", 6, "wide");
    let tight = users(&rig, "tight", TIGHT_USERS, "tight");
    let load = Load::start(&rig, &wide, Pace::default());
    let pace = Pace { callers: 2 * TIGHT_USERS, pause_ms: 20, ..Pace::default() };
    let pressing = Load::start(&rig, &tight, pace);
    load.more(40).await;
    // the bound: while the gateways cannot see each other's holds, each may give what was left
    let left: u64 = (TIGHT as u64 * TIGHT_USERS as u64).saturating_sub(pressing.seen.count(200));
    load.seen.take_slowest_ms();
    rig.redis_proxy.set(Weather::Broken).await;
    tokio::time::sleep(outage()).await;
    let slowest_ms = load.seen.take_slowest_ms();
    is_degraded(&rig).await;
    rig.redis_proxy.set(Weather::Clear).await;
    load.more(100).await;
    let seen = load.stop().await;
    let pressed = pressing.stop().await;
    // those in flight when Redis goes are put off: their holds may stand
    let put_off = seen.count(503) + pressed.count(503);
    assert_eq!(seen.server_errors() + pressed.server_errors(), put_off, "{}", pressed.examples());
    assert!(put_off <= (wide.len() + 2 * TIGHT_USERS) as u64, "{put_off} put off");
    assert_eq!((seen.broken(), pressed.broken()), (0, 0));
    assert_eq!(seen.count(429), 0, "a user far from the limit is refused: {}", seen.examples());
    let degraded = rig.metric("tollgate_degraded_admissions_total").await;
    let books = rig.finish().await;
    books.check_whole(&seen);
    books.check_whole(&pressed);
    let overshoot = over(&pressed);
    assert!(overshoot <= left, "overshoot {overshoot}, bound {left}");
    fault(
        "F6",
        "Redis down under load, `ledger`: no 5xx beyond those in flight, limits hold to the bound, exact after",
        format_args!(
            "{} s down, {degraded} decided without Redis, {put_off} put off, slowest call {slowest_ms} ms; overshoot {overshoot} of a bound of {left}",
            outage().as_secs()
        ),
    );
}

/// Messages of tight users over their limit.
fn over(pressed: &Seen) -> u64 {
    pressed.count(200).saturating_sub(TIGHT as u64 * TIGHT_USERS as u64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_redis_down_deny_answers_503_and_nothing_reaches_the_upstream() {
    let rig = rig("deny").await;
    let wide = users(&rig, "wide", 6, "wide");
    let load = Load::start(&rig, &wide, Pace::default());
    load.more(40).await;
    rig.redis_proxy.set(Weather::Broken).await;
    let alice = user(&rig, "alice", "wide");
    let refused = rig.chat(&alice, "gpt-4o").send().await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text());
    assert!(!refused.header("retry-after").is_empty());
    eventually("answers stay open", async || (rig.stub.stats().await["open"] == 0).then_some(())).await;
    let before = rig.stub.requests().await;
    let denied = load.seen.count(503);
    tokio::time::sleep(outage() / 2).await;
    assert_eq!(rig.stub.requests().await, before, "requests that reached the upstream");
    assert!(load.seen.count(503) > denied, "the load is refused");
    rig.redis_proxy.set(Weather::Clear).await;
    load.more(100).await;
    let seen = load.stop().await;
    assert_eq!(seen.server_errors(), seen.count(503), "{}", seen.examples());
    let books = rig.finish().await;
    books.check_whole(&seen);
    fault(
        "F6",
        "Redis down, `deny`: 503 with Retry-After, nothing reaches the upstream, back without a restart",
        format_args!("{} refused, 0 reached the upstream", seen.count(503)),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_redis_down_allow_lets_all_pass_and_the_ledger_counts_them() {
    let rig = rig("allow").await;
    let tight = users(&rig, "tight", TIGHT_USERS, "tight");
    let load = Load::start(&rig, &tight, Pace::default());
    load.more(40).await;
    rig.redis_proxy.set(Weather::Broken).await;
    is_degraded(&rig).await;
    load.more(2 * TIGHT as u64 * TIGHT_USERS as u64).await;
    rig.redis_proxy.set(Weather::Clear).await;
    eventually("limits do not bind again", async || {
        let refused = rig.call_at(1, Dialect::OpenAi, "gpt-4o").token(&tight[0]).send().await;
        (refused.status == StatusCode::TOO_MANY_REQUESTS).then_some(())
    })
    .await;
    let seen = load.stop().await;
    assert_eq!((seen.server_errors(), seen.broken()), (0, 0), "{}", seen.examples());
    let books = rig.finish().await;
    let whole = books.check_whole(&seen);
    fault(
        "F6",
        "Redis down, `allow`: all pass, all recorded; limits bind again after its return",
        format_args!("{whole} answers, all in the ledger, {} over the limit", over(&seen)),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_redis_puts_off_what_is_in_flight_and_leaves_no_hold() {
    let rig = rig("ledger").await;
    let wide = users(&rig, "wide", 6, "wide");
    let load = Load::start(&rig, &wide, Pace::default());
    load.more(40).await;
    load.seen.take_slowest_ms();
    rig.redis_proxy.set(Weather::Delayed(Duration::from_millis(500))).await;
    tokio::time::sleep(outage()).await;
    let slowest_ms = load.seen.take_slowest_ms();
    is_degraded(&rig).await;
    rig.redis_proxy.set(Weather::Clear).await;
    load.more(100).await;
    let seen = load.stop().await;
    // those in flight when Redis becomes slow are put off; from then on the policy decides
    let put_off = seen.count(503);
    assert_eq!((seen.server_errors(), seen.broken()), (put_off, 0), "{}", seen.examples());
    assert!(put_off <= 2 * wide.len() as u64, "{put_off} put off: {}", seen.examples());
    assert_eq!(seen.count(429), 0, "{}", seen.examples());
    let books = rig.finish().await;
    let whole = books.check_whole(&seen);
    fault(
        "F7",
        "Redis slow by 500 ms: those in flight are put off after 100 ms, then the policy decides, no hold is left",
        format_args!("{whole} answers, {put_off} put off, slowest call {slowest_ms} ms, 0 holds left"),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_lost_after_its_effect_leaves_one_hold_and_one_charge() {
    let rig = rig("ledger").await;
    let alice = user(&rig, "alice", "tight");
    assert_eq!(rig.chat(&alice, "gpt-4o").send().await.status, StatusCode::OK);
    let rounds = number_from("TOLLGATE_FAULTS_REPLIES", 5);
    for round in 0..rounds {
        rig.redis_proxy.set(Weather::RepliesLost).await;
        let call = rig.call_at(round as usize % 2, Dialect::OpenAi, "gpt-4o").token(&alice);
        let answer = within("an answer", call.send()).await;
        // what was sent twice after the reconnect must count once
        rig.redis_proxy.set(Weather::Broken).await;
        // every connection must have met the break: one that lost replies and lives on would pair the next ones wrongly
        tokio::time::sleep(Duration::from_millis(500)).await;
        rig.redis_proxy.set(Weather::Clear).await;
        if answer.status != StatusCode::OK {
            // the hold may stand: nothing is decided without knowing, and the client asks again
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text());
            eventually("a gateway does not return to Redis", async || {
                let again = rig.call_at(round as usize % 2, Dialect::OpenAi, "gpt-4o").token(&alice);
                (again.send().await.status == StatusCode::OK).then_some(())
            })
            .await;
        }
        eventually("the counters are not exact again", async || {
            let usage = rig.usage_at(round as usize % 2, &alice).await;
            let limit = &usage["limits"][0];
            (limit["used"] == round + 2 && limit["held"] == 0).then_some(())
        })
        .await;
    }
    let books = rig.finish().await;
    assert_eq!(books.messages(), u64::from(rounds) + 1);
    fault(
        "F8",
        "a reply lost after its effect: one hold, one charge",
        format_args!("{rounds} lost replies, {rounds} charges, 0 doubled"),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_out_of_memory_refuses_holds_by_policy_and_still_takes_settles() {
    let rig = rig("ledger").await;
    let wide = users(&rig, "wide", 4, "wide");
    let streams = wide.iter().map(|token| {
        let call = rig.chat(token, "gpt-4o").stream();
        tokio::spawn(call.header("x-stub-pieces", 10).header("x-stub-piece-delay-ms", 100).send())
    });
    let streams: Vec<_> = streams.collect();
    eventually("the streams do not open", async || {
        (rig.stub.stats().await["open"] == wide.len()).then_some(())
    })
    .await;
    assert_eq!(rig.redis.cli(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    for stream in streams {
        assert_eq!(within("a stream", stream).await.unwrap().status, StatusCode::OK);
    }
    rig.quiet().await;
    eventually("a settle does not pass", async || {
        let found = rig.verify(1).await;
        (found["clean"] == true && found["inFlight"] == 0).then_some(())
    })
    .await;
    let load = Load::start(&rig, &wide, Pace::default());
    load.more(60).await;
    assert!(rig.metric("tollgate_degraded_admissions_total").await > 0, "the policy decides");
    assert_eq!(rig.redis.cli(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
    load.more(60).await;
    let seen = load.stop().await;
    assert_eq!(seen.broken(), 0, "{}", seen.examples());
    let put_off = put_off(&rig, &seen);
    let books = rig.finish().await;
    let whole = books.check_whole(&seen);
    fault(
        "F28",
        "Redis out of memory (noeviction): the policy decides, settles pass",
        format_args!("4 streams settled while full, {whole} answers, {put_off} put off as Redis was late"),
    );
}
