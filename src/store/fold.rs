//! What a batch adds to the tables beside `message_logs`: the one fold, for every database, over the rows that really went
//! in. Pure; it must not know SQL.
//!
//! A ledger writes what [`fold`] gives, then what [`Folded::after`] makes of the answers, until nothing is left. All of it
//! in the transaction of the rows, table by table and key by key in one order, so that writers do not wait in a circle.

use std::collections::BTreeMap;

use super::calls::{DURATION, FIRST_BYTE, TIMED, bound_ms};
use super::day::week_of;
use super::entry::Entry;
use super::outbox::Watched;
use super::rollup::{
    ACTIVES, LATENCIES, MESSAGES, OUTBOX, OUTCOMES, Rollup, TOTALS, Then, USERS, WEEK_USERS, Written,
};
use super::row::{self, UsageRow, Value, count, number};
use super::totals::BucketTotal;
use crate::quota::Charge;

/// A key, and what it comes to.
pub(super) type Rows<'a> = BTreeMap<Vec<Value<'a>>, Vec<Value<'a>>>;

/// Rows of several tables, by the tables' names.
#[derive(Default)]
pub(super) struct Folded<'a>(BTreeMap<&'static str, (&'static Rollup, Rows<'a>)>);

/// Folds rows.
pub(super) fn fold<'a>(rows: impl IntoIterator<Item = &'a Entry>) -> Folded<'a> {
    let mut folded = Folded::default();
    for entry in rows {
        folded.add_charges(&entry.domain, &entry.charges);
        folded.add_call(entry);
        folded.add_message(entry);
    }
    folded
}

impl<'a> Folded<'a> {
    /// Adds a row to a table.
    pub fn add(&mut self, rollup: &'static Rollup, key: Vec<Value<'a>>, values: Vec<Value<'a>>) {
        let (_, rows) = self.0.entry(rollup.table).or_insert_with(|| (rollup, Rows::new()));
        match rows.get_mut(&key) {
            Some(stands) => rollup.merge(stands, values),
            None => _ = rows.insert(key, values),
        }
    }

    /// Adds charges to the running totals. Those of nothing make no total.
    pub fn add_charges(&mut self, domain: &'a str, charges: &'a [Charge]) {
        for charge in charges.iter().filter(|charge| charge.amount > 0) {
            let values = [charge.period_start_ms, charge.period_end_ms, number(charge.amount)];
            self.add(&TOTALS, row::total_key(row::key(domain), charge), values.map(Value::Number).to_vec());
        }
    }

    fn add_call(&mut self, entry: &'a Entry) {
        let day = row::day(entry);
        let model = row::text(&entry.model_dispatched);
        let one = || vec![Value::Number(1)];
        self.add(&OUTCOMES, vec![day.clone().into(), model.into(), entry.outcome.as_str().into()], one());
        if entry.outcome != TIMED {
            return;
        }
        for (measure, ms) in [(DURATION, Some(entry.duration_ms)), (FIRST_BYTE, entry.first_byte_ms)] {
            let Some(ms) = ms else { continue };
            let key = vec![day.clone().into(), measure.into(), bound_ms(number(ms)).into()];
            self.add(&LATENCIES, key, one());
        }
    }

    /// What is no charged message adds nothing here.
    fn add_message(&mut self, entry: &'a Entry) {
        let messages = number(entry.messages());
        if messages == 0 {
            return;
        }
        let tokens = &entry.tokens;
        let amounts = [tokens.input, tokens.output, tokens.cached, entry.cost_micro_usd].map(row::amount);
        let premium = if entry.premium { messages } else { 0 };
        let sums: Vec<Value<'a>> =
            [messages, premium].into_iter().chain(amounts).map(Value::Number).collect();
        for rollup in MESSAGES {
            let key: Vec<_> = rollup.keys.iter().filter_map(|field| field.of).map(|of| of(entry)).collect();
            if !key.contains(&Value::Null) {
                self.add(rollup, key, sums.clone());
            }
        }
    }

    /// What is to be written next, from the rows that were written of these.
    pub fn after(&self, written: Vec<Written>, watched: &Watched<'a>) -> Self {
        let mut next = Self::default();
        for row in written {
            if row.rollup.then == Then::Alerts {
                for (key, values) in watched.reached_by(&row) {
                    next.add(&OUTBOX, key, values);
                }
            } else if self.is_new(&row) {
                next.add_new(row);
            }
        }
        next
    }

    /// Had the table no such row? Every row has at least one message, so one that stood is more now than was added.
    fn is_new(&self, Written { rollup, key, sum }: &Written) -> bool {
        let Some(at) = rollup.first_sum() else { return true };
        let added = self.0.get(rollup.table).and_then(|(_, rows)| rows.get(key));
        added.is_some_and(|values| values[at].number() == *sum)
    }

    fn add_new(&mut self, Written { rollup, mut key, .. }: Written) {
        let (Some(user), Some(period)) = (key.pop(), key.pop()) else { return };
        let span = match rollup.then {
            Then::Day => {
                self.add(&WEEK_USERS, vec![week_of(period.text()).into(), user.clone()], vec![]);
                self.add(&USERS, vec![user], vec![period.clone()]);
                "day"
            }
            Then::Week => "week",
            Then::Month => "month",
            Then::Nothing | Then::Alerts => return,
        };
        self.add(&ACTIVES, vec![span.into(), period], vec![Value::Number(1)]);
    }

    /// Is nothing left to write?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tables in the order in which they are written, each with its rows in the order of their keys.
    pub fn tables(&self) -> impl Iterator<Item = (&'static Rollup, &Rows<'a>)> {
        self.0.values().map(|(rollup, rows)| (*rollup, rows))
    }
}

/// Compares running totals with the fold of all charges.
#[derive(Default)]
pub(super) struct Comparison {
    folded: Rows<'static>,
    differences: Vec<(BucketTotal, u64)>,
}

impl Comparison {
    /// Adds a row's charges to the fold.
    pub fn fold(&mut self, domain: &str, charges: &[Charge]) {
        let mut folded = Folded::default();
        folded.add_charges(domain, charges);
        let Some((_, rows)) = folded.0.remove(TOTALS.table) else { return };
        for (key, values) in rows {
            let key: Vec<_> = key.into_iter().map(Value::into_owned).collect();
            let values = values.into_iter().map(Value::into_owned).collect();
            match self.folded.get_mut(&key) {
                Some(stands) => TOTALS.merge(stands, values),
                None => _ = self.folded.insert(key, values),
            }
        }
    }

    /// Compares a total that stands.
    pub fn stored(&mut self, domain: String, row: UsageRow) -> Result<(), String> {
        let texts = [domain, row.scope.clone(), row.owner.clone(), row.limit.clone(), row.period.clone()];
        let key: Vec<_> =
            texts.into_iter().map(|text| Value::Text(text.into())).chain([row.epoch.into()]).collect();
        let folded = self.folded.remove(&key).map_or(0, |values| values[2].number());
        if row.used != folded {
            self.differences.push((row.try_into()?, count(folded)?));
        }
        Ok(())
    }

    /// The totals that differ, with what they should be; also those that do not stand.
    pub fn differences(mut self) -> Result<Vec<(BucketTotal, u64)>, String> {
        for (key, values) in self.folded {
            let text = |at: usize| key[at].text().to_owned();
            let row = UsageRow {
                scope: text(1),
                owner: text(2),
                limit: text(3),
                period: text(4),
                epoch: key[5].number(),
                period_start_ms: values[0].number(),
                period_end_ms: values[1].number(),
                used: 0,
            };
            self.differences.push((row.try_into()?, count(values[2].number())?));
        }
        self.differences.sort();
        Ok(self.differences)
    }
}

#[cfg(test)]
mod tests;
