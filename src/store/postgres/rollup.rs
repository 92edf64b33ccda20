//! Writing the roll-ups: more parts of the statement that writes their rows, so one transaction; and the totals of
//! refusals. Each part locks its rows in the order of their keys.

use deadpool_postgres::Object;

use super::error::Failure;
use crate::store::analytics::RefusalTotal;
use crate::store::calls::{BOUNDS_MS, DURATION, FIRST_BYTE, NO_BOUND_MS, TIMED};
use crate::store::rollup::{BY_DAY, BY_DAY_TEAM, BY_DAY_USER, BY_MONTH_USER, Rollup, SUM_COLUMNS};
use crate::store::row::number;

/// What the part `inserted` of the statement must return for these parts.
pub(super) const RETURNED: &str = "day, model_dispatched, plan, user_id, team_id, messages, premium, input_tokens, \
                                   output_tokens, cached_tokens, cost_micro_usd, outcome, duration_ms, first_byte_ms";

/// The parts, which read the part `inserted`. What is no charged message adds nothing but how it ended.
pub(super) fn parts() -> String {
    let by_day = upsert(BY_DAY, "day, model_dispatched, plan", "", "");
    let by_user = upsert(BY_DAY_USER, "day, user_id", "WHERE user_id IS NOT NULL", FRESH);
    let by_month = upsert(BY_MONTH_USER, "left(day, 7), user_id", "WHERE user_id IS NOT NULL", FRESH_MONTH);
    let by_team = upsert(BY_DAY_TEAM, "day, team_id", "WHERE team_id IS NOT NULL", "");
    format!(
        "charged AS (SELECT * FROM inserted WHERE messages > 0),
        by_day AS ({by_day}), by_user AS ({by_user}), by_month AS ({by_month}), by_team AS ({by_team}),
        by_week AS (
            INSERT INTO usage_week_users (week, user_id)
            SELECT DISTINCT {WEEK}, user_id FROM charged WHERE user_id IS NOT NULL ORDER BY 1, 2
            ON CONFLICT (week, user_id) DO NOTHING RETURNING week, true AS fresh
        ),
        users AS (
            INSERT INTO usage_users AS stored (user_id, last_day)
            SELECT user_id, max(day) FROM charged WHERE user_id IS NOT NULL GROUP BY user_id ORDER BY user_id
            ON CONFLICT (user_id) DO UPDATE SET last_day = excluded.last_day WHERE stored.last_day < excluded.last_day
        ),
        day_actives AS ({}), week_actives AS ({}), month_actives AS ({}), {}",
        actives("day", "by_user"),
        actives("week", "by_week"),
        actives("month", "by_month"),
        calls(),
    )
}

/// How calls ended, of all rows, and how long the whole answers took.
fn calls() -> String {
    let (bounds, timed) = (BOUNDS_MS.map(|bound| bound.to_string()).join(","), TIMED.as_str());
    let add = "DO UPDATE SET calls = stored.calls + excluded.calls";
    format!(
        "outcomes AS (
            INSERT INTO usage_day_outcomes AS stored (day, model, outcome, calls)
            SELECT day, model_dispatched, outcome, count(*) FROM inserted GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
            ON CONFLICT (day, model, outcome) {add}
        ), latencies AS (
            INSERT INTO usage_day_latencies AS stored (day, measure, below_ms, calls)
            SELECT day, measure, (ARRAY[{bounds},{NO_BOUND_MS}]::bigint[])[width_bucket(ms, ARRAY[{bounds}]::bigint[]) + 1], count(*)
            FROM inserted CROSS JOIN LATERAL
                (VALUES ('{DURATION}', duration_ms), ('{FIRST_BYTE}', first_byte_ms)) AS timed (measure, ms)
            WHERE outcome = '{timed}' AND ms IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
            ON CONFLICT (day, measure, below_ms) {add}
        )"
    )
}

/// The Monday of a row's week. PostgreSQL's calendar has no year 0, which four digits can name.
const WEEK: &str =
    "CASE WHEN day < '0001' THEN day ELSE to_char(date_trunc('week', day::timestamp), 'YYYY-MM-DD') END";

/// Counts the users that are new in a period.
fn actives(period: &str, users: &str) -> String {
    format!(
        "INSERT INTO usage_{period}_actives AS stored ({period}, active_users)
        SELECT {period}, count(*) FROM {users} WHERE fresh GROUP BY {period} ORDER BY {period}
        ON CONFLICT ({period}) DO UPDATE SET active_users = stored.active_users + excluded.active_users"
    )
}

/// No transaction has replaced the row before: it is new.
const FRESH: &str = "RETURNING day, (stored.xmax = 0) AS fresh";
/// See [`FRESH`].
const FRESH_MONTH: &str = "RETURNING month, (stored.xmax = 0) AS fresh";

fn upsert(Rollup { table, keys }: Rollup, by: &str, filter: &str, returning: &str) -> String {
    let folds = SUM_COLUMNS.map(|sum| match sum {
        "messages" => "sum(messages)".to_owned(),
        "premium_messages" => "coalesce(sum(messages) FILTER (WHERE premium), 0)".to_owned(),
        sum => format!("least(sum({sum}), {AMOUNT_MAX})"),
    });
    let sets = SUM_COLUMNS
        .map(|sum| format!("{sum} = least(stored.{sum}::numeric + excluded.{sum}, {AMOUNT_MAX})::bigint"));
    let places: Vec<String> = (1..=keys.len()).map(|at| at.to_string()).collect();
    let (keys, places, sums) = (keys.join(", "), places.join(", "), SUM_COLUMNS.join(", "));
    let (folds, sets) = (folds.map(|fold| format!("{fold}::bigint")).join(", "), sets.join(", "));
    format!(
        "INSERT INTO {table} AS stored ({keys}, {sums})
        SELECT {by}, {folds} FROM charged {filter} GROUP BY {places} ORDER BY {places}
        ON CONFLICT ({keys}) DO UPDATE SET {sets} {returning}"
    )
}

const AMOUNT_MAX: &str = "9223372036854775807";

/// Notes totals of refusals; a total never goes down.
pub(super) async fn record_refusals(
    client: &Object,
    gateway: &str,
    totals: &[RefusalTotal],
) -> Result<(), Failure> {
    let statement = client
        .prepare_cached(
            "INSERT INTO usage_refusals AS stored (day, gateway, reason, refused)
             SELECT day, $1, reason, refused FROM unnest($2::text[], $3::text[], $4::bigint[]) AS total (day, reason, refused)
             ORDER BY 1, 2, 3
             ON CONFLICT (day, gateway, reason) DO UPDATE SET refused = greatest(stored.refused, excluded.refused)",
        )
        .await?;
    let days: Vec<&str> = totals.iter().map(|total| total.day.as_str()).collect();
    let reasons: Vec<&str> = totals.iter().map(|total| total.reason).collect();
    let refused: Vec<i64> = totals.iter().map(|total| number(total.refused)).collect();
    client.execute(&statement, &[&gateway, &days, &reasons, &refused]).await?;
    Ok(())
}
