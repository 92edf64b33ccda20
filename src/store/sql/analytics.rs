//! Reading the roll-ups. It must not read `message_logs`; it only reads, so a standby can answer.

use std::collections::BTreeMap;

use super::{ResultRow, Session};
use crate::store::analytics::{
    ActiveUsers, Analytics, DayUsage, KnownUser, MONTH_DAYS, NamedSums, Pieces, TOP_MAX, UsageSums,
    WEEK_DAYS, prefix_end,
};
use crate::store::calls::CallsFound;
use crate::store::day::Day;
use crate::store::rollup::SUM_COLUMNS;
use crate::store::row::Value;

/// What happened in the days `from..=to`; the session is one snapshot.
pub async fn analytics<S: Session>(session: &S, from: &Day, to: &Day) -> Result<Analytics, S::Error> {
    let range = [from.as_str().into(), to.as_str().into()];
    let users = session.query(&top_users_statement(), &pieces(from, to)).await?;
    let everybody = users.first().map_or(Ok(0), |row| row.count(1 + SUM_COLUMNS.len()))?;
    let mut found = Analytics {
        by_model: named(&session.query(&ranked("model", "usage_days", None), &range).await?)?,
        by_plan: named(&session.query(&ranked("plan", "usage_days", None), &range).await?)?,
        refused_by_reason: refused(session, "reason", &range).await?,
        top_users: named(&users)?,
        top_teams: named(
            &session.query(&ranked("team_id", "usage_day_teams", Some(TOP_MAX)), &range).await?,
        )?,
        active_users: ActiveUsers {
            day: active_since(session, to, to).await?,
            week: active_since(session, &to.earlier(WEEK_DAYS - 1), to).await?,
            month: active_since(session, &to.earlier(MONTH_DAYS - 1), to).await?,
            range: everybody,
        },
        weeks: actives(session, "week", from.week_start().as_str(), to.as_str()).await?,
        months: actives(session, "month", from.month(), to.month()).await?,
        days: days(session, from, to).await?,
        ..Analytics::default()
    };
    found.take_calls(calls(session, &range).await?);
    Ok(found)
}

/// The three kinds of figures of a day, whichever of them it has.
async fn days<S: Session>(session: &S, from: &Day, to: &Day) -> Result<Vec<DayUsage>, S::Error> {
    let range = [from.as_str().into(), to.as_str().into()];
    let mut days: BTreeMap<String, DayUsage> = BTreeMap::new();
    let used = format!("SELECT day, {} FROM usage_days WHERE day BETWEEN $1 AND $2 GROUP BY day", folds());
    for row in session.query(&used, &range).await? {
        of_day(&mut days, row.text(0)?).sums = sums(&row)?;
    }
    for (day, users) in actives(session, "day", from.as_str(), to.as_str()).await? {
        of_day(&mut days, day).active_users = users;
    }
    for (day, refused) in refused(session, "day", &range).await? {
        of_day(&mut days, day).refused = refused;
    }
    Ok(days.into_values().collect())
}

fn of_day(days: &mut BTreeMap<String, DayUsage>, day: String) -> &mut DayUsage {
    let new = |day: &String| DayUsage { day: day.clone(), ..DayUsage::default() };
    days.entry(day).or_insert_with_key(new)
}

/// Refusals by a column; most first, then by name.
async fn refused<S: Session>(
    session: &S,
    by: &str,
    range: &[Value<'_>],
) -> Result<Vec<(String, u64)>, S::Error> {
    let statement = format!(
        "SELECT {by}, CAST(sum(refused) AS bigint) AS refused FROM usage_refusals
         WHERE day BETWEEN $1 AND $2 GROUP BY {by} ORDER BY 2 DESC, 1"
    );
    numbers(&session.query(&statement, range).await?)
}

/// Active users by day, week or month, `from..=to`.
async fn actives<S: Session>(
    session: &S,
    span: &str,
    from: &str,
    to: &str,
) -> Result<Vec<(String, u64)>, S::Error> {
    let statement = "SELECT period, active_users FROM usage_actives
        WHERE span = $1 AND period BETWEEN $2 AND $3 ORDER BY period";
    numbers(&session.query(statement, &[span.into(), from.into(), to.into()]).await?)
}

async fn active_since<S: Session>(session: &S, from: &Day, to: &Day) -> Result<u64, S::Error> {
    let statement = "SELECT count(DISTINCT user_id) FROM usage_day_users WHERE day BETWEEN $1 AND $2";
    Ok(session.one(statement, &[from.as_str().into(), to.as_str().into()]).await?.count(0)?)
}

fn numbers<E: From<String>>(rows: &[ResultRow]) -> Result<Vec<(String, u64)>, E> {
    rows.iter().map(|row| Ok((row.text(0)?, row.count(1)?))).collect()
}

/// The sums of a table. Amounts are bounded where they are written, so that no sum of rows is over 2^63 - 1.
fn folds() -> String {
    SUM_COLUMNS.map(|sum| format!("CAST(sum({sum}) AS bigint) AS {sum}")).join(", ")
}

fn rank(max: Option<u32>) -> String {
    let limit = max.map(|max| format!(" LIMIT {max}")).unwrap_or_default();
    format!("GROUP BY 1 ORDER BY messages DESC, name{limit}")
}

fn ranked(name: &str, table: &str, max: Option<u32>) -> String {
    format!("SELECT {name} AS name, {} FROM {table} WHERE day BETWEEN $1 AND $2 {}", folds(), rank(max))
}

/// Whole months and the days at both ends; with how many users there are in all.
pub fn top_users_statement() -> String {
    let sums = SUM_COLUMNS.join(", ");
    format!(
        "SELECT name, {}, count(*) OVER () FROM (
             SELECT user_id AS name, {sums} FROM usage_day_users WHERE day >= $1 AND day < $2
             UNION ALL SELECT user_id, {sums} FROM usage_day_users WHERE day >= $3 AND day < $4
             UNION ALL SELECT user_id, {sums} FROM usage_month_users WHERE month >= $5 AND month < $6
         ) AS pieces {}",
        folds(),
        rank(Some(TOP_MAX))
    )
}

/// The parameters of [`top_users_statement`].
pub fn pieces(from: &Day, to: &Day) -> [Value<'static>; 6] {
    let Pieces { head, months, tail } = Pieces::of(from, to);
    let day = |day: Day| Value::from(day.to_string());
    [day(head.0), day(head.1), day(tail.0), day(tail.1), months.0.into(), months.1.into()]
}

fn named<E: From<String>>(rows: &[ResultRow]) -> Result<Vec<NamedSums>, E> {
    rows.iter().map(|row| Ok(NamedSums { name: row.text(0)?, sums: sums(row)? })).collect()
}

/// The six columns after the first.
fn sums(row: &ResultRow) -> Result<UsageSums, String> {
    Ok(UsageSums {
        messages: row.count(1)?,
        premium_messages: row.count(2)?,
        input_tokens: row.count(3)?,
        output_tokens: row.count(4)?,
        cached_tokens: row.count(5)?,
        cost_micro_usd: row.count(6)?,
    })
}

/// How the calls of the days ended, and how long they took.
async fn calls<S: Session>(session: &S, range: &[Value<'_>]) -> Result<CallsFound, S::Error> {
    let mut found = CallsFound::default();
    let by = |column| {
        format!(
            "SELECT {column}, outcome, CAST(sum(calls) AS bigint) FROM usage_day_outcomes
             WHERE day BETWEEN $1 AND $2 GROUP BY {column}, outcome"
        )
    };
    for row in session.query(&by("day"), range).await? {
        found.of_day(row.text(0)?, &row.text(1)?, row.count(2)?);
    }
    for row in session.query(&by("model"), range).await? {
        found.of_model(row.text(0)?, row.text(1)?, row.count(2)?);
    }
    let latencies =
        "SELECT day, measure, below_ms, calls FROM usage_day_latencies WHERE day BETWEEN $1 AND $2";
    for row in session.query(latencies, range).await? {
        found.took(row.text(0)?, &row.text(1)?, row.number(2)?, row.count(3)?)?;
    }
    Ok(found)
}

/// Users whose id begins with `prefix`, after `after`, in the order of their ids.
pub async fn users<S: Session>(
    session: &S,
    prefix: &str,
    after: &str,
    max: u32,
) -> Result<Vec<KnownUser>, S::Error> {
    let statement = "SELECT user_id, last_day FROM usage_users
        WHERE user_id >= $1 AND (CAST($2 AS text) IS NULL OR user_id < $2) AND user_id > $3 ORDER BY user_id LIMIT $4";
    let end = prefix_end(prefix).map_or(Value::Null, Value::from);
    let rows = session.query(statement, &[prefix.into(), end, after.into(), i64::from(max).into()]).await?;
    rows.iter().map(|row| Ok(KnownUser { user: row.text(0)?, last_day: row.text(1)? })).collect()
}
