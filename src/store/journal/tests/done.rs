//! What is in the ledger and in the counters is not read again at a start, and all else is.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::super::done::ANNOUNCED_MS;
use super::*;

/// Requests that fill several segments.
const MANY: usize = 200;

fn start(dir: &TempDir) -> (Journal, Clock) {
    let clock = Clock::manual("2026-11-24T12:00:00Z".parse().unwrap());
    let (journal, _) = Journal::open(&dir.journal(), SMALL, clock.clone()).unwrap();
    (journal, clock)
}

/// The ledger takes all, and it is announced no more.
fn acknowledge(journal: &Journal, clock: &Clock) {
    journal.ack(journal.last_end()).unwrap();
    clock.advance(Duration::from_millis(ANNOUNCED_MS.unsigned_abs() + 1));
}

/// Every END is settled.
fn settle_all(journal: &Journal) {
    for segment in journal.inner.lock().segments.values_mut() {
        segment.unsettled = 0;
    }
    journal.set_counters_dirty(false);
}

/// A journal of several segments whose ENDs the ledger has.
fn acknowledged(dir: &TempDir) -> (Journal, Clock) {
    let (journal, clock) = start(dir);
    for _ in 0..MANY {
        one_request(&journal);
    }
    acknowledge(&journal, &clock);
    (journal, clock)
}

fn note(dir: &TempDir) -> Option<String> {
    std::fs::read_to_string(dir.journal().join("done")).ok()
}

/// Waits until the note names the segment before the active one.
fn noted(dir: &TempDir, journal: &Journal) {
    let last = journal.last_end().segment - 1;
    for _ in 0..1_000 {
        if note(dir).is_some_and(|note| note.contains(&format!("\"sequence\":{last},"))) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{:?} does not name segment {last}", note(dir));
}

/// Turns a byte of the first segment's first record.
fn damage(dir: &TempDir) {
    let path = dir.journal().join("000000000001.seg");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    file.write_all_at(b"#", 100).unwrap();
}

#[test]
fn what_is_done_is_not_read_again() {
    let dir = TempDir::new();
    let (journal, _clock) = acknowledged(&dir);
    settle_all(&journal);
    noted(&dir, &journal);
    let (ends, bytes) = (journal.last_end(), journal.bytes());
    let crashed = dir.crash();
    // it would be found if the segment were read
    damage(&crashed);
    let (journal, recovery) = open(&crashed);
    assert_eq!((recovery.quarantined, recovery.unacked), (0, 0));
    assert_eq!((journal.last_end(), journal.acked_position()), (ends, ends));
    assert!(journal.bytes() <= bytes + 2 * SMALL.segment_bytes);
    drop(journal);
    std::fs::remove_file(crashed.journal().join("done")).unwrap();
    let (_journal, recovery) = open(&crashed);
    assert_eq!(recovery.quarantined, 1, "without the note it is read");
}

#[test]
fn what_is_done_is_there_for_a_replay() {
    let dir = TempDir::new();
    let (journal, _clock) = acknowledged(&dir);
    settle_all(&journal);
    noted(&dir, &journal);
    let crashed = dir.crash();
    let (journal, _) = open(&crashed);
    let mut reader = journal.reader();
    reader.replay(i64::MIN);
    let mut rows = 0;
    loop {
        let batch = reader.next_batch(50, usize::MAX).unwrap();
        if batch.is_empty() {
            break;
        }
        rows += batch.len();
    }
    assert_eq!(rows, MANY);
}

#[test]
fn what_is_not_settled_is_told_after_a_crash() {
    let dir = TempDir::new();
    let (journal, _clock) = acknowledged(&dir);
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(note(&dir), None, "in the ledger, and perhaps not in the counters");
    let (_journal, recovery) = open(&dir.crash());
    assert_eq!(recovery.recent, ["user:user_123"]);
    settle_all(&journal);
    noted(&dir, &journal);
    let begun = Entry { domain: "user:later".to_owned(), ..begun() };
    journal.begin(&begun).unwrap();
    journal.end(&ended(&begun)).unwrap();
    let (_journal, recovery) = open(&dir.crash());
    assert!(recovery.recent.contains(&"user:later".to_owned()), "{:?}", recovery.recent);
}

#[test]
fn an_open_request_keeps_its_segment_and_all_after_it() {
    let dir = TempDir::new();
    let (journal, clock) = start(&dir);
    let waiting = begun();
    journal.begin(&waiting).unwrap();
    for _ in 0..MANY {
        one_request(&journal);
    }
    acknowledge(&journal, &clock);
    settle_all(&journal);
    std::thread::sleep(Duration::from_millis(600));
    let (_journal, recovery) = open(&dir.crash());
    assert_eq!(recovery.open.len(), 1);
    assert_eq!(recovery.open[0].entry, waiting);
    journal.end(&ended(&waiting)).unwrap();
    acknowledge(&journal, &clock);
    settle_all(&journal);
    noted(&dir, &journal);
}

#[test]
fn a_segment_of_another_size_or_a_note_of_nonsense_is_read_as_ever() {
    let dir = TempDir::new();
    let (journal, _clock) = acknowledged(&dir);
    settle_all(&journal);
    noted(&dir, &journal);
    for spoil in [
        |dir: &TempDir| std::fs::write(dir.journal().join("done"), "{\"segments\":").unwrap(),
        |dir: &TempDir| {
            let path = dir.journal().join("000000000001.seg");
            let bytes = std::fs::metadata(&path).unwrap().len();
            std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(bytes + 1).unwrap();
        },
    ] {
        let crashed = dir.crash();
        damage(&crashed);
        spoil(&crashed);
        let (journal, recovery) = open(&crashed);
        assert_eq!(recovery.quarantined, 1);
        assert_eq!(journal.last_end(), journal.acked_position());
    }
}

#[test]
fn what_is_still_announced_is_told_after_a_crash() {
    let dir = TempDir::new();
    let (journal, clock) = start(&dir);
    for _ in 0..MANY {
        one_request(&journal);
    }
    journal.ack(journal.last_end()).unwrap();
    settle_all(&journal);
    clock.advance(Duration::from_millis(ANNOUNCED_MS.unsigned_abs()));
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(note(&dir), None);
    clock.advance(Duration::from_millis(1));
    noted(&dir, &journal);
}
