//! The roll-ups that both SQL ledgers keep beside `message_logs`: their tables, keys and sums, so that the two spell them
//! alike. It must not know which database takes them.

use super::analytics::UsageSums;
use super::row::{Row, count};

/// A roll-up: sums by a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rollup {
    /// Its table.
    pub table: &'static str,
    /// The columns of its key.
    pub keys: &'static [&'static str],
}

/// By day, model and plan.
pub(super) const BY_DAY: Rollup = Rollup { table: "usage_days", keys: &["day", "model", "plan"] };
/// By day and user.
pub(super) const BY_DAY_USER: Rollup = Rollup { table: "usage_day_users", keys: &["day", "user_id"] };
/// By month and user.
pub(super) const BY_MONTH_USER: Rollup = Rollup { table: "usage_month_users", keys: &["month", "user_id"] };
/// By day and team.
pub(super) const BY_DAY_TEAM: Rollup = Rollup { table: "usage_day_teams", keys: &["day", "team_id"] };

/// The columns of the sums, in the order of [`Sums`].
pub(super) const SUM_COLUMNS: [&str; 6] =
    ["messages", "premium_messages", "input_tokens", "output_tokens", "cached_tokens", "cost_micro_usd"];

/// Sums as they stand in the columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums(pub [i64; SUM_COLUMNS.len()]);

impl Sums {
    /// What one row adds.
    pub fn of(row: &Row<'_>) -> Self {
        let premium = if row.premium { row.messages } else { 0 };
        Self([
            row.messages,
            premium,
            row.input_tokens,
            row.output_tokens,
            row.cached_tokens,
            row.cost_micro_usd,
        ])
    }

    /// Adds; each sum stops at 2^63 - 1.
    pub fn add(&mut self, more: &Self) {
        for (sum, more) in self.0.iter_mut().zip(more.0) {
            *sum = sum.saturating_add(more);
        }
    }
}

impl TryFrom<Sums> for UsageSums {
    type Error = String;

    fn try_from(Sums([messages, premium, input, output, cached, cost]): Sums) -> Result<Self, String> {
        Ok(Self {
            messages: count(messages)?,
            premium_messages: count(premium)?,
            input_tokens: count(input)?,
            output_tokens: count(output)?,
            cached_tokens: count(cached)?,
            cost_micro_usd: count(cost)?,
        })
    }
}
