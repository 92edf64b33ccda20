//! A day of the calendar as the ledger writes it, with the week and the month that it lies in. It must not know what is
//! counted by day.

use std::fmt;

/// A day of the calendar as the ledger writes it: `2026-11-24`. Sorts by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(String);

impl Day {
    /// The day that a text names; `None` unless it is `YYYY-MM-DD` and stands in the calendar.
    pub fn parse(text: &str) -> Option<Self> {
        is_day(text).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// So many days earlier; the calendar's first day at the earliest.
    #[must_use]
    pub fn earlier(&self, days: u32) -> Self {
        let date = self.date().saturating_sub(jiff::Span::new().days(i64::from(days)));
        Self(date.max(FIRST).strftime("%Y-%m-%d").to_string())
    }

    /// The next day; the calendar's last one stays.
    #[must_use]
    pub fn next(&self) -> Self {
        Self(self.date().tomorrow().unwrap_or(jiff::civil::Date::MAX).strftime("%Y-%m-%d").to_string())
    }

    /// `2026-11`.
    pub fn month(&self) -> &str {
        &self.0[..MONTH_BYTES]
    }

    /// The Monday on or before it.
    #[must_use]
    pub fn week_start(&self) -> Self {
        let past_monday = self.date().weekday().to_monday_zero_offset();
        self.earlier(past_monday.unsigned_abs().into())
    }

    /// The first day of its month.
    pub(super) fn month_start(&self) -> Self {
        Self(format!("{}-01", self.month()))
    }

    /// The first day of the next month.
    pub(super) fn next_month(&self) -> Self {
        let last = self.date().last_of_month();
        Self(last.tomorrow().unwrap_or(last).strftime("%Y-%m-%d").to_string())
    }

    fn date(&self) -> jiff::civil::Date {
        self.0.parse().unwrap_or(FIRST)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The earliest day that four digits of a year can name.
const FIRST: jiff::civil::Date = jiff::civil::date(0, 1, 1);

/// Bytes of `2026-11`.
const MONTH_BYTES: usize = 7;

/// Is this `YYYY-MM-DD`, and a day of the calendar?
pub(super) fn is_day(text: &str) -> bool {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    shape && text.parse::<jiff::civil::Date>().is_ok()
}

/// The Monday of the week of a row's day; a day of the year 0 stands for itself, because PostgreSQL has no such year.
pub(super) fn week_of(day: &str) -> String {
    Day::parse(day).filter(|_| day >= "0001").map_or_else(|| day.to_owned(), |day| day.week_start().0)
}
