//! A gateway that stands still while it loads lost counters: another loads them, serves, and what the first does when it
//! wakes up changes nothing.

use std::time::Duration;

use http::StatusCode;

use super::user;
use crate::harness::{Answer, Dialect, ServerRig, Setup, Weather, eventually, fault, signal, within};

/// What the user may send, and how much of it is used when the counters are lost.
const MAX: u32 = 10;
const USED: u32 = 6;

/// How much later each reply of PostgreSQL comes while the first gateway loads: time enough to stop it there, and far below
/// its patience with a statement (10 s).
const SLOW: Duration = Duration::from_secs(3);

/// One call through a gateway, made again as long as it is put off because Redis was late on a busy machine.
async fn call(rig: &ServerRig, gateway: usize, token: &str) -> Answer {
    eventually("a call is put off again and again", async || {
        let answer = rig.call_at(gateway, Dialect::OpenAi, "gpt-4o").token(token).send().await;
        (answer.status != StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
    })
    .await
}

/// Microseconds of PostgreSQL's clock since 1970.
async fn server_time_us(rig: &ServerRig) -> i64 {
    rig.postgres.number("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").await
}

/// Waits until a gateway has asked PostgreSQL for a domain's totals since `since_us`. Its answer is still on the way.
async fn load_is_under_way(rig: &ServerRig, since_us: i64) {
    let asked = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%''bucket'', scope%' AND pid <> pg_backend_pid()
         AND query_start > to_timestamp({since_us} / 1000000.0)"
    );
    eventually("no gateway loads the domain", async || (rig.postgres.number(&asked).await > 0).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_stopped_in_the_middle_of_a_rebuild_changes_nothing_when_it_wakes_up() {
    let setup = Setup { gateways: 2, ..Setup::default() }.plan("tight", MAX.into());
    // what is asked here is what lost counters give, not what an outage gives
    let setup = setup.change(|file| file["quota"]["on_outage"] = toml_edit::value("deny"));
    let rig = ServerRig::with(setup, &[]).await;
    let token = user(&rig, "alice", "tight");
    for number in 0..USED {
        assert_eq!(call(&rig, number as usize % 2, &token).await.status, StatusCode::OK);
    }
    rig.quiet().await;
    let rebuilds = async |gateway: usize| {
        let gateway: &crate::harness::Gateway = &rig.gateways[gateway];
        gateway.metric("tollgate_counter_rebuilds_total").await
    };
    let before = [rebuilds(0).await, rebuilds(1).await];
    rig.postgres_proxy.set(Weather::Delayed(SLOW)).await;
    let since_us = server_time_us(&rig).await;
    assert_eq!(rig.redis.cli(&["FLUSHALL"]), "OK");
    let first = rig.call_at(0, Dialect::OpenAi, "gpt-4o").token(&token);
    let first = tokio::spawn(first.send());
    load_is_under_way(&rig, since_us).await;
    signal(rig.gateways[0].pid(), "STOP");
    assert!(!first.is_finished(), "the first gateway was stopped too late");
    rig.postgres_proxy.set(Weather::Clear).await;
    let mut answered = 0;
    loop {
        let answer = call(&rig, 1, &token).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answered += 1;
        assert!(answered <= MAX - USED, "fresh quota: {answered} more were answered");
    }
    assert_eq!(answered, MAX - USED, "answered by the second gateway");
    assert_eq!(rebuilds(1).await - before[1], 1, "rebuilds by the second gateway");
    signal(rig.gateways[0].pid(), "CONT");
    let first = within("the first gateway's answer", first).await.unwrap();
    assert!(
        matches!(first.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE),
        "the stopped gateway gave fresh quota: {}: {}",
        first.status,
        first.text()
    );
    assert_eq!(rebuilds(0).await - before[0], 0, "rebuilds by the stopped gateway");
    for gateway in [0, 1] {
        let answer = call(&rig, gateway, &token).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.text());
    }
    let books = rig.finish().await;
    assert_eq!(books.messages(), u64::from(MAX));
    fault(
        "F25",
        "SIGSTOP of the gateway that loads lost counters: another loads them, the stopped one's load and announcements change nothing",
        format_args!(
            "{USED} of {MAX} used before, {answered} given after, 0 too many; the stopped gateway's own call: {}",
            first.status.as_u16()
        ),
    );
}
