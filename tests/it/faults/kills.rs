//! Gateways that die or stand still under load: `kill -9`, SIGSTOP beyond their lease, SIGTERM with streams open.

use std::collections::BTreeSet;
use std::time::Duration;

use http::StatusCode;
use tollgate::clock::Stopwatch;

use super::{put_off, user, users};
use crate::harness::{
    Dialect, LONGEST, Load, Pace, Served, ServerRig, Setup, eventually, fault, number_from, signal, within,
};

/// A dead gateway's holds are free after its lease and so much more (invariant I6).
const LEASE_MS: u64 = 10_000;
const LEASE_SLACK_MS: u64 = 5_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_again_and_again_under_load_loses_and_doubles_no_completed_answer() {
    let kills = number_from("TOLLGATE_FAULTS_KILLS", 5);
    let setup = Setup { gateways: 2, ..Setup::default() }.plan("wide", 1_000_000);
    let mut rig = ServerRig::with(setup, &[]).await;
    let tokens = users(&rig, "user", 8, "wide");
    let load = Load::start(&rig, &tokens, Pace { callers: 16, ..Pace::default() });
    for kill in 0..kills {
        load.more(60).await;
        let victim = kill as usize % 2;
        rig.gateways[victim].kill();
        rig.gateways[victim].start_again().await;
    }
    load.more(60).await;
    let seen = load.stop().await;
    let put_off = put_off(&rig, &seen);
    let books = rig.finish_where(Served::OrMore).await;
    let whole = books.check_whole(&seen);
    let crashed = books.rows.iter().filter(|row| row.outcome == "crashed").count();
    fault(
        "F1, F2, F3",
        "kill -9 under load: completed answers stand in the ledger exactly once",
        format_args!(
            "{kills} kills, {whole} completed answers, 0 lost, 0 doubled, {crashed} in flight, {put_off} put off as Redis was late"
        ),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_unit_that_a_dead_gateway_held_is_free_within_lease_and_5_s() {
    let setup = Setup { gateways: 2, ..Setup::default() }.plan("last", 1);
    // a machine so busy that Redis does not answer in time must not hide the hold
    let setup = setup.change(|file| file["quota"]["on_outage"] = toml_edit::value("deny"));
    let mut rig = ServerRig::with(setup, &[]).await;
    let token = user(&rig, "alice", "last");
    let asking = eventually("the call does not reach the stub", async || {
        let call = rig.call_at(0, Dialect::OpenAi, "gpt-4o").token(&token).header("x-stub-delay-ms", 600_000);
        let asking = tokio::spawn(call.try_send());
        eventually("the call is neither open nor put off", async || {
            (asking.is_finished() || rig.stub.stats().await["open"] == 1).then_some(())
        })
        .await;
        (!asking.is_finished()).then_some(asking)
    })
    .await;
    rig.gateways[0].kill();
    let dead = Stopwatch::start();
    assert!(within("the end of the call", asking).await.unwrap().is_err());
    let held = eventually("Redis never answers in time", async || {
        let held = rig.call_at(1, Dialect::OpenAi, "gpt-4o").token(&token).send().await;
        (held.status != StatusCode::SERVICE_UNAVAILABLE).then_some(held)
    })
    .await;
    assert_eq!(held.status, StatusCode::TOO_MANY_REQUESTS, "the dead gateway still holds the unit");
    eventually("the unit of the dead gateway stays held", async || {
        let call = rig.call_at(1, Dialect::OpenAi, "gpt-4o").token(&token);
        (call.send().await.status == StatusCode::OK).then_some(())
    })
    .await;
    let free_ms = dead.elapsed_ms();
    assert!(free_ms <= LEASE_MS + LEASE_SLACK_MS, "free after {free_ms} ms");
    rig.gateways[0].start_again().await;
    let books = rig.finish_where(Served::OrMore).await;
    assert_eq!(books.messages(), 1);
    fault("F1", "a dead gateway's hold is free within lease (10 s) + 5 s", format_args!("{free_ms} ms"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_stopped_beyond_its_lease_settles_late_and_charges_once() {
    let setup = Setup { gateways: 2, ..Setup::default() }.plan("wide", 1_000_000);
    let rig = ServerRig::with(setup, &[]).await;
    let tokens = users(&rig, "user", 6, "wide");
    let streams = tokens.iter().map(|token| {
        let call = rig.call_at(0, Dialect::OpenAi, "gpt-4o").token(token).stream();
        call.header("x-stub-pieces", 20).header("x-stub-piece-delay-ms", 100)
    });
    let streams: Vec<_> = streams.collect();
    let ids: BTreeSet<String> = streams.iter().map(|call| call.id.clone()).collect();
    let streams: Vec<_> = streams.into_iter().map(|call| tokio::spawn(call.send())).collect();
    eventually("the streams do not open", async || {
        (rig.stub.stats().await["open"] == tokens.len()).then_some(())
    })
    .await;
    signal(rig.gateways[0].pid(), "STOP");
    let stopped = Stopwatch::start();
    let urls = [rig.gateways[1].url.as_str()];
    let load = Load::over(&rig.http, &urls, &tokens, Pace { callers: 6, pause_ms: 20, ..Pace::default() });
    eventually("the holds of the stopped gateway do not expire", async || {
        (rig.gateways[1].metric("tollgate_holds_expired_total").await >= 6
            || stopped.elapsed_ms() > LEASE_MS + LEASE_SLACK_MS)
            .then_some(())
    })
    .await;
    signal(rig.gateways[0].pid(), "CONT");
    for stream in streams {
        assert_eq!(within("a stream", stream).await.unwrap().status, StatusCode::OK);
    }
    load.more(60).await;
    let seen = load.stop().await;
    let late = rig.metric("tollgate_late_settles_total").await;
    let books = rig.finish().await;
    books.check_whole(&seen);
    for id in &ids {
        assert_eq!(books.row(id).messages, 1, "{id}");
    }
    fault(
        "F24",
        "SIGSTOP beyond the lease, then CONT: late settles, nothing doubled",
        format_args!("{} streams, {late} late settles, 0 doubled", ids.len()),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_finishes_open_streams_and_the_other_gateway_serves_on() {
    let setup = Setup { gateways: 2, ..Setup::default() }.plan("wide", 1_000_000);
    let mut rig = ServerRig::with(setup, &[]).await;
    let tokens = users(&rig, "user", 8, "wide");
    let streams = tokens.iter().map(|token| {
        let call = rig.call_at(0, Dialect::OpenAi, "gpt-4o").token(token).stream();
        let call = call.header("x-stub-pieces", 30).header("x-stub-piece-delay-ms", 100);
        tokio::spawn(call.send())
    });
    let streams: Vec<_> = streams.collect();
    eventually("the streams do not open", async || {
        (rig.stub.stats().await["open"] == tokens.len()).then_some(())
    })
    .await;
    let urls = [rig.gateways[1].url.as_str()];
    let load = Load::over(&rig.http, &urls, &tokens, Pace::default());
    rig.gateways[0].terminate();
    for stream in streams {
        let answer = within("a stream", stream).await.unwrap();
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    }
    let status = rig.gateways[0].ended().await;
    assert!(status.success(), "{status}");
    load.more(40).await;
    let seen = load.stop().await;
    assert_eq!((seen.server_errors(), seen.broken()), (0, 0), "{}", seen.examples());
    rig.gateways[0].start_again().await;
    let books = rig.finish().await;
    books.check_whole(&seen);
    fault("F22", "SIGTERM: open streams finish, exit 0, the other gateway serves on", "8 streams, 0 cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_gateway_on_the_same_data_folder_is_refused_at_its_start() {
    let rig = ServerRig::start(1).await;
    let token = rig.token("alice");
    let home = rig.gateway().config.parent().unwrap().to_owned();
    let file = std::fs::read_to_string(&rig.gateway().config).unwrap();
    let (first, second) = (crate::harness::Port::free(), crate::harness::Port::free());
    let mut file: toml_edit::DocumentMut = file.parse().unwrap();
    file["server"]["listen"] = toml_edit::value(first.address().to_string());
    file["server"]["admin_listen"] = toml_edit::value(second.address().to_string());
    let other = home.join("other.toml");
    std::fs::write(&other, file.to_string()).unwrap();
    let output = tokio::task::spawn_blocking(move || crate::harness::command(&other).output());
    let output = tokio::time::timeout(LONGEST, output).await.expect("it serves").unwrap().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("data/journal"), "{said}");
    assert_eq!(rig.chat(&token, "gpt-4o").send().await.status, StatusCode::OK, "the first serves on");
    rig.finish().await;
    fault("F26", "a second gateway on one data folder is refused at its start", "exit code 1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_dies_with_its_redis_leaves_exact_books() {
    let setup = Setup { gateways: 2, ..Setup::default() }.plan("wide", 1_000_000);
    let mut rig = ServerRig::with(setup, &[]).await;
    let tokens = users(&rig, "user", 8, "wide");
    let load = Load::start(&rig, &tokens, Pace::default());
    load.more(60).await;
    rig.redis.kill();
    rig.gateways[0].kill();
    tokio::time::sleep(Duration::from_millis(500)).await;
    rig.redis.start_again().await;
    rig.gateways[0].start_again().await;
    load.more(60).await;
    let seen = load.stop().await;
    let books = rig.finish_where(Served::OrMore).await;
    let whole = books.check_whole(&seen);
    fault(
        "F1, F6",
        "a gateway killed together with its Redis: exact after both are back",
        format_args!("{whole} completed answers, 0 lost, 0 doubled"),
    );
}
