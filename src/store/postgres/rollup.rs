//! Writing the roll-ups: more parts of the statement that writes their rows, so one transaction; and the totals of
//! refusals. Each part locks its rows in the order of their keys.

use deadpool_postgres::Object;

use super::error::Failure;
use crate::store::analytics::RefusalTotal;
use crate::store::rollup::{BY_DAY, BY_DAY_TEAM, BY_DAY_USER, BY_MONTH_USER, Rollup, SUM_COLUMNS};
use crate::store::row::number;

/// What the part `inserted` of the statement must return for these parts.
pub(super) const RETURNED: &str = "day, model_dispatched, plan, user_id, team_id, messages, premium, input_tokens, \
                                   output_tokens, cached_tokens, cost_micro_usd";

/// The parts, which read the part `inserted`. What is no charged message adds nothing.
pub(super) fn parts() -> String {
    let by_day = upsert(BY_DAY, "day, model_dispatched, plan", "", "");
    let by_user = upsert(BY_DAY_USER, "day, user_id", "WHERE user_id IS NOT NULL", FRESH);
    let by_month = upsert(BY_MONTH_USER, "left(day, 7), user_id", "WHERE user_id IS NOT NULL", "");
    let by_team = upsert(BY_DAY_TEAM, "day, team_id", "WHERE team_id IS NOT NULL", "");
    format!(
        "charged AS (SELECT * FROM inserted WHERE messages > 0),
        by_day AS ({by_day}), by_user AS ({by_user}), by_month AS ({by_month}), by_team AS ({by_team}),
        actives AS (
            INSERT INTO usage_day_actives AS stored (day, active_users)
            SELECT day, count(*) FROM by_user WHERE fresh GROUP BY day ORDER BY day
            ON CONFLICT (day) DO UPDATE SET active_users = stored.active_users + excluded.active_users
        )"
    )
}

/// No transaction has replaced the row before: it is new.
const FRESH: &str = "RETURNING day, (stored.xmax = 0) AS fresh";

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
