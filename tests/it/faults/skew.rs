//! Two versions at once, as in a rolling deploy: scripts with other hashes on one Redis, a ledger that a newer version has
//! upgraded, a journal with fields that this version does not know.

use http::StatusCode;
use serde_json::json;

use super::segments::{self, BEGIN, END};
use super::{user, users};
use crate::harness::{
    Dialect, LONGEST, Load, Pace, Served, ServerRig, Setup, Weather, command, eventually, fault,
};

/// What a user may send, and how many press against that.
const MAX: u64 = 150;
const USERS: usize = 4;

/// Scripts of one version.
const SCRIPTS: usize = 10;

/// A version of the tables that no gateway of this version knows.
const NEWER: u32 = 99;

/// Calls of each gateway while PostgreSQL is away.
const CALLS: u64 = 5;

/// Stops a gateway under load and starts it as another version: its scripts have other hashes.
async fn roll(rig: &mut ServerRig, gateway: usize, version: &str) {
    rig.gateways[gateway].restart_with("TOLLGATE_FAILPOINT_SCRIPTS", version).await;
}

fn scripts_in_redis(rig: &ServerRig) -> usize {
    let memory = rig.redis.cli(&["INFO", "memory"]);
    let line = memory.lines().find_map(|line| line.strip_prefix("number_of_cached_scripts:"));
    line.expect("`number_of_cached_scripts`").trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_versions_of_the_scripts_share_one_redis_and_limits_stay_exact() {
    let setup = Setup { gateways: 2, ..Setup::default() }.plan("tight", i64::try_from(MAX).unwrap());
    // what is asked here is what two versions give together, not what an outage gives
    let setup = setup.change(|file| file["quota"]["on_outage"] = toml_edit::value("deny"));
    let mut rig = ServerRig::with(setup, &[]).await;
    let tokens = users(&rig, "user", USERS, "tight");
    let load = Load::start(&rig, &tokens, Pace { callers: 4 * USERS, pause_ms: 40, ..Pace::default() });
    load.more(60).await;
    let before = scripts_in_redis(&rig);
    roll(&mut rig, 1, "the-next-version").await;
    load.more(60).await;
    let both = scripts_in_redis(&rig);
    assert_eq!(both, before + SCRIPTS, "scripts of both versions");
    assert_eq!(rig.redis.cli(&["FLUSHALL"]), "OK");
    load.more(60).await;
    assert!(rig.metric("tollgate_counter_rebuilds_total").await > 0, "nothing was loaded again");
    roll(&mut rig, 0, "the-next-version").await;
    load.reach(MAX * USERS as u64).await;
    let refused = load.seen.count(429);
    eventually("nobody is refused", async || (load.seen.count(429) >= refused + 20).then_some(())).await;
    let seen = load.stop().await;
    assert_eq!(seen.server_errors(), seen.count(503), "{}", seen.examples());
    assert_eq!(seen.count(200), MAX * USERS as u64, "messages answered");
    let books = rig.finish().await;
    let whole = books.check_whole(&seen);
    for number in 0..USERS {
        let name = format!("user-{number}");
        let theirs = books.rows.iter().filter(|row| row.user.as_deref() == Some(&name));
        assert_eq!(theirs.map(|row| row.messages).sum::<u64>(), MAX, "messages of {name}");
    }
    fault(
        "F30",
        "a rolling deploy under load, scripts of two versions on one Redis, FLUSHALL in between: limits exact",
        format_args!("{both} scripts of two versions, {whole} answers, overshoot 0"),
    );
}

/// Lets a gateway answer calls whose records wait in its journal.
async fn answer(rig: &ServerRig, gateway: usize, token: &str) {
    for _ in 0..CALLS {
        eventually("a call is put off again and again", async || {
            let answer = rig.call_at(gateway, Dialect::OpenAi, "gpt-4o").token(token).send().await;
            (answer.status == StatusCode::OK).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_of_a_newer_version_is_refused_at_the_start_while_gateways_that_run_serve_on() {
    let setup = Setup { gateways: 2, ..Setup::default() }.plan("wide", 1_000_000);
    let mut rig = ServerRig::with(setup, &[]).await;
    let token = user(&rig, "alice", "wide");
    answer(&rig, 0, &token).await;
    answer(&rig, 1, &token).await;
    rig.quiet().await;
    rig.postgres_proxy.set(Weather::Broken).await;
    answer(&rig, 0, &token).await;
    answer(&rig, 1, &token).await;
    rig.gateways[0].kill();
    // what a later version does: it adds, and says so
    let upgrade = format!(
        "ALTER TABLE message_logs ADD COLUMN of_a_newer_version text;
         INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
         VALUES ({NEWER}, 'later', '2027-01-01T00:00:00Z', '1')"
    );
    rig.postgres.execute(&upgrade).await;
    rig.postgres_proxy.set(Weather::Clear).await;
    answer(&rig, 1, &token).await;
    eventually("the running gateway does not write", async || {
        (rig.gateways[1].metric("tollgate_journal_pending_events").await == 0).then_some(())
    })
    .await;
    let config = rig.gateways[0].config.clone();
    let output = tokio::task::spawn_blocking(move || command(&config).output());
    let output = tokio::time::timeout(LONGEST, output).await.expect("it serves").unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let refusal = format!("the tables have version {NEWER}");
    assert!(said.contains(&refusal) && said.contains("use a newer `tollgate`"), "{said}");
    // the newer program comes: here, the tables are again those of this one
    rig.postgres.execute(&format!("DELETE FROM refinery_schema_history WHERE version = {NEWER}")).await;
    rig.gateways[0].start_again().await;
    let books = rig.finish().await;
    assert_eq!(books.messages(), 5 * CALLS);
    fault(
        "F30",
        "a ledger upgraded by a newer version: the running gateway writes on, a start is refused, its journal waits for the newer program",
        format_args!("exit code 1, {} answers, 0 lost, 0 doubled", books.messages()),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn journal_records_with_fields_of_a_newer_version_are_read_and_booked_once() {
    let setup = Setup::default().plan("wide", 1_000_000);
    let mut rig = ServerRig::with(setup, &[]).await;
    let token = user(&rig, "alice", "wide");
    answer(&rig, 0, &token).await;
    rig.quiet().await;
    rig.postgres_proxy.set(Weather::Broken).await;
    answer(&rig, 0, &token).await;
    let open = rig.chat(&token, "gpt-4o").stream().header("x-stub-piece-delay-ms", 600_000);
    let id = open.id.clone();
    let mut open = open.open().await;
    crate::harness::within("the first piece", open.chunk()).await.unwrap();
    rig.gateways[0].kill();
    let journal = rig.gateways[0].journal();
    let mut changed = 0;
    for segment in segments::read(&journal) {
        changed += segment.records.iter().filter(|record| matches!(record.kind, BEGIN | END)).count();
        segment.rewrite(|record| {
            if !matches!(record.kind, BEGIN | END) {
                return record.payload.clone();
            }
            let mut entry = record.entry();
            entry["of_a_newer_version"] = json!({ "numbers": [1, 2], "text": "three" });
            entry.to_string().into_bytes()
        });
    }
    rig.postgres_proxy.set(Weather::Clear).await;
    rig.gateways[0].start_again().await;
    assert_eq!(rig.metric("tollgate_journal_damaged_segments").await, 0);
    assert!(!journal.join("quarantine").exists(), "records of a newer version are taken for damage");
    let books = rig.finish_where(Served::OrMore).await;
    assert_eq!(books.messages(), 2 * CALLS + 1);
    assert_eq!((books.row(&id).outcome.as_str(), books.row(&id).messages), ("crashed", 1));
    fault(
        "F30",
        "journal records with fields of a newer version: read by this one, booked once",
        format_args!("{changed} records changed, {} messages, 0 lost, 0 doubled", books.messages()),
    );
}
