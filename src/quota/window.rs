//! Windows of a limit: calendar periods in a time zone, short rate windows, and "open at once".

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

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
    pub fn period_at(self, now: Timestamp, zone: &TimeZone) -> Period {
        let local = now.to_zoned_datetime(zone.clone());
        let date = local.date();
        let day = |date: jiff::civil::Date| {
            date.to_zoned_datetime(zone.clone()).map_or(now, |zoned| zoned.timestamp())
        };
        let (id, start, end) = match self {
            Self::Hour => {
                // offsets of whole minutes only: every zone since 1972
                let past_ms = i64::from(local.minute()) * 60_000 + i64::from(local.second()) * 1_000;
                let start = Timestamp::from_millisecond(now.as_second() * 1_000 - past_ms).unwrap_or(now);
                // the offset tells the two hours apart that share a name when clocks go back
                let id = start.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%dT%H%:z").to_string();
                (id, start, start.saturating_add(1.hour()).unwrap_or(Timestamp::MAX))
            }
            Self::Day => {
                (date.strftime("%Y-%m-%d").to_string(), day(date), day(date.saturating_add(1.day())))
            }
            Self::Week => {
                let monday = date.saturating_sub(i64::from(date.weekday().to_monday_zero_offset()).days());
                let week = date.iso_week_date();
                let id = format!("{:04}-W{:02}", week.year(), week.week());
                (id, day(monday), day(monday.saturating_add(7.days())))
            }
            Self::Month => {
                let first = date.first_of_month();
                (date.strftime("%Y-%m").to_string(), day(first), day(first.saturating_add(1.month())))
            }
            Self::Year => {
                let first = date.first_of_year();
                (date.strftime("%Y").to_string(), day(first), day(first.saturating_add(1.year())))
            }
        };
        Period { id: id.into(), start, end }
    }
}

/// The ids of the month and of the day of a time, as [`Calendar::period_at`] names them.
pub fn month_and_day(now: Timestamp, zone: &TimeZone) -> (String, String) {
    let date = now.to_zoned_datetime(zone.clone()).date();
    let day = date.strftime("%Y-%m-%d").to_string();
    let month = day.rsplit_once('-').map_or_else(String::new, |(month, _)| month.to_owned());
    (month, day)
}
