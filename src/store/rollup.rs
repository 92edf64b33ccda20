//! The tables that the SQL ledgers keep beside `message_logs`, each described once: its key, and how a row that stands
//! takes another one's values. Both backends make their statements from these. It must not know which database takes
//! them.

use super::day::month_of;
use super::entry::Entry;
use super::row::{self, ColumnKind, Value};

/// How a value that stands takes another one with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    /// It stays.
    Keep,
    /// It becomes the sum, which stops at 2^63 - 1.
    Sum,
    /// It becomes the larger one.
    Max,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub name: &'static str,
    pub kind: ColumnKind,
    /// Of no meaning in a key.
    pub merge: Merge,
    /// How a key of charged messages is read from the entry; NULL: the message is not counted here.
    pub of: Option<for<'a> fn(&'a Entry) -> Value<'a>>,
}

/// What the rows of a table lead to once they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    /// The new total may have reached a threshold.
    Alerts,
    /// A row that is new is a user's first message of a day.
    Day,
    /// … of a week.
    Week,
    /// … of a month.
    Month,
}

/// A table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rollup {
    pub table: &'static str,
    pub keys: &'static [Field],
    pub values: &'static [Field],
    pub then: Then,
}

/// A row that was written.
#[derive(Clone)]
pub(super) struct Written {
    pub rollup: &'static Rollup,
    pub key: Vec<Value<'static>>,
    /// Its first sum as it is now.
    pub sum: i64,
}

const fn field(name: &'static str, kind: ColumnKind, merge: Merge) -> Field {
    Field { name, kind, merge, of: None }
}
const fn text(name: &'static str) -> Field {
    field(name, ColumnKind::Text, Merge::Keep)
}
const fn number(name: &'static str) -> Field {
    field(name, ColumnKind::Number, Merge::Keep)
}
const fn sum(name: &'static str) -> Field {
    field(name, ColumnKind::Number, Merge::Sum)
}
const fn of(name: &'static str, of: for<'a> fn(&'a Entry) -> Value<'a>) -> Field {
    Field { of: Some(of), ..text(name) }
}

const DAY: Field = of("day", |entry| row::day(entry).into());
const USER: Field = of("user_id", |entry| entry.user.as_deref().map(row::key).into());

/// The tables of charged messages, by what stands in their keys.
pub(super) static MESSAGES: [&Rollup; 4] = [&BY_DAY, &BY_DAY_USER, &BY_MONTH_USER, &BY_DAY_TEAM];

/// The columns of the sums.
pub(super) const SUM_COLUMNS: [&str; 6] =
    ["messages", "premium_messages", "input_tokens", "output_tokens", "cached_tokens", "cost_micro_usd"];

const SUMS: &[Field] = {
    let [messages, premium, input, output, cached, cost] = SUM_COLUMNS;
    &[sum(messages), sum(premium), sum(input), sum(output), sum(cached), sum(cost)]
};
const CALLS: &[Field] = &[sum("calls")];

/// Running totals: the fold of the charges.
pub(super) static TOTALS: Rollup = Rollup {
    table: "user_usage",
    keys: &[
        text("domain"),
        text("scope"),
        text("owner"),
        text("limit_name"),
        text("period"),
        number("epoch"),
    ],
    values: &[number("period_start_ms"), number("period_end_ms"), sum("used")],
    then: Then::Alerts,
};

/// Charged messages by day, model and plan.
pub(super) static BY_DAY: Rollup = Rollup {
    table: "usage_days",
    keys: &[
        DAY,
        of("model", |entry| row::text(&entry.model_dispatched).into()),
        of("plan", |entry| row::text(&entry.plan).into()),
    ],
    values: SUMS,
    then: Then::Nothing,
};

/// Charged messages by day and user.
pub(super) static BY_DAY_USER: Rollup =
    Rollup { table: "usage_day_users", keys: &[DAY, USER], values: SUMS, then: Then::Day };

/// Charged messages by month and user: a year is twelve rows a user.
pub(super) static BY_MONTH_USER: Rollup = Rollup {
    table: "usage_month_users",
    keys: &[of("month", |entry| month_of(row::day(entry)).into()), USER],
    values: SUMS,
    then: Then::Month,
};

/// Charged messages by day and team.
pub(super) static BY_DAY_TEAM: Rollup = Rollup {
    table: "usage_day_teams",
    keys: &[DAY, of("team_id", |entry| entry.team.as_deref().map(row::key).into())],
    values: SUMS,
    then: Then::Nothing,
};

/// Who was active in which week; written only for a user's first message of a day.
pub(super) static WEEK_USERS: Rollup = Rollup {
    table: "usage_week_users",
    keys: &[text("week"), text("user_id")],
    values: &[],
    then: Then::Week,
};

/// Users by day, week and month: how many rows the tables above have of each.
pub(super) static ACTIVES: Rollup = Rollup {
    table: "usage_actives",
    keys: &[text("span"), text("period")],
    values: &[sum("active_users")],
    then: Then::Nothing,
};

/// Who was ever charged a message; written only for a user's first message of a day.
pub(super) static USERS: Rollup = Rollup {
    table: "usage_users",
    keys: &[text("user_id")],
    values: &[field("last_day", ColumnKind::Text, Merge::Max)],
    then: Then::Nothing,
};

/// How calls ended, charged or not.
pub(super) static OUTCOMES: Rollup = Rollup {
    table: "usage_day_outcomes",
    keys: &[text("day"), text("model"), text("outcome")],
    values: CALLS,
    then: Then::Nothing,
};

/// Histograms of whole answers.
pub(super) static LATENCIES: Rollup = Rollup {
    table: "usage_day_latencies",
    keys: &[text("day"), text("measure"), number("below_ms")],
    values: CALLS,
    then: Then::Nothing,
};

/// Refusals make no rows of `message_logs`: each run of a gateway notes its totals.
pub(super) static REFUSALS: Rollup = Rollup {
    table: "usage_refusals",
    keys: &[text("day"), text("gateway"), text("reason")],
    values: &[field("refused", ColumnKind::Number, Merge::Max)],
    then: Then::Nothing,
};

/// Messages to webhooks.
pub(super) static OUTBOX: Rollup = Rollup {
    table: "webhook_outbox",
    keys: &[text("id")],
    values: &[
        text("webhook"),
        text("event"),
        text("data"),
        number("used"),
        number("at_ms"),
        number("expires_at_ms"),
    ],
    then: Then::Nothing,
};

impl Rollup {
    /// All columns, the key first.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> + Clone {
        self.keys.iter().chain(self.values)
    }

    /// The statement that writes rows; `source` gives their values in the order of [`Rollup::fields`]. With `returning` it
    /// answers, for each row that it wrote, the key and the first sum as it is now; 1 if the table has no sum.
    pub fn upsert(&self, source: &str, returning: bool) -> String {
        let list = |fields: &[&str]| fields.join(", ");
        let keys = list(&self.keys.iter().map(|field| field.name).collect::<Vec<_>>());
        let names = list(&self.fields().map(|field| field.name).collect::<Vec<_>>());
        let sets: Vec<String> = self.values.iter().filter_map(set).collect();
        let action =
            if sets.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", sets.join(", ")) };
        let sum = self.first_sum().map_or("CAST(1 AS bigint)", |at| self.values[at].name);
        let returning = if returning { format!(" RETURNING {keys}, {sum}") } else { String::new() };
        format!(
            "INSERT INTO {} AS stored ({names}) {source} ON CONFLICT ({keys}) DO {action}{returning}",
            self.table
        )
    }

    /// Which of the values is the first sum.
    pub fn first_sum(&self) -> Option<usize> {
        self.values.iter().position(|field| field.merge == Merge::Sum)
    }

    /// Adds a row's values to those of another with the same key.
    pub fn merge<'a>(&self, stands: &mut [Value<'a>], more: Vec<Value<'a>>) {
        for (field, (stands, more)) in self.values.iter().zip(stands.iter_mut().zip(more)) {
            match field.merge {
                Merge::Keep => {}
                Merge::Sum => *stands = Value::Number(stands.number().saturating_add(more.number())),
                Merge::Max => *stands = std::mem::replace(stands, Value::Null).max(more),
            }
        }
    }
}

/// How the statement merges a value. No intermediate sum is over 2^63 - 1: SQLite would make it a floating-point number,
/// PostgreSQL would fail.
fn set(Field { name, merge, .. }: &Field) -> Option<String> {
    let max = i64::MAX;
    match merge {
        Merge::Keep => None,
        Merge::Sum => Some(format!(
            "{name} = CASE WHEN stored.{name} > {max} - excluded.{name} THEN {max} ELSE stored.{name} + excluded.{name} END"
        )),
        Merge::Max => Some(format!(
            "{name} = CASE WHEN stored.{name} < excluded.{name} THEN excluded.{name} ELSE stored.{name} END"
        )),
    }
}
