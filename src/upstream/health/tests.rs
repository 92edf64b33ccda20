//! Ejection and return.

use proptest::prelude::*;

use super::*;

fn ejected(now_ms: u64) -> UpstreamHealth {
    let mut health = UpstreamHealth::default();
    assert_eq!([(); 3].map(|()| health.failed(now_ms)), [false, false, true]);
    health
}

#[test]
fn three_failures_in_a_row_eject_and_a_success_between_them_counts() {
    let mut health = UpstreamHealth::default();
    for _ in 0..10 {
        assert!(!health.failed(0) && !health.failed(0));
        health.succeeded();
    }
    assert_eq!(health.ask(0), Leave::Go);
    let mut health = ejected(5_000);
    assert_eq!(health.ejections, 1);
    assert_eq!(health.ask(5_999), Leave::Stay);
    assert_eq!(health.ask(6_000), Leave::Trial);
    assert_eq!(health.ask(6_000), Leave::Stay, "one trial at a time");
    health.succeeded();
    assert_eq!(health.ask(6_000), Leave::Go);
}

#[test]
fn each_failed_trial_doubles_the_time_up_to_a_minute() {
    let mut health = ejected(0);
    let mut now_ms = 0;
    for backoff_ms in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
        assert_eq!(health.ask(now_ms + backoff_ms - 1), Leave::Stay);
        now_ms += backoff_ms;
        assert_eq!(health.ask(now_ms), Leave::Trial);
        assert!(!health.failed(now_ms), "it was ejected before");
    }
}

#[test]
fn late_failures_of_older_requests_do_not_lengthen_an_ejection() {
    let mut health = ejected(0);
    for now_ms in 1..900 {
        health.failed(now_ms);
    }
    assert_eq!(health.ask(1_000), Leave::Trial);
}

#[test]
fn a_trial_that_is_lost_or_given_back_is_followed_by_another() {
    let mut health = ejected(0);
    assert_eq!(health.ask(1_000), Leave::Trial);
    assert_eq!(health.ask(1_999), Leave::Stay);
    assert_eq!(health.ask(2_000), Leave::Trial, "nobody told what became of the first");
    health.given_back();
    assert_eq!(health.ask(2_000), Leave::Trial);
}

proptest! {
    /// Whatever happens, nobody is ejected for longer than a minute after the last event, and a success always ends it.
    #[test]
    fn an_ejection_always_ends(events in prop::collection::vec((0..4u8, 0..100_000u64), 0..200)) {
        let (mut health, mut now_ms) = (UpstreamHealth::default(), 0);
        for (event, later_ms) in events {
            now_ms += later_ms;
            match event {
                0 => { health.ask(now_ms); }
                1 => { health.failed(now_ms); }
                2 => health.given_back(),
                _ => {
                    health.succeeded();
                    prop_assert_eq!(health.ask(now_ms), Leave::Go);
                }
            }
            prop_assert_ne!(health.clone().ask(now_ms + 60_000), Leave::Stay);
        }
    }
}
