//! Windows of a limit: calendar periods in a time zone, short rate windows, and "open at once".

use std::sync::Arc;

use chrono::{Datelike, Days, MappedLocalTime, Months, NaiveDate, NaiveTime, Offset, TimeZone, Timelike};
use chrono_tz::{GapInfo, Tz};

use crate::clock::Timestamp;

/// Seconds of an hour.
const HOUR_S: i64 = 3_600;

/// Over what a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// From one boundary of the calendar to the next, in the configured zone. In the ledger.
    Calendar(Calendar),
    /// A short window, enforced as GCRA; not in the ledger.
    Rate(Rate),
    /// Requests open at once; not in the ledger.
    Open,
}

/// A calendar period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Calendar {
    /// A clock hour.
    Hour,
    /// Midnight to midnight.
    Day,
    /// Monday to Monday (ISO 8601).
    Week,
    /// The 1st to the 1st.
    Month,
    /// 1 January to 1 January.
    Year,
}

/// A short window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// `max` a second.
    Second,
    /// `max` a minute.
    Minute,
}

impl Rate {
    /// Length of the window in microseconds.
    pub fn window_us(self) -> u64 {
        match self {
            Self::Second => 1_000_000,
            Self::Minute => 60_000_000,
        }
    }
}

impl Window {
    /// The word used for `per` in configuration and answers; `None` for what is open at once.
    pub fn per(self) -> Option<&'static str> {
        match self {
            Self::Calendar(calendar) => Some(calendar.as_str()),
            Self::Rate(Rate::Second) => Some("second"),
            Self::Rate(Rate::Minute) => Some("minute"),
            Self::Open => None,
        }
    }
}

/// One period of a calendar window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its name: `2026`, `2026-11`, `2026-W48`, `2026-11-24`, `2026-11-24T13+01:00`. Part of the counter's key.
    pub id: Arc<str>,
    /// First instant.
    pub start: Timestamp,
    /// First instant that no longer belongs to it.
    pub end: Timestamp,
}

impl Calendar {
    /// The word used in configuration and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The period that holds `now` in `zone`. At the ends of representable time the period is cut short.
    pub fn period_at(self, now: Timestamp, zone: Tz) -> Period {
        let date = now.in_zone(&zone).date_naive();
        let (id, first, next) = match self {
            Self::Hour => return hour_at(now, zone),
            Self::Day => (date.to_string(), date, date.checked_add_days(Days::new(1))),
            Self::Week => {
                let past_monday = Days::new(date.weekday().num_days_from_monday().into());
                let monday = date.checked_sub_days(past_monday).unwrap_or(date);
                let week = date.iso_week();
                let id = format!("{:04}-W{:02}", week.year(), week.week());
                (id, monday, monday.checked_add_days(Days::new(7)))
            }
            Self::Month => {
                let first = date.with_day(1).unwrap_or(date);
                let id = format!("{:04}-{:02}", date.year(), date.month());
                (id, first, first.checked_add_months(Months::new(1)))
            }
            Self::Year => {
                let first = date.with_ordinal(1).unwrap_or(date);
                (format!("{:04}", date.year()), first, first.checked_add_months(Months::new(12)))
            }
        };
        let start = midnight(first, zone).unwrap_or(now);
        Period { id: id.into(), start, end: next.and_then(|next| midnight(next, zone)).unwrap_or(now) }
    }
}

/// The clock hour that holds `now`.
fn hour_at(now: Timestamp, zone: Tz) -> Period {
    let local = now.in_zone(&zone);
    // offsets of whole minutes only: every zone since 1972
    let past_s = i64::from(local.minute()) * 60 + i64::from(local.second());
    let start = Timestamp::from_second(now.as_second() - past_s);
    let local = start.in_zone(&zone);
    // the offset tells the two hours apart that share a name when clocks go back
    let id = format!("{}T{:02}{}", local.date_naive(), local.hour(), local.offset().fix());
    Period { id: id.into(), start, end: Timestamp::from_second(start.as_second() + HOUR_S) }
}

/// The first instant of a day: the earlier midnight of two; the end of the gap if clocks skip it.
fn midnight(date: NaiveDate, zone: Tz) -> Option<Timestamp> {
    let midnight = date.and_time(NaiveTime::MIN);
    match zone.from_local_datetime(&midnight) {
        MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => Some(at.into()),
        MappedLocalTime::None => GapInfo::new(&midnight, &zone)?.end.map(Timestamp::from),
    }
}

/// The ids of the month and of the day of a time, as [`Calendar::period_at`] names them.
pub fn month_and_day(now: Timestamp, zone: Tz) -> (String, String) {
    let day = now.in_zone(&zone).date_naive().to_string();
    let month = day.rsplit_once('-').map_or_else(String::new, |(month, _)| month.to_owned());
    (month, day)
}

#[cfg(test)]
mod tests;
