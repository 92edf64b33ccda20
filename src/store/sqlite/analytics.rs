//! Reading the roll-ups, and pages of the audit log. It must not read `message_logs`.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, Transaction, params};

use super::error::Refusal;
use super::read;
use crate::store::analytics::{
    ActiveUsers, Analytics, DayUsage, KnownUser, MONTH_DAYS, NamedSums, Pieces, TOP_MAX, UsageSums,
    WEEK_DAYS, prefix_end,
};
use crate::store::audit::{AuditFilter, AuditRecord};
use crate::store::calls::Found;
use crate::store::day::Day;
use crate::store::rollup::Sums;
use crate::store::row::count;

/// What happened in the days `from..=to`: one snapshot, because it is one transaction.
pub(super) fn analytics(db: &mut Connection, from: &Day, to: &Day) -> Result<Analytics, Refusal> {
    let snapshot = db.transaction()?;
    let mut found = Analytics::default();
    let mut days: BTreeMap<String, DayUsage> = BTreeMap::new();
    let (mut models, mut plans) = (BTreeMap::new(), BTreeMap::new());
    let mut query = snapshot.prepare_cached(
        "SELECT messages, premium_messages, input_tokens, output_tokens, cached_tokens, cost_micro_usd, day, model, plan
         FROM usage_days WHERE day BETWEEN ?1 AND ?2",
    )?;
    let mut rows = query.query(params![from.as_str(), to.as_str()])?;
    while let Some(row) = rows.next()? {
        let sums = sums(row)?;
        of_day(&mut days, row.get("day")?).sums.add(&sums);
        models.entry(row.get("model")?).or_insert_with(UsageSums::default).add(&sums);
        plans.entry(row.get("plan")?).or_insert_with(UsageSums::default).add(&sums);
    }
    found.by_model = ranked(models, usize::MAX);
    found.by_plan = ranked(plans, usize::MAX);
    let mut query = snapshot
        .prepare_cached("SELECT period AS day, active_users FROM usage_actives WHERE span = 'day' AND period BETWEEN ?1 AND ?2")?;
    let mut rows = query.query(params![from.as_str(), to.as_str()])?;
    while let Some(row) = rows.next()? {
        of_day(&mut days, row.get(0)?).active_users = count(row.get(1)?)?;
    }
    refusals(&snapshot, from, to, &mut days, &mut found)?;
    found.days = days.into_values().collect();
    found.take_calls(calls(&snapshot, from, to)?);
    let (users, active) = top_users(&snapshot, from, to)?;
    found.top_users = users;
    found.top_teams = top_teams(&snapshot, from, to)?;
    found.active_users = ActiveUsers {
        day: active_since(&snapshot, to, to)?,
        week: active_since(&snapshot, &to.earlier(WEEK_DAYS - 1), to)?,
        month: active_since(&snapshot, &to.earlier(MONTH_DAYS - 1), to)?,
        range: active,
    };
    found.weeks = actives(&snapshot, "week", from.week_start().as_str(), to.as_str())?;
    found.months = actives(&snapshot, "month", from.month(), to.month())?;
    Ok(found)
}

fn of_day(days: &mut BTreeMap<String, DayUsage>, day: String) -> &mut DayUsage {
    let new = |day: &String| DayUsage { day: day.clone(), ..DayUsage::default() };
    days.entry(day).or_insert_with_key(new)
}

/// The first six columns.
fn sums(row: &Row<'_>) -> Result<UsageSums, Refusal> {
    let sums = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
    Ok(Sums(sums).try_into()?)
}

fn ranked(sums: BTreeMap<String, UsageSums>, max: usize) -> Vec<NamedSums> {
    let mut ranked: Vec<NamedSums> = sums.into_iter().map(|(name, sums)| NamedSums { name, sums }).collect();
    // stable: equal ones stay in the order of their names
    ranked.sort_by_key(|named| std::cmp::Reverse(named.sums.messages));
    ranked.truncate(max);
    ranked
}

fn refusals(
    snapshot: &Transaction<'_>,
    from: &Day,
    to: &Day,
    days: &mut BTreeMap<String, DayUsage>,
    found: &mut Analytics,
) -> Result<(), Refusal> {
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    let mut query = snapshot
        .prepare_cached("SELECT day, reason, refused FROM usage_refusals WHERE day BETWEEN ?1 AND ?2")?;
    let mut rows = query.query(params![from.as_str(), to.as_str()])?;
    while let Some(row) = rows.next()? {
        let refused = count(row.get(2)?)?;
        let sum = |a: &mut u64| *a = a.saturating_add(refused).min(i64::MAX.unsigned_abs());
        sum(&mut of_day(days, row.get(0)?).refused);
        sum(reasons.entry(row.get(1)?).or_default());
    }
    found.refused_by_reason = reasons.into_iter().collect();
    found.refused_by_reason.sort_by_key(|(_, refused)| std::cmp::Reverse(*refused));
    Ok(())
}

/// How the calls of the days ended, and how long they took.
fn calls(snapshot: &Transaction<'_>, from: &Day, to: &Day) -> Result<Found, Refusal> {
    let mut found = Found::default();
    let mut query = snapshot.prepare_cached(
        "SELECT day, model, outcome, calls FROM usage_day_outcomes WHERE day BETWEEN ?1 AND ?2",
    )?;
    let mut rows = query.query(params![from.as_str(), to.as_str()])?;
    while let Some(row) = rows.next()? {
        let (outcome, calls): (String, u64) = (row.get(2)?, count(row.get(3)?)?);
        found.of_day(row.get(0)?, &outcome, calls);
        found.of_model(row.get(1)?, outcome, calls);
    }
    let mut query = snapshot.prepare_cached(
        "SELECT day, measure, below_ms, calls FROM usage_day_latencies WHERE day BETWEEN ?1 AND ?2",
    )?;
    let mut rows = query.query(params![from.as_str(), to.as_str()])?;
    while let Some(row) = rows.next()? {
        let measure: String = row.get(1)?;
        found.took(row.get(0)?, &measure, row.get(2)?, count(row.get(3)?)?)?;
    }
    Ok(found)
}

/// The users with most messages, and how many users there are.
fn top_users(snapshot: &Transaction<'_>, from: &Day, to: &Day) -> Result<(Vec<NamedSums>, u64), Refusal> {
    let pieces = Pieces::of(from, to);
    let mut users: BTreeMap<String, UsageSums> = BTreeMap::new();
    let ranges = [
        ("usage_day_users", "day", pieces.head.0.as_str(), pieces.head.1.as_str()),
        ("usage_month_users", "month", pieces.months.0.as_str(), pieces.months.1.as_str()),
        ("usage_day_users", "day", pieces.tail.0.as_str(), pieces.tail.1.as_str()),
    ];
    for (table, period, from, to) in ranges {
        add_named(snapshot, &mut users, (table, period, "user_id"), (from, to))?;
    }
    let active = users.len() as u64;
    Ok((ranked(users, TOP_MAX as usize), active))
}

fn top_teams(snapshot: &Transaction<'_>, from: &Day, to: &Day) -> Result<Vec<NamedSums>, Refusal> {
    let mut teams = BTreeMap::new();
    let end = to.next();
    add_named(snapshot, &mut teams, ("usage_day_teams", "day", "team_id"), (from.as_str(), end.as_str()))?;
    Ok(ranked(teams, TOP_MAX as usize))
}

fn add_named(
    snapshot: &Transaction<'_>,
    named: &mut BTreeMap<String, UsageSums>,
    (table, period, name): (&str, &str, &str),
    (from, to): (&str, &str),
) -> Result<(), Refusal> {
    if from >= to {
        return Ok(());
    }
    let mut query = snapshot.prepare_cached(&format!(
        "SELECT messages, premium_messages, input_tokens, output_tokens, cached_tokens, cost_micro_usd, {name}
         FROM {table} WHERE {period} >= ?1 AND {period} < ?2"
    ))?;
    let mut rows = query.query(params![from, to])?;
    while let Some(row) = rows.next()? {
        let name = row.get_ref(6)?.as_str().map_err(rusqlite::Error::from)?;
        let sums = sums(row)?;
        match named.get_mut(name) {
            Some(known) => known.add(&sums),
            None => _ = named.insert(name.to_owned(), sums),
        }
    }
    Ok(())
}

fn active_since(snapshot: &Transaction<'_>, from: &Day, to: &Day) -> Result<u64, Refusal> {
    let mut query = snapshot
        .prepare_cached("SELECT count(DISTINCT user_id) FROM usage_day_users WHERE day BETWEEN ?1 AND ?2")?;
    Ok(count(query.query_row(params![from.as_str(), to.as_str()], |row| row.get(0))?)?)
}

/// Active users by week or month, `from..=to`.
fn actives(
    snapshot: &Transaction<'_>,
    span: &str,
    from: &str,
    to: &str,
) -> Result<Vec<(String, u64)>, Refusal> {
    let mut query = snapshot.prepare_cached(
        "SELECT period, active_users FROM usage_actives
         WHERE span = ?1 AND period BETWEEN ?2 AND ?3 ORDER BY period",
    )?;
    let mut rows = query.query(params![span, from, to])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(0)?, count(row.get(1)?)?));
    }
    Ok(found)
}

/// Users whose id begins with `prefix`, after `after`, in the order of their ids.
pub(super) fn users(db: &Connection, prefix: &str, after: &str, max: u32) -> Result<Vec<KnownUser>, Refusal> {
    let mut query = db.prepare_cached(
        "SELECT user_id, last_day FROM usage_users
         WHERE user_id >= ?1 AND (?2 IS NULL OR user_id < ?2) AND user_id > ?3 ORDER BY user_id LIMIT ?4",
    )?;
    let user = |row: &Row<'_>| Ok(KnownUser { user: row.get(0)?, last_day: row.get(1)? });
    let users = query.query_map(params![prefix, prefix_end(prefix), after, max], user)?;
    Ok(users.collect::<Result<_, _>>()?)
}

/// A page of the audit log, newest first.
pub(super) fn audit(db: &Connection, filter: &AuditFilter) -> Result<Vec<AuditRecord>, Refusal> {
    let AuditFilter { before_seq, since_ms, actor, action, subject, max } = filter;
    // a statement of its own: only so the index on the subject is used
    let whom = if subject.is_some() { "subject = ?6" } else { "?6 IS NULL" };
    let mut query = db.prepare_cached(&format!(
        "SELECT * FROM audit_log WHERE (?1 IS NULL OR seq < ?1) AND (?2 IS NULL OR at_ms >= ?2)
             AND (?3 IS NULL OR actor = ?3) AND (?4 IS NULL OR action = ?4) AND {whom} ORDER BY seq DESC LIMIT ?5"
    ))?;
    let records = query
        .query_map(params![before_seq, since_ms, actor, action, max, subject], read::audit_record)?
        .collect::<Result<_, _>>()?;
    Ok(records)
}
