//! A point in time, and how it is written: every time that leaves the gateway is RFC 3339 in UTC, in one of three forms.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, ParseError, SecondsFormat, TimeZone, Utc};

/// A point in time (UTC), in the years 0 to 9999, so that each has a name of RFC 3339.
///
/// Shown with as many digits of its second as it has: `2026-11-24T00:00:00Z`, `2026-11-24T00:00:00.5Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

/// 0000-01-01T00:00:00Z, in milliseconds since 1970.
const FIRST_MS: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z, in milliseconds since 1970.
const LAST_MS: i64 = 253_402_300_799_999;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(DateTime::UNIX_EPOCH);

    /// From seconds since 1970. What lies outside the years 0 to 9999 becomes the first or the last of them.
    pub fn from_second(s: i64) -> Self {
        Self::from_millisecond(s.saturating_mul(1_000))
    }

    /// From milliseconds since 1970, like [`Timestamp::from_second`].
    pub fn from_millisecond(ms: i64) -> Self {
        Self(DateTime::from_timestamp_millis(ms.clamp(FIRST_MS, LAST_MS)).unwrap_or_default())
    }

    /// From microseconds since 1970, like [`Timestamp::from_second`].
    pub fn from_microsecond(us: i64) -> Self {
        let us = us.clamp(FIRST_MS * 1_000, LAST_MS * 1_000);
        Self(DateTime::from_timestamp_micros(us).unwrap_or_default())
    }

    /// Whole seconds since 1970.
    pub fn as_second(self) -> i64 {
        self.0.timestamp()
    }

    /// Whole milliseconds since 1970.
    pub fn as_millisecond(self) -> i64 {
        self.0.timestamp_millis()
    }

    /// Whole microseconds since 1970.
    pub fn as_microsecond(self) -> i64 {
        self.0.timestamp_micros()
    }

    /// What calendar and clock show in a zone at this time.
    pub fn in_zone<Z: TimeZone>(self, zone: &Z) -> DateTime<Z> {
        self.0.with_timezone(zone)
    }

    /// To the second: `2026-11-24T00:00:00Z`.
    pub fn to_seconds(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// With milliseconds, as JavaScript's `toISOString` writes it: `2026-11-24T00:00:00.000Z`.
    pub fn to_millis(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

impl<Z: TimeZone> From<DateTime<Z>> for Timestamp {
    fn from(at: DateTime<Z>) -> Self {
        Self::from_microsecond(at.timestamp_micros())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_rfc3339_opts(SecondsFormat::Micros, true);
        let digits = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
        write!(f, "{digits}Z")
    }
}

/// Reads RFC 3339, in any offset.
impl FromStr for Timestamp {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        DateTime::parse_from_rfc3339(text).map(Self::from)
    }
}

#[cfg(test)]
mod tests;
