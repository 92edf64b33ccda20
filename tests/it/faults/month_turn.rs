//! The turn of a month under load: each message is counted in the month of its admission. With embedded stores, whose time
//! is the gateway's: `--clock-shift` moves it to seconds before the turn.

use std::time::Duration;

use chrono::{Datelike, Months, NaiveTime, Utc};
use rusqlite::Connection;
use tollgate::clock::Clock;

use super::users;
use crate::harness::{Load, Pace, Rig, Setup, eventually, fault};

/// The turn comes so long after the gateway's start: time for the load to be under way.
const BEFORE_TURN_S: u64 = 8;

/// From now to the first second of the next month (UTC).
fn to_next_month() -> Duration {
    let now = Clock::system().now().in_zone(&Utc);
    let next = now.date_naive().with_day(1).unwrap() + Months::new(1);
    let seconds = next.and_time(NaiveTime::MIN).and_utc().timestamp() - now.timestamp();
    Duration::from_secs(seconds.unsigned_abs())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_turn_of_a_month_each_message_counts_in_the_month_of_its_admission() {
    let lead = Duration::from_secs(BEFORE_TURN_S);
    let setup = Setup { clock_shift: to_next_month().checked_sub(lead).unwrap(), ..Setup::default() };
    let rig = Rig::with(setup.plan("wide", 1_000_000)).await;
    let tokens = users(&rig, "user", 6, "wide");
    let load = Load::start(&rig, &tokens, Pace { piece_delay_ms: 20, ..Pace::default() });
    let db = Connection::open(rig.gateway().ledger()).unwrap();
    let months = || {
        let sql = "SELECT month, sum(messages) FROM message_logs GROUP BY month ORDER BY month";
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)));
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    eventually("no month turns", async || (months().len() == 2).then_some(())).await;
    load.more(100).await;
    let seen = load.stop().await;
    assert_eq!((seen.server_errors(), seen.broken()), (0, 0), "{}", seen.examples());
    rig.quiet().await;
    let months = months();
    // a row's month, its charges' month and the time of its admission are one
    let sql = "SELECT count(*) FROM message_logs WHERE month <> strftime('%Y-%m', admitted_at_ms / 1000, 'unixepoch')
               OR json_extract(charges, '$[0][3]') <> month";
    let misplaced: i64 = db.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(misplaced, 0, "rows in another month than that of their admission");
    let sql =
        "SELECT count(*) FROM message_logs WHERE month <> strftime('%Y-%m', ended_at_ms / 1000, 'unixepoch')";
    let straddling: i64 = db.query_row(sql, [], |row| row.get(0)).unwrap();
    let sql = "SELECT period, sum(used) FROM user_usage GROUP BY period ORDER BY period";
    let mut statement = db.prepare(sql).unwrap();
    let totals = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)));
    assert_eq!(totals.unwrap().map(Result::unwrap).collect::<Vec<_>>(), months, "running totals by month");
    drop(statement);
    drop(db);
    let books = rig.finish().await;
    books.check_whole(&seen);
    assert_eq!(books.messages(), months.iter().map(|(_, count)| count.unsigned_abs()).sum::<u64>());
    fault(
        "F18",
        "month turn under load: each message in the month of its admission, sums exact",
        format_args!("{months:?}, {straddling} answers straddled the turn"),
    );
}
