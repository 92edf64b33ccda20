//! The calendar of each zone against a table that another library made: `periods.txt`, by jiff 1.0 with the IANA database
//! of its time.

use chrono_tz::Tz;

use super::Calendar;
use crate::clock::Timestamp;

/// A line a zone: its name, and for each year from [`FIRST_YEAR`] on a sum in hexadecimal digits.
const TABLE: &str = include_str!("periods.txt");
const FIRST_YEAR: i32 = 1998;

/// CRC-32 over the name, start and end of a year and of every month, week and day that begins in it, and of every hour of
/// the days on which clocks are changed.
fn sum(zone: Tz, year: i32) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    let new_year = format!("{year}-01-02T12:00:00Z").parse().unwrap();
    let end = Calendar::Year.period_at(new_year, zone).end;
    for calendar in [Calendar::Year, Calendar::Month, Calendar::Week, Calendar::Day] {
        let mut now = Calendar::Year.period_at(new_year, zone).start;
        while now < end {
            let period = calendar.period_at(now, zone);
            add(&mut sum, &period);
            let length_s = period.end.as_second() - period.start.as_second();
            let is_changed = calendar == Calendar::Day && length_s != 86_400;
            let mut hour = if is_changed { period.start } else { period.end };
            while hour < period.end {
                let period = Calendar::Hour.period_at(hour, zone);
                add(&mut sum, &period);
                hour = period.end;
            }
            now = period.end;
        }
    }
    sum.finalize()
}

fn add(sum: &mut crc32fast::Hasher, period: &super::Period) {
    let line = format!("{} {} {}\n", period.id, period.start.as_second(), period.end.as_second());
    sum.update(line.as_bytes());
}

#[test]
fn every_period_of_forty_years_is_that_of_the_table() {
    let mut years = 0;
    for line in TABLE.lines() {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let zone: Tz = name.parse().unwrap();
        for (year, word) in (FIRST_YEAR..).zip(words) {
            assert_eq!(format!("{:08x}", sum(zone, year)), word, "{name} {year}");
            years += 1;
        }
    }
    assert_eq!(years, 32 * 40);
}

#[test]
fn a_midnight_that_clocks_skip_or_repeat_begins_one_day() {
    for (zone, now, start, end) in [
        // 00:00 to 01:00 was skipped
        (Tz::America__Sao_Paulo, "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"),
        // 00:00 came twice: the first is the day's
        (Tz::America__Havana, "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
        (Tz::Asia__Beirut, "2026-03-29T12:00:00Z", "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"),
        // 30 December 2011 was left out
        (Tz::Pacific__Apia, "2011-12-30T12:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
    ] {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let day = Calendar::Day.period_at(at(now), zone);
        assert_eq!((day.start, day.end), (at(start), at(end)), "{zone} {}", day.id);
    }
}
