//! PostgreSQL away, failed over, or without a partition, under load: everybody is served, nothing is lost or doubled.

use std::time::Duration;

use super::{put_off, users};
use crate::harness::{Load, Pace, Postgres, Seen, ServerRig, Setup, eventually, fault, number_from};

/// A gateway's memory may grow so much while the ledger is away: what it remembers of ended requests, not the journal.
const GROWTH_KIB: u64 = 64 * 1024;

async fn under_load() -> (ServerRig, Load) {
    let setup = Setup { gateways: 2, ..Setup::default() }.plan("wide", 1_000_000);
    let rig = ServerRig::with(setup, &[]).await;
    let tokens = users(&rig, "user", 8, "wide");
    let load = Load::start(&rig, &tokens, Pace::default());
    load.more(60).await;
    (rig, load)
}

/// Resident memory of both gateways, KiB.
fn memory_kib(rig: &ServerRig) -> u64 {
    let of = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    rig.gateways.iter().map(|gateway| of(gateway.pid())).sum()
}

/// Without PostgreSQL nobody is refused, but where Redis did not answer in its 100 ms either, on a busy machine: the gateway
/// says so for each. Returns how many that were.
fn refused(rig: &ServerRig, seen: &Seen) -> u64 {
    assert_eq!((seen.broken(), seen.count(429)), (0, 0), "{}", seen.examples());
    put_off(rig, seen)
}

async fn pending(rig: &ServerRig) -> u64 {
    rig.metric("tollgate_journal_pending_events").await
}

async fn drained(rig: &ServerRig) {
    eventually("the journal does not drain", async || (pending(rig).await < 20).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_postgres_down_under_load_all_are_served_and_the_journal_drains_after() {
    let down_s = number_from("TOLLGATE_FAULTS_PG_DOWN_S", 6);
    let (mut rig, load) = under_load().await;
    drained(&rig).await;
    let before_kib = memory_kib(&rig);
    rig.postgres.stop().await;
    let answered = load.seen.count(200);
    load.seen.take_slowest_ms();
    tokio::time::sleep(Duration::from_secs(down_s.into())).await;
    load.more(100).await;
    let slowest_ms = load.seen.take_slowest_ms();
    let waiting = pending(&rig).await;
    let answered = load.seen.count(200) - answered;
    assert!(waiting > 20, "{waiting} records wait in the journal after {answered} answers");
    let grown_kib = memory_kib(&rig).saturating_sub(before_kib);
    assert!(grown_kib < GROWTH_KIB, "memory grew by {grown_kib} KiB");
    rig.postgres.start_again().await;
    drained(&rig).await;
    let seen = load.stop().await;
    let unsure = refused(&rig, &seen);
    let books = rig.finish().await;
    let whole = books.check_whole(&seen);
    fault(
        "F4",
        "PostgreSQL down under load: traffic served, journal grows and drains, 0 lost, 0 doubled, memory flat",
        format_args!(
            "{down_s} s down, {answered} answers meanwhile, {unsure} refused as Redis was late as well, slowest {slowest_ms} ms, {waiting} records waited, memory of two gateways +{grown_kib} KiB, {whole} answers in all"
        ),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_crashes_in_the_middle_of_commits_keeps_every_row_once() {
    let crashes = number_from("TOLLGATE_FAULTS_PG_CRASHES", 3);
    let (mut rig, load) = under_load().await;
    for _ in 0..crashes {
        load.more(60).await;
        rig.postgres.kill().await;
        load.more(30).await;
        rig.postgres.start_again().await;
        drained(&rig).await;
    }
    let seen = load.stop().await;
    let unsure = refused(&rig, &seen);
    let books = rig.finish().await;
    let whole = books.check_whole(&seen);
    fault(
        "F3, F21",
        "PostgreSQL crashes between statement and COMMIT: batches are sent again, each row stands once",
        format_args!(
            "{crashes} crashes, {whole} answers, 0 lost, 0 doubled, {unsure} refused as Redis was late as well"
        ),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promotion_of_a_lagging_postgres_replica_is_replayed_to_exact() {
    let (mut rig, load) = under_load().await;
    let mut replica = Postgres::replica_of(&rig.postgres).await;
    load.more(60).await;
    // from here on the replica gets nothing: what the primary commits now is lost with it
    replica.stop().await;
    load.more(100).await;
    drained(&rig).await;
    let sql = "SELECT count(*) FROM message_logs";
    let acknowledged = rig.postgres.number(sql).await;
    rig.postgres.kill().await;
    load.more(60).await;
    replica.start_again().await;
    replica.promote().await;
    let kept = replica.number(sql).await;
    assert!(kept < acknowledged, "the replica lags: {kept} of {acknowledged} rows");
    rig.postgres_proxy.redirect(replica.address()).await;
    std::mem::swap(&mut rig.postgres, &mut replica);
    load.more(60).await;
    let seen = load.stop().await;
    let unsure = refused(&rig, &seen);
    let books = rig.finish().await;
    let whole = books.check_whole(&seen);
    fault(
        "F5",
        "promotion of a PostgreSQL replica that lacks acknowledged commits: the journal replays to exact",
        format_args!(
            "{} acknowledged rows lost and replayed, {whole} answers, 0 lost, 0 doubled, {unsure} refused as Redis was late as well",
            acknowledged - kept
        ),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_partition_keeps_rows_in_the_journal_until_it_can_be_made() {
    let setup = Setup { gateways: 2, ..Setup::default() }.plan("wide", 1_000_000);
    let rig = ServerRig::with(setup, &[]).await;
    let month = rig.postgres.number("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMM')::bigint").await;
    let table = format!("message_logs_{}_{:02}", month / 100, month % 100);
    // another table has the partition's name: the gateways cannot make it
    let (drop_it, block) = (format!("DROP TABLE {table}"), format!("CREATE TABLE {table} (nothing bigint)"));
    rig.postgres.execute(&format!("{drop_it}; {block}")).await;
    let tokens = users(&rig, "user", 8, "wide");
    let load = Load::start(&rig, &tokens, Pace::default());
    load.reach(100).await;
    let waiting = pending(&rig).await;
    assert_eq!(rig.metric("tollgate_ledger_rows_total").await, 0, "rows without a partition");
    rig.postgres.execute(&drop_it).await;
    load.more(60).await;
    drained(&rig).await;
    let seen = load.stop().await;
    let unsure = refused(&rig, &seen);
    let books = rig.finish().await;
    let whole = books.check_whole(&seen);
    fault(
        "F29",
        "a missing partition that cannot be made: rows wait in the journal, nothing is put aside",
        format_args!(
            "{waiting} records waited, {whole} answers, 0 lost, {unsure} refused as Redis was late as well"
        ),
    );
}
