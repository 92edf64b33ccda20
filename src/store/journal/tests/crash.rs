//! Crashes and damage: never a panic, never a false record, never more lost than what the damage covers.

use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::process::{Command, Stdio};

use super::super::record::{SEGMENT_HEADER_BYTES, check};
use super::*;

const FIRST_SEGMENT: &str = "000000000001.seg";

/// A small journal: two ended requests, the second with a FIRST, one open; with the place of each record.
struct Specimen {
    bytes: Vec<u8>,
    records: Vec<Range<usize>>,
    ends: Vec<Entry>,
    open: Entry,
}

impl Specimen {
    fn new() -> Self {
        let dir = TempDir::new();
        let (journal, _) = open(&dir);
        let (one, two, open_one) = (begun(), begun(), begun());
        journal.begin(&one).unwrap();
        journal.begin(&open_one).unwrap();
        journal.end(&ended(&one)).unwrap();
        journal.begin(&two).unwrap();
        journal.first_byte(two.id, 200, 1).unwrap();
        journal.end(&ended(&two)).unwrap();
        let bytes = std::fs::read(dir.journal().join(FIRST_SEGMENT)).unwrap();
        let mut records = Vec::new();
        let mut at = SEGMENT_HEADER_BYTES;
        while let Some((_, record_bytes)) = check(&bytes[at..]) {
            records.push(at..at + record_bytes);
            at += record_bytes;
        }
        assert_eq!(records.len(), 6);
        assert_eq!(bytes.len(), 64 << 10);
        Self { bytes, records, ends: vec![ended(&one), ended(&two)], open: open_one }
    }

    /// Opens a journal that consists of these bytes.
    fn reopen(bytes: &[u8]) -> (TempDir, Journal, Recovery) {
        let dir = TempDir::new();
        std::fs::create_dir(dir.journal()).unwrap();
        std::fs::write(dir.journal().join(FIRST_SEGMENT), bytes).unwrap();
        let (journal, recovery) = open(&dir);
        (dir, journal, recovery)
    }
}

#[test]
fn the_domains_of_what_had_ended_are_told_after_a_crash() {
    let dir = TempDir::new();
    let (journal, recovery) = open(&dir);
    assert!(recovery.recent.is_empty());
    for (domain, ends) in [("user:one", true), ("user:two", true), ("user:one", true), ("user:open", false)] {
        let begun = Entry { domain: domain.to_owned(), ..begun() };
        journal.begin(&begun).unwrap();
        if ends {
            journal.end(&ended(&begun)).unwrap();
        }
    }
    let crashed = dir.crash();
    let (_journal, recovery) = open(&crashed);
    assert_eq!(recovery.recent, ["user:one", "user:two"]);
}

#[test]
fn a_record_cut_anywhere_is_as_if_never_written() {
    let specimen = Specimen::new();
    let last = specimen.records.last().unwrap().clone();
    for cut in last.clone() {
        let mut zeroed = specimen.bytes.clone();
        zeroed[cut..].fill(0);
        for bytes in [&specimen.bytes[..cut], &zeroed] {
            let (dir, journal, recovery) = Specimen::reopen(bytes);
            assert_eq!(read_all(&journal), specimen.ends[..1], "cut at {cut}");
            let still_open: Vec<_> = recovery.open.iter().map(|request| request.entry.id).collect();
            assert_eq!(still_open.len(), 2, "cut at {cut}");
            assert!(still_open.contains(&specimen.ends[1].id) && still_open.contains(&specimen.open.id));
            assert_eq!(recovery.torn_bytes == 0, cut == last.start, "cut at {cut}");
            assert!(recovery.torn_bytes <= (cut - last.start) as u64);
            assert_eq!((recovery.quarantined, recovery.unacked), (0, 1));
            // The journal goes on behind the cut.
            journal.end(&specimen.ends[1]).unwrap();
            drop(journal);
            let (journal, recovery) = open(&dir);
            assert_eq!((recovery.torn_bytes, recovery.unacked), (0, 2));
            assert_eq!(read_all(&journal), specimen.ends);
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_costs_only_its_own_record() {
    let specimen = Specimen::new();
    let data_end = specimen.records.last().unwrap().end;
    for at in 0..data_end {
        let mut bytes = specimen.bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        let (dir, journal, recovery) = Specimen::reopen(&bytes);
        let hit = specimen.records.iter().position(|record| record.contains(&at));
        let mut expected = specimen.ends.clone();
        match hit {
            Some(2) => drop(expected.remove(0)),
            Some(5) => drop(expected.remove(1)),
            _ => {}
        }
        assert_eq!(read_all(&journal), expected, "flip at {at}");
        // An open request whose BEGIN is hit is not known any more; one whose END is hit counts as open.
        let mut open_ids: Vec<_> = recovery.open.iter().map(|request| request.entry.id).collect();
        open_ids.sort_unstable();
        let mut expected_open = if hit == Some(1) { vec![] } else { vec![specimen.open.id] };
        match hit {
            Some(2) => expected_open.push(specimen.ends[0].id),
            Some(5) => expected_open.push(specimen.ends[1].id),
            _ => {}
        }
        expected_open.sort_unstable();
        assert_eq!(open_ids, expected_open, "flip at {at}");
        let is_tail = hit == Some(5);
        assert_eq!(
            (recovery.quarantined, recovery.torn_bytes > 0),
            (u64::from(!is_tail), is_tail),
            "flip at {at}"
        );
        let copy = dir.journal().join("quarantine").join(FIRST_SEGMENT);
        assert_eq!(std::fs::read(copy).ok(), (!is_tail).then_some(bytes), "flip at {at}");
    }
}

#[test]
fn damage_is_reported_once_and_counted_right() {
    let specimen = Specimen::new();
    let mut bytes = specimen.bytes.clone();
    bytes[specimen.records[2].start + 20] ^= 0xff;
    let (dir, journal, recovery) = Specimen::reopen(&bytes);
    assert_eq!((recovery.quarantined, recovery.unacked), (1, 1));
    assert_eq!(journal.health().damaged_segments, 1);
    let batch = journal.reader().next_batch(10, 1 << 20).unwrap();
    journal.ack(batch.last().unwrap().0).unwrap();
    assert_eq!((journal.pending_events(), journal.oldest_pending_ms(i64::MAX)), (0, 0));
    drop(journal);
    let (_, recovery) = open(&dir);
    assert_eq!((recovery.quarantined, recovery.unacked), (0, 0));
}

#[test]
fn noise_is_no_record() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = vec![0_u8; 64 << 10];
    for byte in &mut noise {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state.to_le_bytes()[0];
    }
    let ones = vec![1; 70_000];
    for bytes in [&noise[..], &noise[..7], &[], &[0; 4096], &ones] {
        let (_dir, journal, recovery) = Specimen::reopen(bytes);
        assert_eq!((recovery.open.len(), recovery.unacked), (0, 0));
        assert_eq!(read_all(&journal), vec![]);
        one_request(&journal);
    }
}

/// The process that is killed below: writes requests and tells each id when its END was written.
#[test]
#[ignore = "runs as the child of `kill_9_loses_no_end`"]
fn child_that_writes_until_killed() {
    let dir = std::env::var("TOLLGATE_JOURNAL_CHILD").unwrap();
    let (journal, _) = Journal::open(Path::new(&dir), SMALL, Clock::system()).unwrap();
    loop {
        println!("ended {}", one_request(&journal).id);
        journal.begin(&begun()).unwrap();
    }
}

#[test]
fn kill_9_loses_no_end() {
    let name = "child_that_writes_until_killed";
    let path = std::any::type_name_of_val(&child_that_writes_until_killed);
    let path = path.split_once("::").unwrap().1;
    for round in 0..5 {
        let dir = TempDir::new();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", path, "--ignored", "--nocapture"])
            .env("TOLLGATE_JOURNAL_CHILD", dir.journal())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = Vec::new();
        let note = |line: String, told: &mut Vec<Uuid>| {
            told.extend(line.split_once("ended ").and_then(|(_, id)| id.parse::<Uuid>().ok()));
        };
        while told.len() < 40 + 37 * round {
            note(lines.next().unwrap_or_else(|| panic!("`{name}` ended early")).unwrap(), &mut told);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            note(line.unwrap(), &mut told);
        }
        let (journal, recovery) = open(&dir);
        let read: Vec<Uuid> = read_all(&journal).iter().map(|entry| entry.id).collect();
        assert_eq!(read[..told.len()], told);
        assert!(read.len() <= told.len() + 1);
        assert_eq!((recovery.quarantined, recovery.torn_bytes), (0, 0));
        assert!(recovery.open.len().abs_diff(told.len()) <= 1, "{} open", recovery.open.len());
    }
}
