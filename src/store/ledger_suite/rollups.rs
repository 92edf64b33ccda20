//! Analytics: roll-ups equal SQL over `message_logs` to the unit, whatever is repeated, split or reordered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Handle;

use super::Bench;
use super::calls::{assert_calls_answered, assert_calls_rolled_up};
use super::material::{entry, uncharged};
use crate::store::analytics::{ActiveUsers, NamedSums, RefusalTotal, TOP_MAX, UsageSums};
use crate::store::day::Day;
use crate::store::entry::{Entry, Outcome, Tokens};
use crate::store::ledger::Ledger;

/// The sums of `message_logs` in the order of the roll-ups' columns.
const SUMS: &str =
    "sum(messages), sum(CASE WHEN premium THEN messages ELSE 0 END), sum(input_tokens), sum(output_tokens),
    sum(cached_tokens), sum(cost_micro_usd)";
/// The same of a roll-up.
const ROLLED: &str = "messages, premium_messages, input_tokens, output_tokens, cached_tokens, cost_micro_usd";

/// Every test ends here too: each roll-up is the fold of the rows.
pub(crate) async fn assert_rolled_up(bench: &impl Bench) {
    for (table, keys, of_row, filter) in [
        ("usage_days", "day, model, plan", "day, model_dispatched, plan", ""),
        ("usage_day_users", "day, user_id", "day, user_id", "AND user_id IS NOT NULL"),
        ("usage_month_users", "month, user_id", "substr(day, 1, 7), user_id", "AND user_id IS NOT NULL"),
        ("usage_day_teams", "day, team_id", "day, team_id", "AND team_id IS NOT NULL"),
    ] {
        let rolled = format!("SELECT {keys}, {ROLLED} FROM {table}");
        let folded = format!(
            "SELECT {of_row}, {SUMS} FROM message_logs WHERE messages > 0 {filter} GROUP BY {of_row}"
        );
        assert_eq!(sorted(bench, &rolled).await, sorted(bench, &folded).await, "{table}");
    }
    for (period, of_row) in [("day", "day"), ("month", "substr(day, 1, 7)")] {
        let rolled = format!("SELECT period, active_users FROM usage_actives WHERE span = '{period}'");
        let folded = format!(
            "SELECT {of_row}, count(DISTINCT user_id) FROM message_logs
             WHERE messages > 0 AND user_id IS NOT NULL GROUP BY {of_row}"
        );
        assert_eq!(sorted(bench, &rolled).await, sorted(bench, &folded).await, "actives by {period}");
    }
    // the two databases spell a week unlike each other: it is folded here
    let charged = "FROM message_logs WHERE messages > 0 AND user_id IS NOT NULL";
    let mut weeks = BTreeMap::<String, BTreeSet<String>>::new();
    for row in bench.rows(&format!("SELECT DISTINCT day, user_id {charged}")).await {
        let monday = if row[0].as_str() < "0001" {
            row[0].clone()
        } else {
            Day::parse(&row[0]).unwrap().week_start().to_string()
        };
        weeks.entry(monday).or_default().insert(row[1].clone());
    }
    let folded: Vec<_> = weeks.into_iter().map(|(week, users)| vec![week, users.len().to_string()]).collect();
    assert_eq!(
        sorted(bench, "SELECT period, active_users FROM usage_actives WHERE span = 'week'").await,
        folded
    );
    let folded = format!("SELECT user_id, max(day) {charged} GROUP BY user_id");
    assert_eq!(
        sorted(bench, "SELECT user_id, last_day FROM usage_users").await,
        sorted(bench, &folded).await
    );
    assert_calls_rolled_up(bench).await;
}

async fn sorted(bench: &impl Bench, sql: &str) -> Vec<Vec<String>> {
    let mut rows = bench.rows(sql).await;
    rows.sort();
    rows
}

/// Days around the turns of three months.
fn day(number: usize) -> Day {
    let mut day = Day::parse("2026-10-30").unwrap();
    (0..number).for_each(|_| day = day.next());
    day
}
const DAYS: usize = 66;

/// Requests, the batches they arrive in by index, and the range that is asked for.
#[derive(Clone, Debug)]
struct History {
    requests: Vec<Entry>,
    batches: Vec<Vec<prop::sample::Index>>,
    range: (usize, usize),
}

fn request() -> impl Strategy<Value = Entry> {
    let names = (0..DAYS, 0..3_usize, 0..2_usize, prop::option::of(0..4_usize), prop::option::of(0..2_usize));
    let amount = || prop_oneof![Just(0), 1..1_000_u64, Just(1 << 40)];
    let outcome = prop_oneof![
        3 => Just(Outcome::Ok),
        3 => prop::sample::select(vec![Outcome::Cancelled, Outcome::Truncated, Outcome::Crashed]),
        1 => prop::sample::select(vec![Outcome::UpstreamError, Outcome::ClientGone]),
    ];
    let times = (0..100_000_u64, prop::option::of(0..5_000_u64));
    (names, any::<bool>(), outcome, times, (amount(), amount(), amount())).prop_map(
        |((at, model, plan, user, team), premium, outcome, times, (input, output, cost_micro_usd))| Entry {
            month: day(at).month().to_owned(),
            day: day(at).as_str().to_owned(),
            model_dispatched: format!("model-{model}"),
            plan: format!("plan-{plan}"),
            user: user.map(|user| format!("user-{user}")),
            team: team.map(|team| format!("team-{team}")),
            premium,
            outcome,
            duration_ms: times.0,
            first_byte_ms: times.1,
            tokens: Tokens { input, output, cached: input / 2, ..Tokens::default() },
            cost_micro_usd,
            charges: vec![],
            ..entry("someone")
        },
    )
}

fn histories() -> impl Strategy<Value = History> {
    let batches = vec(vec(any::<prop::sample::Index>(), 0..16), 1..6);
    (vec(request(), 1..32), batches, (0..DAYS, 0..DAYS)).prop_map(|(requests, batches, (a, b))| History {
        requests,
        batches,
        range: (a.min(b), a.max(b)),
    })
}

pub(crate) async fn random_histories_keep_the_roll_ups(bench: &impl Bench) {
    let config = Config { cases: bench.histories(), failure_persistence: None, ..Config::default() };
    let played = AtomicU64::new(0);
    tokio::task::block_in_place(|| {
        let play = |history: History| {
            played.fetch_add(1, Ordering::Relaxed);
            Handle::current().block_on(play(bench, &history));
            Ok(())
        };
        TestRunner::new(config).run(&histories(), play).unwrap();
    });
    assert!(played.into_inner() >= u64::from(bench.histories()));
}

async fn play(bench: &impl Bench, history: &History) {
    for batch in &history.batches {
        let rows: Vec<Entry> = batch.iter().map(|at| at.get(&history.requests).clone()).collect();
        bench.ledger().ingest(&rows).await.unwrap();
    }
    assert_rolled_up(bench).await;
    assert_answers(bench, &day(history.range.0), &day(history.range.1)).await;
}

/// What `analytics` answers is SQL over the rows.
async fn assert_answers(bench: &impl Bench, from: &Day, to: &Day) {
    let found = bench.ledger().analytics(from, to).await.unwrap();
    let since =
        |from: &Day| format!("FROM message_logs WHERE messages > 0 AND day BETWEEN '{from}' AND '{to}'");
    let range = since(from);
    let days = bench
        .rows(&format!("SELECT day, {SUMS}, count(DISTINCT user_id) {range} GROUP BY day ORDER BY day"))
        .await;
    let charged = found.days.iter().filter(|day| day.sums.messages > 0);
    let answered = charged.map(|day| {
        let mut row = texts(&day.day, &day.sums);
        row.push(day.active_users.to_string());
        row
    });
    assert_eq!(answered.collect::<Vec<_>>(), days);
    for (answered, column, max) in [
        (&found.by_model, "model_dispatched", 1_000),
        (&found.by_plan, "plan", 1_000),
        (&found.top_users, "user_id", TOP_MAX),
        (&found.top_teams, "team_id", TOP_MAX),
    ] {
        let sql = format!(
            "SELECT {column}, {SUMS} {range} AND {column} IS NOT NULL
             GROUP BY {column} ORDER BY sum(messages) DESC, {column} LIMIT {max}"
        );
        assert_eq!(named(answered), bench.rows(&sql).await, "{column} in {from}..={to}");
    }
    let mut active: Vec<u64> = Vec::new();
    for from in [to, &to.earlier(6), &to.earlier(29), from] {
        let rows = bench.rows(&format!("SELECT count(DISTINCT user_id) {}", since(from))).await;
        active.push(rows[0][0].parse().unwrap());
    }
    let ActiveUsers { day, week, month, range } = found.active_users;
    assert_eq!([day, week, month, range], active[..]);
    assert_calls_answered(bench, &found, from, to).await;
}

fn named(sums: &[NamedSums]) -> Vec<Vec<String>> {
    sums.iter().map(|named| texts(&named.name, &named.sums)).collect()
}

fn texts(name: &str, sums: &UsageSums) -> Vec<String> {
    let numbers = [
        sums.messages,
        sums.premium_messages,
        sums.input_tokens,
        sums.output_tokens,
        sums.cached_tokens,
        sums.cost_micro_usd,
    ];
    std::iter::once(name.to_owned()).chain(numbers.map(|number| number.to_string())).collect()
}

/// Only charged messages count, a user once a day, an anonymous caller's messages and no user.
pub(crate) async fn analytics_count_what_was_charged(bench: &impl Bench) {
    let batch = [
        entry("ada"),
        Entry { team: Some("crew".to_owned()), premium: true, ..entry("ada") },
        Entry { user: None, ..entry("addr") },
        uncharged("ben"),
        Entry { day: "2026-11-16".to_owned(), ..entry("ben") },
    ];
    bench.ledger().ingest(&batch).await.unwrap();
    bench.ledger().ingest(&batch).await.unwrap();
    let day = Day::parse("2026-11-15").unwrap();
    let found = bench.ledger().analytics(&day, &day).await.unwrap();
    assert_eq!(found.days.len(), 1);
    let sums = found.days[0].sums;
    assert_eq!((sums.messages, sums.premium_messages, found.days[0].active_users), (3, 1, 1));
    assert_eq!(
        (sums.input_tokens, sums.output_tokens, sums.cached_tokens, sums.cost_micro_usd),
        (33, 66, 9, 99)
    );
    assert_eq!(found.top_users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["ada"]);
    assert_eq!(found.top_teams[0].sums.messages, 1);
    let both = bench.ledger().analytics(&day, &day.next()).await.unwrap();
    assert_eq!(both.active_users, ActiveUsers { day: 1, week: 2, month: 2, range: 2 });
    // the 15th is a Sunday: ada's week ends with it
    assert_eq!(both.weeks, [("2026-11-09".to_owned(), 1), ("2026-11-16".to_owned(), 1)]);
    assert_eq!(both.months, [("2026-11".to_owned(), 2)]);
    let none = bench.ledger().analytics(&day.earlier(9), &day.earlier(8)).await.unwrap();
    assert_eq!((none.days.len(), none.active_users.range), (0, 0));
}

/// A search finds the ids that begin so, page by page, and no others.
pub(crate) async fn users_are_found_by_how_they_begin(bench: &impl Bench) {
    let users = ["ada", "adam", "ad%", "b", "\u{d7ff}x", "\u{d7ff}y", "\u{10ffff}z"];
    let batch: Vec<_> = users.iter().map(|user| entry(user)).chain([uncharged("adrian")]).collect();
    bench.ledger().ingest(&batch).await.unwrap();
    let later = Entry { day: "2026-11-16".to_owned(), ..entry("ada") };
    bench.ledger().ingest(&[later]).await.unwrap();
    bench.ledger().ingest(&[entry("ada")]).await.unwrap();
    for (prefix, after, max, wanted) in [
        ("ad", "", 10, &["ad%", "ada", "adam"][..]),
        ("ad", "", 2, &["ad%", "ada"]),
        ("ad", "ada", 2, &["adam"]),
        ("ad%", "", 10, &["ad%"]),
        ("\u{d7ff}", "", 10, &["\u{d7ff}x", "\u{d7ff}y"]),
        ("\u{10ffff}", "", 10, &["\u{10ffff}z"]),
        ("c", "", 10, &[]),
        ("", "adam", 2, &["b", "\u{d7ff}x"]),
    ] {
        let found = bench.ledger().users(prefix, after, max).await.unwrap();
        assert_eq!(
            found.iter().map(|user| user.user.as_str()).collect::<Vec<_>>(),
            wanted,
            "{prefix} {after}"
        );
    }
    assert_eq!(bench.ledger().users("ada", "", 1).await.unwrap()[0].last_day, "2026-11-16");
}

/// A record of a version that wrote no day counts on its day in UTC.
pub(crate) async fn a_row_without_a_day_counts_on_its_utc_day(bench: &impl Bench) {
    bench.ledger().ingest(&[Entry { day: String::new(), ..entry("ada") }]).await.unwrap();
    let rows = bench.rows("SELECT day FROM message_logs").await;
    assert_eq!(rows, [["2026-11-15"]]);
}

/// Totals of a gateway's run can be sent again, also late; those of several add up.
pub(crate) async fn refusals_add_up_by_gateway(bench: &impl Bench) {
    let total = |day: &str, reason, refused| RefusalTotal { day: day.to_owned(), reason, refused };
    let ledger = bench.ledger();
    let late = [total("2026-11-15", "refused_quota", 2)];
    let first = [total("2026-11-15", "refused_quota", 5), total("2026-11-16", "refused_rate", 1)];
    for (gateway, totals) in [("a", &first[..]), ("a", &first), ("a", &late), ("b", &late), ("b", &[])] {
        ledger.record_refusals(gateway, totals).await.unwrap();
    }
    let day = Day::parse("2026-11-15").unwrap();
    let found = ledger.analytics(&day, &day.next()).await.unwrap();
    let days: Vec<_> = found.days.iter().map(|day| (day.day.as_str(), day.refused)).collect();
    assert_eq!(days, [("2026-11-15", 7), ("2026-11-16", 1)]);
    assert_eq!(found.refused_by_reason, [("refused_quota".to_owned(), 7), ("refused_rate".to_owned(), 1)]);
}
