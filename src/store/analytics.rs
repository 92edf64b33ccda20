//! What analytics reads: sums by day, model, plan, user and team, and how a range of days is cut so that a long one reads
//! months. Plain values; it must not know SQL, nor who asks.

use std::collections::BTreeMap;

use super::calls::{Calls, CallsFound, ModelCalls};
use super::day::Day;

/// Sums over charged messages. Each stops at 2^63 - 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageSums {
    /// Charged messages.
    pub messages: u64,
    /// Of these, on premium models.
    pub premium_messages: u64,
    /// Tokens in.
    pub input_tokens: u64,
    /// Tokens out.
    pub output_tokens: u64,
    /// Of the tokens in, those from the providers' caches.
    pub cached_tokens: u64,
    /// Cost in millionths of a US dollar.
    pub cost_micro_usd: u64,
}

impl UsageSums {
    /// Adds other sums.
    pub fn add(&mut self, more: &Self) {
        let sum = |a: u64, b: u64| a.saturating_add(b).min(i64::MAX.unsigned_abs());
        self.messages = sum(self.messages, more.messages);
        self.premium_messages = sum(self.premium_messages, more.premium_messages);
        self.input_tokens = sum(self.input_tokens, more.input_tokens);
        self.output_tokens = sum(self.output_tokens, more.output_tokens);
        self.cached_tokens = sum(self.cached_tokens, more.cached_tokens);
        self.cost_micro_usd = sum(self.cost_micro_usd, more.cost_micro_usd);
    }
}

/// Sums of whatever a name stands for: a model, a plan, a user, a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSums {
    /// The name.
    pub name: String,
    /// Its sums.
    pub sums: UsageSums,
}

/// One day on which something happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayUsage {
    /// `2026-11-24`.
    pub day: String,
    /// Its sums.
    pub sums: UsageSums,
    /// Signed-in users who sent a message.
    pub active_users: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// How its calls ended.
    pub calls: Calls,
}

/// Signed-in users who sent a message, each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActiveUsers {
    /// On the last day of the range.
    pub day: u64,
    /// On that day and the six before it.
    pub week: u64,
    /// On that day and the 29 before it.
    pub month: u64,
    /// In the whole range.
    pub range: u64,
}

/// What happened in a range of days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Analytics {
    /// The days on which something happened, oldest first.
    pub days: Vec<DayUsage>,
    /// By the model that was sent upstream; most messages first, then by name.
    pub by_model: Vec<NamedSums>,
    /// By plan, in the same order.
    pub by_plan: Vec<NamedSums>,
    /// Refusals by reason; most first, then by name.
    pub refused_by_reason: Vec<(String, u64)>,
    /// Calls by outcome; most first, then by name.
    pub by_outcome: Vec<(String, u64)>,
    /// How the calls of each model ended, by name; also of models that were never charged a message.
    pub calls_by_model: Vec<ModelCalls>,
    /// The users with most messages, at most [`TOP_MAX`].
    pub top_users: Vec<NamedSums>,
    /// The teams with most messages, at most [`TOP_MAX`].
    pub top_teams: Vec<NamedSums>,
    /// Users.
    pub active_users: ActiveUsers,
    /// Signed-in users of each week that the range touches, by its Monday, oldest first; quiet weeks are left out.
    pub weeks: Vec<(String, u64)>,
    /// The same by month, as `2026-11`.
    pub months: Vec<(String, u64)>,
}

impl Analytics {
    /// Puts in how calls ended, with the days on which nothing else happened.
    pub(super) fn take_calls(&mut self, found: CallsFound) {
        self.calls_by_model = found.models();
        let named = std::mem::take(&mut self.days).into_iter().map(|day| (day.day.clone(), day));
        let mut days: BTreeMap<String, DayUsage> = named.collect();
        for (day, calls) in found.days {
            let new = |day: &String| DayUsage { day: day.clone(), ..DayUsage::default() };
            days.entry(day).or_insert_with_key(new).calls = calls;
        }
        self.days = days.into_values().collect();
        self.by_outcome = found.outcomes.into_iter().collect();
        // stable: equal ones stay in the order of their names
        self.by_outcome.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
    }
}

/// A user who was ever charged a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownUser {
    /// The id.
    pub user: String,
    /// The day of the newest charged message.
    pub last_day: String,
}

/// The first text after all that begin with `prefix`, in the order of code points; `None`: there is none.
pub(super) fn prefix_end(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // the range of `char` leaves out the surrogates
        if let Some(next) = (last..=char::MAX).nth(1) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// How many users and teams are named: a screen full.
pub const TOP_MAX: u32 = 20;

/// Days of a week and of a month, for active users.
pub(super) const WEEK_DAYS: u32 = 7;
/// See [`WEEK_DAYS`].
pub(super) const MONTH_DAYS: u32 = 30;

/// What a gateway refused: a total since its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalTotal {
    /// The day in the configured zone, `2026-11-24`.
    pub day: String,
    /// Why: a value of the metric label `outcome`.
    pub reason: &'static str,
    /// How many.
    pub refused: u64,
}

/// A range of days as three pieces without overlap: days up to a month's start, whole months, days after the last whole
/// month. Each piece is half open, `from <= x < to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pieces {
    /// Days before the first whole month; all days if there is none.
    pub head: (Day, Day),
    /// Months, as `2026-11`.
    pub months: (String, String),
    /// Days after the last whole month.
    pub tail: (Day, Day),
}

impl Pieces {
    /// Cuts the range `from..=to`.
    pub fn of(from: &Day, to: &Day) -> Self {
        let end = to.next();
        let first = if from.month_start() == *from { from.clone() } else { from.next_month() };
        let last = end.month_start();
        if first >= last {
            let none = (end.clone(), end.clone());
            let month = end.month().to_owned();
            return Self { head: (from.clone(), end), months: (month.clone(), month), tail: none };
        }
        let months = (first.month().to_owned(), last.month().to_owned());
        Self { head: (from.clone(), first), months, tail: (last, end) }
    }
}

#[cfg(test)]
mod tests;
