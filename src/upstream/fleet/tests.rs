//! Which candidate is taken.

use super::*;
use crate::upstream::UpstreamTable;
use crate::upstream::table::tests::upstream;

fn fleet_of(caps: &[(&str, Option<u32>)]) -> (Arc<Fleet>, UpstreamTable) {
    let settings = caps.iter().zip(0..).map(|((name, max_concurrent), priority)| UpstreamSettings {
        max_concurrent: *max_concurrent,
        priority,
        ..upstream(name, &["m"], &[("openai", "/v1")])
    });
    (Arc::default(), UpstreamTable::new(settings.collect()))
}

fn open(fleet: &Fleet, name: &str) -> u32 {
    fleet.lock()[name].open
}

fn candidates(table: &UpstreamTable) -> VecDeque<Chosen> {
    table.candidates("openai", "m", 0).unwrap().into()
}

fn taken(fleet: &Arc<Fleet>, candidates: &mut VecDeque<Chosen>, now_ms: u64) -> Result<(String, Slot), Full> {
    fleet.take(candidates, now_ms).map(|(chosen, slot)| (chosen.upstream.name.clone(), slot))
}

fn eject(fleet: &Arc<Fleet>, table: &UpstreamTable, name: &str) {
    for _ in 0..3 {
        let mut only: VecDeque<_> =
            candidates(table).into_iter().filter(|one| one.upstream.name == name).collect();
        taken(fleet, &mut only, 0).unwrap().1.failed(0);
    }
    assert_ne!(fleet.lock()[name].health, UpstreamHealth::default());
}

#[test]
fn the_cap_holds_and_a_dropped_slot_makes_room() {
    let (fleet, table) = fleet_of(&[("a", Some(2)), ("b", Some(1))]);
    let slots: Vec<_> = (0..3).map(|_| taken(&fleet, &mut candidates(&table), 0).unwrap()).collect();
    assert_eq!(slots.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "a", "b"]);
    assert_eq!(taken(&fleet, &mut candidates(&table), 0).unwrap_err(), Full);
    assert_eq!((open(&fleet, "a"), open(&fleet, "b")), (2, 1));
    drop(slots);
    assert_eq!((open(&fleet, "a"), open(&fleet, "b")), (0, 0));
    assert_eq!(taken(&fleet, &mut candidates(&table), 0).unwrap().0, "a");
}

#[test]
fn an_ejected_upstream_is_passed_over_until_its_trial() {
    let (fleet, table) = fleet_of(&[("a", None), ("b", None)]);
    eject(&fleet, &table, "a");
    let mut list = candidates(&table);
    assert_eq!(taken(&fleet, &mut list, 999).unwrap().0, "b");
    assert_eq!(taken(&fleet, &mut list, 999).unwrap().0, "a", "better than to fail");
    assert_eq!(taken(&fleet, &mut list, 999).unwrap_err(), Full);
    let (name, mut trial) = taken(&fleet, &mut candidates(&table), 1_000).unwrap();
    assert_eq!(name, "a");
    assert_eq!(taken(&fleet, &mut candidates(&table), 1_000).unwrap().0, "b", "one trial at a time");
    trial.succeeded();
    assert_eq!(fleet.lock()["a"].health, UpstreamHealth::default());
    assert_eq!(taken(&fleet, &mut candidates(&table), 1_000).unwrap().0, "a");
}

#[test]
fn a_trial_that_is_dropped_untold_is_tried_again() {
    let (fleet, table) = fleet_of(&[("a", None), ("b", None)]);
    eject(&fleet, &table, "a");
    drop(taken(&fleet, &mut candidates(&table), 1_000).unwrap());
    assert_eq!(taken(&fleet, &mut candidates(&table), 1_000).unwrap().0, "a");
}

#[test]
fn the_last_candidates_are_never_given_up() {
    let (fleet, table) = fleet_of(&[("a", None), ("b", Some(1))]);
    eject(&fleet, &table, "a");
    eject(&fleet, &table, "b");
    assert_eq!(taken(&fleet, &mut candidates(&table), 10).unwrap().0, "a");
    assert!(fleet.checked("a", false) && !fleet.checked("a", false));
    let (name, _slot) = taken(&fleet, &mut candidates(&table), 10).unwrap();
    assert_eq!(name, "a", "a check does not change that");
}

#[test]
fn a_failed_check_takes_out_and_a_passed_one_brings_back() {
    let (fleet, table) = fleet_of(&[("a", None), ("b", None)]);
    fleet.checked("a", false);
    assert_eq!(taken(&fleet, &mut candidates(&table), 0).unwrap().0, "b");
    assert!(fleet.checked("a", true));
    assert_eq!(taken(&fleet, &mut candidates(&table), 0).unwrap().0, "a");
}
