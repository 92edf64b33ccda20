//! Writing the roll-ups, in the transaction that writes their rows, and the totals of refusals.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, ToSql, Transaction, TransactionBehavior, params};

use super::error::Refusal;
use crate::store::analytics::RefusalTotal;
use crate::store::calls::{DURATION, FIRST_BYTE, TIMED, bound_ms};
use crate::store::day::week_of;
use crate::store::rollup::{BY_DAY, BY_DAY_TEAM, BY_DAY_USER, BY_MONTH_USER, Rollup, SUM_COLUMNS, Sums};
use crate::store::row::{Row, number};

/// Bytes of `2026-11`.
const MONTH_BYTES: usize = 7;

/// What a batch adds to the roll-ups.
#[derive(Debug, Default)]
pub(super) struct Rollups {
    days: BTreeMap<[String; 3], Sums>,
    users: BTreeMap<[String; 2], Sums>,
    months: BTreeMap<[String; 2], Sums>,
    teams: BTreeMap<[String; 2], Sums>,
    /// Week and user.
    weeks: BTreeSet<[String; 2]>,
    /// User and newest day.
    last_days: BTreeMap<String, String>,
    /// Calls by day, model and outcome: of all rows.
    outcomes: BTreeMap<(String, String, &'static str), i64>,
    /// Calls by day, measure and bound: of whole answers.
    latencies: BTreeMap<(String, &'static str, i64), i64>,
}

impl Rollups {
    /// Adds a row that went in. What is no charged message adds nothing but how it ended.
    pub fn add(&mut self, row: &Row<'_>) {
        self.add_call(row);
        if row.messages == 0 {
            return;
        }
        let sums = Sums::of(row);
        let day = || row.day.to_string();
        let text = ToString::to_string;
        self.days.entry([day(), text(&row.model_dispatched), text(&row.plan)]).or_default().add(&sums);
        if let Some(user) = &row.user {
            let month = row.day[..MONTH_BYTES].to_owned();
            self.users.entry([day(), text(user)]).or_default().add(&sums);
            self.months.entry([month, text(user)]).or_default().add(&sums);
            self.weeks.insert([week_of(&row.day), text(user)]);
            let last = self.last_days.entry(text(user)).or_default();
            *last = std::mem::take(last).max(day());
        }
        if let Some(team) = &row.team {
            self.teams.entry([day(), text(team)]).or_default().add(&sums);
        }
    }

    fn add_call(&mut self, row: &Row<'_>) {
        let key = (row.day.to_string(), row.model_dispatched.to_string(), row.outcome);
        *self.outcomes.entry(key).or_default() += 1;
        if row.outcome != TIMED.as_str() {
            return;
        }
        for (measure, ms) in [(DURATION, Some(row.duration_ms)), (FIRST_BYTE, row.first_byte_ms)] {
            if let Some(ms) = ms {
                *self.latencies.entry((row.day.to_string(), measure, bound_ms(ms))).or_default() += 1;
            }
        }
    }

    /// Adds it all to the tables.
    pub fn write(&self, transaction: &Transaction<'_>) -> Result<(), Refusal> {
        upsert(transaction, BY_DAY, &self.days)?;
        let fresh = upsert(transaction, BY_DAY_USER, &self.users)?;
        actives(transaction, "day", &fresh)?;
        let fresh = upsert(transaction, BY_MONTH_USER, &self.months)?;
        actives(transaction, "month", &fresh)?;
        actives(transaction, "week", &self.write_weeks(transaction)?)?;
        upsert(transaction, BY_DAY_TEAM, &self.teams)?;
        self.write_users(transaction)?;
        self.write_calls(transaction)
    }

    /// Returns the keys that were new.
    fn write_weeks(&self, transaction: &Transaction<'_>) -> Result<Vec<&[String; 2]>, Refusal> {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO usage_week_users (week, user_id) VALUES (?1, ?2) ON CONFLICT (week, user_id) DO NOTHING",
        )?;
        let mut fresh = Vec::new();
        for key in &self.weeks {
            if insert.execute(params![key[0], key[1]])? == 1 {
                fresh.push(key);
            }
        }
        Ok(fresh)
    }

    fn write_users(&self, transaction: &Transaction<'_>) -> Result<(), Refusal> {
        let mut upsert = transaction.prepare_cached(
            "INSERT INTO usage_users (user_id, last_day) VALUES (?1, ?2)
             ON CONFLICT (user_id) DO UPDATE SET last_day = max(last_day, excluded.last_day)",
        )?;
        for (user, day) in &self.last_days {
            upsert.execute(params![user, day])?;
        }
        Ok(())
    }

    fn write_calls(&self, transaction: &Transaction<'_>) -> Result<(), Refusal> {
        let mut outcomes = transaction.prepare_cached(
            "INSERT INTO usage_day_outcomes (day, model, outcome, calls) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (day, model, outcome) DO UPDATE SET calls = calls + excluded.calls",
        )?;
        for ((day, model, outcome), calls) in &self.outcomes {
            outcomes.execute(params![day, model, outcome, calls])?;
        }
        let mut latencies = transaction.prepare_cached(
            "INSERT INTO usage_day_latencies (day, measure, below_ms, calls) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (day, measure, below_ms) DO UPDATE SET calls = calls + excluded.calls",
        )?;
        for ((day, measure, below_ms), calls) in &self.latencies {
            latencies.execute(params![day, measure, below_ms, calls])?;
        }
        Ok(())
    }
}

/// Counts the users that are new in a period; the keys begin with it.
fn actives(transaction: &Transaction<'_>, period: &str, fresh: &[&[String; 2]]) -> Result<(), Refusal> {
    let mut actives: BTreeMap<&str, i64> = BTreeMap::new();
    for [period, _] in fresh {
        *actives.entry(period).or_default() += 1;
    }
    let mut count = transaction.prepare_cached(&format!(
        "INSERT INTO usage_{period}_actives ({period}, active_users) VALUES (?1, ?2)
         ON CONFLICT ({period}) DO UPDATE SET active_users = active_users + excluded.active_users"
    ))?;
    for (period, users) in actives {
        count.execute(params![period, users])?;
    }
    Ok(())
}

/// Adds sums to a table. Returns the keys that were new.
fn upsert<'a, const N: usize>(
    transaction: &Transaction<'_>,
    rollup: Rollup,
    sums: &'a BTreeMap<[String; N], Sums>,
) -> Result<Vec<&'a [String; N]>, Refusal> {
    if sums.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = transaction.prepare_cached(&add(rollup))?;
    let mut fresh = Vec::new();
    for (key, sums) in sums {
        let values =
            key.iter().map(|part| part as &dyn ToSql).chain(sums.0.iter().map(|sum| sum as &dyn ToSql));
        let messages: i64 = statement.query_row(rusqlite::params_from_iter(values), |row| row.get(0))?;
        // every row has at least one message, so what stood already is more now than was added
        if messages == sums.0[0] {
            fresh.push(key);
        }
    }
    Ok(fresh)
}

/// Sums stop at 2^63 - 1, as in PostgreSQL: SQLite would turn them into floating-point numbers.
fn add(Rollup { table, keys }: Rollup) -> String {
    let places: Vec<String> = (1..=keys.len() + SUM_COLUMNS.len()).map(|at| format!("?{at}")).collect();
    let sets = SUM_COLUMNS.map(|sum| {
        format!("{sum} = CASE WHEN {sum} > 9223372036854775807 - excluded.{sum} THEN 9223372036854775807 ELSE {sum} + excluded.{sum} END")
    });
    let keys = keys.join(", ");
    format!(
        "INSERT INTO {table} ({keys}, {}) VALUES ({}) ON CONFLICT ({keys}) DO UPDATE SET {} RETURNING messages",
        SUM_COLUMNS.join(", "),
        places.join(", "),
        sets.join(", ")
    )
}

/// Notes totals of refusals; a total never goes down.
pub(super) fn record_refusals(
    db: &mut Connection,
    gateway: &str,
    totals: &[RefusalTotal],
) -> Result<(), Refusal> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut note = transaction.prepare_cached(
            "INSERT INTO usage_refusals (day, gateway, reason, refused) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (day, gateway, reason) DO UPDATE SET refused = max(refused, excluded.refused)",
        )?;
        for total in totals {
            note.execute(params![total.day, gateway, total.reason, number(total.refused)])?;
        }
    }
    Ok(transaction.commit()?)
}
