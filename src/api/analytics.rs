//! `GET /api/analytics`: what happened in the last days, for administrators. From the roll-ups; days of the configured
//! zone. Must not know where they are kept.

use std::collections::BTreeMap;
use std::iter::successors;

use axum::extract::State;
use axum::response::IntoResponse;
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::caller::Administrator;
use super::error::ApiError;
use super::query::{Query, private};
use super::state::ApiState;
use super::usage::dollars;
use crate::clock::Timestamp;
use crate::quota::Calendar;
use crate::store::{Analytics, Calls, Day, DayUsage, NamedSums, UsageSums};

/// Days shown when the query names none.
const DAYS: u32 = 7;

/// The most that may be asked for: a year and the month before it.
const DAYS_MAX: u32 = 400;

/// Query of `analytics`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnalyticsQuery {
    days: Option<u32>,
    /// The last day; today if it is not given.
    until: Option<String>,
}

/// Days, totals, shares and who used most.
pub async fn read(
    State(state): State<ApiState>,
    _: Administrator,
    Query(query): Query<AnalyticsQuery>,
) -> Result<impl IntoResponse, ApiError> {
    let days = query.days.unwrap_or(DAYS);
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(ApiError::bad_request(format!("`days` must be 1 to {DAYS_MAX}.")));
    }
    let rules = state.gate.rules();
    let zone = rules.policy.zone;
    let until = match &query.until {
        Some(text) => Day::parse(text)
            .ok_or_else(|| ApiError::bad_request("`until` must be a day such as `2026-11-24`."))?,
        None => day_of(state.gate.now(), zone)?,
    };
    let from = until.earlier(days - 1);
    let found = state.reads.analytics(&from, &until).await?;
    Ok(private(body(&found, &from, &until, zone)))
}

/// The day in the configured zone.
fn day_of(now: Timestamp, zone: Tz) -> Result<Day, ApiError> {
    let id = Calendar::Day.period_at(now, zone).id;
    Day::parse(&id).ok_or_else(|| ApiError::bad_request(format!("The clock shows `{id}`, which is no day.")))
}

fn body(found: &Analytics, from: &Day, until: &Day, zone: Tz) -> Value {
    let (mut sums, mut calls) = (UsageSums::default(), Calls::default());
    for day in &found.days {
        sums.add(&day.sums);
        calls.add(&day.calls);
    }
    let mut totals = figures(&sums);
    totals.extend(of_calls(&calls));
    totals.extend(object([
        ("activeUsers", json!(found.active_users.range)),
        ("refused", json!(found.refused_by_reason.iter().map(|(_, n)| n).sum::<u64>())),
    ]));
    let (refused, outcomes) = (found.refused_by_reason.iter(), found.by_outcome.iter());
    json!({
        "from": from.as_str(),
        "until": until.as_str(),
        "timezone": zone.name(),
        "days": days(found, from, until),
        "totals": totals,
        "activeUsers": {
            "day": found.active_users.day,
            "week": found.active_users.week,
            "month": found.active_users.month,
        },
        "weeks": periods("week", &found.weeks, from, until, |day| day.week_start().to_string()),
        "months": periods("month", &found.months, from, until, |day| day.month().to_owned()),
        "byModel": models(found),
        "byPlan": named("plan", &found.by_plan),
        "refusedByReason": refused.map(|(reason, n)| json!({ "reason": reason, "refused": n })).collect::<Vec<_>>(),
        "byOutcome": outcomes.map(|(outcome, n)| json!({ "outcome": outcome, "calls": n })).collect::<Vec<_>>(),
        "topUsers": named("userId", &found.top_users),
        "topTeams": named("teamId", &found.top_teams),
    })
}

/// The days of a range, oldest first.
fn range(from: &Day, until: &Day) -> impl Iterator<Item = Day> {
    successors(Some(from.clone()), move |day| (day < until).then(|| day.next()))
}

/// Every day of the range, also those on which nothing happened.
fn days(found: &Analytics, from: &Day, until: &Day) -> Vec<Value> {
    let known: BTreeMap<&str, &DayUsage> = found.days.iter().map(|day| (day.day.as_str(), day)).collect();
    let one = |day: Day| {
        let known = known.get(day.as_str());
        let mut figures = figures(&known.map(|day| day.sums).unwrap_or_default());
        figures.extend(object([
            ("date", json!(day.as_str())),
            ("activeUsers", json!(known.map_or(0, |day| day.active_users))),
            ("refused", json!(known.map_or(0, |day| day.refused))),
        ]));
        figures.extend(of_calls(&known.map(|day| day.calls.clone()).unwrap_or_default()));
        Value::Object(figures)
    };
    range(from, until).map(one).collect()
}

/// Sums under their names.
fn named(key: &str, list: &[NamedSums]) -> Vec<Value> {
    let one = |named: &NamedSums| {
        let mut figures = figures(&named.sums);
        figures.extend(object([(key, json!(named.name))]));
        Value::Object(figures)
    };
    list.iter().map(one).collect()
}

/// The models with what was charged, most messages first; after them those whose calls were all free or failed.
fn models(found: &Analytics) -> Vec<Value> {
    let mut calls: BTreeMap<&str, (u64, u64)> =
        found.calls_by_model.iter().map(|of| (of.model.as_str(), (of.calls, of.errors))).collect();
    let one = |model: &str, sums: &UsageSums, (calls, errors): (u64, u64)| {
        let mut figures = figures(sums);
        figures.extend(object([("model", json!(model)), ("calls", json!(calls)), ("errors", json!(errors))]));
        Value::Object(figures)
    };
    let charged = found.by_model.iter();
    let mut models: Vec<Value> = charged
        .map(|model| one(&model.name, &model.sums, calls.remove(model.name.as_str()).unwrap_or_default()))
        .collect();
    models.extend(calls.into_iter().map(|(model, ended)| one(model, &UsageSums::default(), ended)));
    models
}

/// Every week or month that the range touches, oldest first, also quiet ones. `name` gives a day's period.
fn periods(
    key: &str,
    found: &[(String, u64)],
    from: &Day,
    until: &Day,
    name: impl Fn(&Day) -> String,
) -> Vec<Value> {
    let known: BTreeMap<&str, u64> = found.iter().map(|(period, users)| (period.as_str(), *users)).collect();
    let mut periods: Vec<String> = range(from, until).map(|day| name(&day)).collect();
    periods.dedup();
    let users = |period: &str| known.get(period).copied().unwrap_or(0);
    periods.iter().map(|period| json!({ key: period, "activeUsers": users(period) })).collect()
}

fn figures(sums: &UsageSums) -> Map<String, Value> {
    object([
        ("messages", json!(sums.messages)),
        ("premiumMessages", json!(sums.premium_messages)),
        ("inputTokens", json!(sums.input_tokens)),
        ("outputTokens", json!(sums.output_tokens)),
        ("cachedTokens", json!(sums.cached_tokens)),
        ("costUsd", json!(dollars(sums.cost_micro_usd))),
    ])
}

/// How calls ended and how long the whole answers took; a time is null where there was none.
fn of_calls(calls: &Calls) -> Map<String, Value> {
    object([
        ("calls", json!(calls.calls)),
        ("errors", json!(calls.errors)),
        ("p50Ms", json!(calls.durations.percentile_ms(50))),
        ("p95Ms", json!(calls.durations.percentile_ms(95))),
        ("firstByteP50Ms", json!(calls.first_bytes.percentile_ms(50))),
        ("firstByteP95Ms", json!(calls.first_bytes.percentile_ms(95))),
    ])
}

fn object<const N: usize>(figures: [(&str, Value); N]) -> Map<String, Value> {
    figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
