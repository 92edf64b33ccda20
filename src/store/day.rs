//! A day of the calendar as the ledger writes it, with the week and the month that it lies in. It must not know what is
//! counted by day.

use std::borrow::Cow;
use std::fmt;

use chrono::{Datelike, Days, Months, NaiveDate};

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
        let earlier = self.date().checked_sub_days(Days::new(days.into()));
        earlier.and_then(Self::named).unwrap_or_else(|| Self(FIRST.to_owned()))
    }

    /// The next day; the calendar's last one stays.
    #[must_use]
    pub fn next(&self) -> Self {
        self.date().succ_opt().and_then(Self::named).unwrap_or_else(|| self.clone())
    }

    /// `2026-11`.
    pub fn month(&self) -> &str {
        &self.0[..MONTH_BYTES]
    }

    /// The Monday on or before it.
    #[must_use]
    pub fn week_start(&self) -> Self {
        self.earlier(self.date().weekday().num_days_from_monday())
    }

    /// The first day of its month.
    pub(super) fn month_start(&self) -> Self {
        Self(format!("{}-01", self.month()))
    }

    /// The first day of the next month.
    pub(super) fn next_month(&self) -> Self {
        let next = self.month_start().date().checked_add_months(Months::new(1));
        next.and_then(Self::named).unwrap_or_else(|| Self(LAST.to_owned()))
    }

    /// The name of a date; `None` outside the years 0 to 9999.
    fn named(date: NaiveDate) -> Option<Self> {
        (0..=9999).contains(&date.year()).then(|| Self(date.to_string()))
    }

    fn date(&self) -> NaiveDate {
        self.0.parse().unwrap_or_default()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The earliest day that four digits of a year can name, and the last.
const FIRST: &str = "0000-01-01";
const LAST: &str = "9999-12-31";

/// Bytes of `2026-11`.
const MONTH_BYTES: usize = 7;

/// Is this `YYYY-MM-DD`, and a day of the calendar?
pub(super) fn is_day(text: &str) -> bool {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    shape && text.parse::<NaiveDate>().is_ok()
}

/// The Monday of the week of a row's day; a day of the year 0 stands for itself, because PostgreSQL has no such year.
pub(super) fn week_of(day: &str) -> String {
    Day::parse(day).filter(|_| day >= "0001").map_or_else(|| day.to_owned(), |day| day.week_start().0)
}

/// The month of a row's day.
pub(super) fn month_of(day: Cow<'_, str>) -> Cow<'_, str> {
    match day {
        Cow::Borrowed(day) => Cow::Borrowed(&day[..MONTH_BYTES]),
        Cow::Owned(mut day) => {
            day.truncate(MONTH_BYTES);
            Cow::Owned(day)
        }
    }
}
