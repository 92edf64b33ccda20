//! Reading the roll-ups, in one snapshot, and pages of the audit log. It must not read `message_logs`; it only reads, so a
//! standby can answer.

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::error::Failure;
use super::read;
use crate::store::analytics::{
    ActiveUsers, Analytics, DayUsage, KnownUser, MONTH_DAYS, NamedSums, Pieces, TOP_MAX, UsageSums,
    WEEK_DAYS, prefix_end,
};
use crate::store::audit::{AuditFilter, AuditRecord};
use crate::store::calls::Found;
use crate::store::day::Day;
use crate::store::rollup::{SUM_COLUMNS, Sums};
use crate::store::row::count;

/// What happened in the days `from..=to`.
pub(super) async fn analytics(client: &mut Object, from: &Day, to: &Day) -> Result<Analytics, Failure> {
    let snapshot = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    let range: [&(dyn ToSql + Sync); 2] = [&from.as_str(), &to.as_str()];
    let days = rows(&snapshot, &days(), &range).await?.iter().map(day).collect::<Result<_, _>>()?;
    let by = |name| format!("{} WHERE day BETWEEN $1 AND $2 {}", select(name, "usage_days"), rank(None));
    let by_model = named(&rows(&snapshot, &by("model"), &range).await?)?;
    let by_plan = named(&rows(&snapshot, &by("plan"), &range).await?)?;
    let refused = "SELECT reason, least(sum(refused), 9223372036854775807)::bigint FROM usage_refusals
        WHERE day BETWEEN $1 AND $2 GROUP BY reason ORDER BY 2 DESC, 1";
    let reason = |row: &Row| Ok::<_, Failure>((row.try_get(0)?, count(row.try_get(1)?)?));
    let refused_by_reason =
        rows(&snapshot, refused, &range).await?.iter().map(reason).collect::<Result<_, _>>()?;
    let users = {
        let Pieces { head, months, tail } = Pieces::of(from, to);
        let cuts = [&head.0, &head.1, &tail.0, &tail.1].map(Day::as_str);
        let months = [months.0.as_str(), months.1.as_str()];
        let range: Vec<&(dyn ToSql + Sync)> =
            cuts.iter().chain(&months).map(|cut| cut as &(dyn ToSql + Sync)).collect();
        rows(&snapshot, &top_users(), &range).await?
    };
    let active_in_range = users.first().map_or(Ok(0), |row| row.try_get("everybody"))?;
    let teams = format!(
        "{} WHERE day BETWEEN $1 AND $2 {}",
        select("team_id", "usage_day_teams"),
        rank(Some(TOP_MAX))
    );
    let top_teams = named(&rows(&snapshot, &teams, &range).await?)?;
    let active_users = ActiveUsers {
        day: active_since(&snapshot, to, to).await?,
        week: active_since(&snapshot, &to.earlier(WEEK_DAYS - 1), to).await?,
        month: active_since(&snapshot, &to.earlier(MONTH_DAYS - 1), to).await?,
        range: count(active_in_range)?,
    };
    let weeks = actives(&snapshot, "week", from.week_start().as_str(), to.as_str()).await?;
    let months = actives(&snapshot, "month", from.month(), to.month()).await?;
    let calls = calls(&snapshot, &range).await?;
    snapshot.commit().await?;
    let top_users = named(&users)?;
    let mut found = Analytics {
        days,
        by_model,
        by_plan,
        refused_by_reason,
        top_users,
        top_teams,
        active_users,
        weeks,
        months,
        ..Analytics::default()
    };
    found.take_calls(calls);
    Ok(found)
}

async fn rows(
    snapshot: &Transaction<'_>,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Failure> {
    let statement = snapshot.prepare_cached(statement).await?;
    Ok(snapshot.query(&statement, parameters).await?)
}

/// The sums of a table; each stops at the largest `bigint`.
fn folds() -> String {
    SUM_COLUMNS.map(|sum| format!("least(sum({sum}), 9223372036854775807)::bigint AS {sum}")).join(", ")
}

fn select(name: &str, table: &str) -> String {
    format!("SELECT {name} AS name, {} FROM {table}", folds())
}

fn rank(max: Option<u32>) -> String {
    let limit = max.map(|max| format!(" LIMIT {max}")).unwrap_or_default();
    format!("GROUP BY 1 ORDER BY messages DESC, name{limit}")
}

/// The three kinds of figures of a day, whichever of them it has.
pub(super) fn days() -> String {
    format!(
        "SELECT day, active_users, refused, {}
         FROM (SELECT day, {} FROM usage_days WHERE day BETWEEN $1 AND $2 GROUP BY day) AS used
         FULL JOIN (SELECT period AS day, active_users FROM usage_actives WHERE span = 'day' AND period BETWEEN $1 AND $2) AS active USING (day)
         FULL JOIN (SELECT day, least(sum(refused), 9223372036854775807)::bigint AS refused FROM usage_refusals
             WHERE day BETWEEN $1 AND $2 GROUP BY day) AS refusals USING (day)
         ORDER BY day",
        SUM_COLUMNS.join(", "),
        folds()
    )
}

/// `$1..$2` and `$3..$4`: days; `$5..$6`: months; half open.
pub(super) fn top_users() -> String {
    let sums = SUM_COLUMNS.join(", ");
    format!(
        "SELECT name, {}, count(*) OVER () AS everybody FROM (
             SELECT user_id AS name, {sums} FROM usage_day_users WHERE day >= $1 AND day < $2
             UNION ALL SELECT user_id, {sums} FROM usage_day_users WHERE day >= $3 AND day < $4
             UNION ALL SELECT user_id, {sums} FROM usage_month_users WHERE month >= $5 AND month < $6
         ) AS pieces {}",
        folds(),
        rank(Some(TOP_MAX))
    )
}

fn day(row: &Row) -> Result<DayUsage, Failure> {
    let number = |column| Ok::<_, Failure>(count(row.try_get::<_, Option<i64>>(column)?.unwrap_or(0))?);
    Ok(DayUsage {
        day: row.try_get("day")?,
        sums: sums(row)?,
        active_users: number("active_users")?,
        refused: number("refused")?,
        ..DayUsage::default()
    })
}

fn named(rows: &[Row]) -> Result<Vec<NamedSums>, Failure> {
    rows.iter().map(|row| Ok(NamedSums { name: row.try_get("name")?, sums: sums(row)? })).collect()
}

fn sums(row: &Row) -> Result<UsageSums, Failure> {
    let mut sums = Sums::default();
    for (sum, column) in sums.0.iter_mut().zip(SUM_COLUMNS) {
        *sum = row.try_get::<_, Option<i64>>(column)?.unwrap_or(0);
    }
    Ok(sums.try_into()?)
}

async fn active_since(snapshot: &Transaction<'_>, from: &Day, to: &Day) -> Result<u64, Failure> {
    let statement = "SELECT count(DISTINCT user_id) FROM usage_day_users WHERE day BETWEEN $1 AND $2";
    let statement = snapshot.prepare_cached(statement).await?;
    Ok(count(snapshot.query_one(&statement, &[&from.as_str(), &to.as_str()]).await?.try_get(0)?)?)
}

/// Active users by week or month, `from..=to`.
async fn actives(
    snapshot: &Transaction<'_>,
    span: &str,
    from: &str,
    to: &str,
) -> Result<Vec<(String, u64)>, Failure> {
    let statement = "SELECT period, active_users FROM usage_actives
        WHERE span = $1 AND period BETWEEN $2 AND $3 ORDER BY period";
    let found = rows(snapshot, statement, &[&span, &from, &to]).await?;
    found.iter().map(|row| Ok((row.try_get(0)?, count(row.try_get(1)?)?))).collect()
}

/// Calls by day and outcome, and by model and outcome.
const OUTCOMES: &str = "SELECT day, model, outcome, sum(calls)::bigint FROM usage_day_outcomes
    WHERE day BETWEEN $1 AND $2 GROUP BY GROUPING SETS ((day, outcome), (model, outcome))";
/// The histograms.
const LATENCIES: &str =
    "SELECT day, measure, below_ms, calls FROM usage_day_latencies WHERE day BETWEEN $1 AND $2";

/// How the calls of the days ended, and how long they took.
async fn calls(snapshot: &Transaction<'_>, range: &[&(dyn ToSql + Sync)]) -> Result<Found, Failure> {
    let mut found = Found::default();
    for row in rows(snapshot, OUTCOMES, range).await? {
        let (outcome, calls): (String, u64) = (row.try_get(2)?, count(row.try_get(3)?)?);
        match row.try_get(0)? {
            Some(day) => found.of_day(day, &outcome, calls),
            None => found.of_model(row.try_get(1)?, outcome, calls),
        }
    }
    for row in rows(snapshot, LATENCIES, range).await? {
        found.took(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, count(row.try_get(3)?)?)?;
    }
    Ok(found)
}

/// Users whose id begins with `prefix`, after `after`, in the order of their ids.
pub(super) async fn users(
    client: &Object,
    prefix: &str,
    after: &str,
    max: u32,
) -> Result<Vec<KnownUser>, Failure> {
    let statement = client
        .prepare_cached(
            "SELECT user_id, last_day FROM usage_users
             WHERE user_id >= $1 AND ($2::text IS NULL OR user_id < $2) AND user_id > $3 ORDER BY user_id LIMIT $4",
        )
        .await?;
    let end = prefix_end(prefix);
    let rows = client.query(&statement, &[&prefix, &end, &after, &i64::from(max)]).await?;
    rows.iter().map(|row| Ok(KnownUser { user: row.try_get(0)?, last_day: row.try_get(1)? })).collect()
}

/// A page of the audit log, newest first.
pub(super) async fn audit(client: &Object, filter: &AuditFilter) -> Result<Vec<AuditRecord>, Failure> {
    let AuditFilter { before_seq, since_ms, actor, action, subject, max } = filter;
    let max = i64::from(*max);
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![before_seq, since_ms, actor, action, &max];
    parameters.extend(subject.iter().map(|subject| subject as &(dyn ToSql + Sync)));
    let statement = client.prepare_cached(&audit_page(subject.is_some())).await?;
    let rows = client.query(&statement, &parameters).await?;
    rows.iter().map(read::audit_record).collect()
}

/// A statement of its own for one subject: only so the index is used.
pub(super) fn audit_page(of_subject: bool) -> String {
    let whom = if of_subject { "AND subject = $6" } else { "" };
    format!(
        "SELECT * FROM audit_log WHERE seq < coalesce($1, 9223372036854775807) AND at_ms >= coalesce($2, at_ms)
             AND actor = coalesce($3, actor) AND action = coalesce($4, action) {whom} ORDER BY seq DESC LIMIT $5"
    )
}
