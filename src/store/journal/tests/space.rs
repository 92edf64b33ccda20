//! Room: what is promised is kept when the disk or the bound is full; what is done with is deleted, and nothing else.

use std::process::Command;
use std::time::Duration;

use super::super::space::MIN_SEGMENT_BYTES;
use super::*;

const DAY_MS: i64 = 24 * 3_600_000;

/// Begins requests until the journal refuses one.
fn begin_until_full(journal: &Journal) -> Vec<Entry> {
    let mut open = Vec::new();
    loop {
        let mut entry = begun();
        entry.request_id = "r".repeat(open.len() * 37 % 4_000);
        match journal.begin(&entry) {
            Ok(()) => open.push(entry),
            Err(JournalError::Full(_)) => return open,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The largest END the request may write.
fn largest_end(begun: &Entry) -> Entry {
    let mut end = ended(begun);
    end.model_dispatched.push_str(&"m".repeat(800));
    end
}

#[test]
fn the_bound_refuses_begins_and_never_an_end() {
    let dir = TempDir::new();
    let clock = Clock::manual("2026-11-24T12:00:00Z".parse().unwrap());
    let options = JournalOptions { max_bytes: 4 * MIN_SEGMENT_BYTES, ..SMALL };
    let (journal, _) = Journal::open(&dir.journal(), options, clock.clone()).unwrap();
    let open = begin_until_full(&journal);
    assert!(open.len() > 20);
    assert!(journal.bytes() <= options.max_bytes);
    let health = journal.health();
    assert!(!health.is_ready() && health.full.unwrap().contains("262144 bytes"));
    for entry in &open {
        journal.first_byte(entry.id, 200, 1).unwrap();
    }
    for entry in open.iter().rev() {
        journal.end(&largest_end(entry)).unwrap();
    }
    assert!(journal.bytes() <= options.max_bytes);
    assert_eq!(journal.inner.lock().reserved, 0);
    let expected: Vec<Entry> = open.iter().rev().map(largest_end).collect();
    assert_eq!(read_all(&journal), expected);

    // The ledger takes it all over. That alone frees nothing: the database may still lose it.
    journal.ack(journal.last_end()).unwrap();
    begin_until_full(&journal);
    // Five minutes later the oldest goes, before its time, rather than a request being refused.
    clock.advance(Duration::from_mins(5));
    wait_for_room(&journal);
}

/// The journal finds out by itself that it has room again.
fn wait_for_room(journal: &Journal) {
    let watch = Stopwatch::start();
    while journal.begin(&begun()).is_err() {
        assert!(watch.elapsed() < Duration::from_secs(5), "the journal does not recover");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_wasted_at_a_segments_end_is_not_promised() {
    for text_bytes in [7_000, 9_000, 11_000, 13_000] {
        let dir = TempDir::new();
        let options = JournalOptions { max_bytes: 6 * MIN_SEGMENT_BYTES, ..SMALL };
        let (journal, _) = Journal::open(&dir.journal(), options, Clock::system()).unwrap();
        let mut open = Vec::new();
        loop {
            let mut entry = begun();
            entry.request_id = "r".repeat(text_bytes);
            match journal.begin(&entry) {
                Ok(()) => open.push(entry),
                Err(JournalError::Full(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(open.len() >= 5, "{} of {text_bytes} bytes", open.len());
        for entry in &open {
            journal.end(&largest_end(entry)).unwrap();
        }
        assert_eq!(read_all(&journal), open.iter().map(largest_end).collect::<Vec<_>>());
        assert!(journal.bytes() <= options.max_bytes);
    }
}

#[test]
fn segments_go_when_they_are_done_with_and_their_time_is_over() {
    let dir = TempDir::new();
    let clock = Clock::manual("2026-11-24T12:00:00Z".parse().unwrap());
    let (journal, _) = Journal::open(&dir.journal(), SMALL, clock.clone()).unwrap();
    let segments = || journal.inner.dir.segments().unwrap();
    let fill = |segment: u64| {
        while journal.last_end().segment < segment {
            one_request(&journal);
        }
    };
    fill(3);
    let long = begun();
    journal.begin(&long).unwrap();
    fill(5);
    while !journal.inner.lock().unsealed.is_empty() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let retire = |journal: &Journal| journal.inner.retire(DAY_MS);

    clock.advance(Duration::from_hours(48));
    retire(&journal);
    assert_eq!(segments()[..5], [1, 2, 3, 4, 5], "nothing goes that the ledger does not have");
    journal.ack(journal.last_end()).unwrap();
    clock.advance(Duration::from_hours(23));
    retire(&journal);
    assert_eq!(segments()[0], 1, "nothing goes before its time");
    clock.advance(Duration::from_hours(2));
    let mut replaying = journal.reader();
    replaying.replay(i64::MIN);
    retire(&journal);
    assert_eq!(segments()[0], 1, "nothing goes that a replay is to read");
    drop(replaying);
    retire(&journal);
    assert_eq!(segments()[0], 3, "a segment with an open request stays, and all behind it");
    journal.end(&ended(&long)).unwrap();
    retire(&journal);
    assert_eq!(segments()[0], 5, "the active segment stays");

    // Retention is remembered over a restart.
    let crashed = dir.crash();
    clock.advance(Duration::from_hours(1));
    let (journal, recovery) = Journal::open(&crashed.journal(), SMALL, clock.clone()).unwrap();
    assert_eq!((recovery.unacked, recovery.open.len()), (1, 0));
    assert_eq!(read_all(&journal), vec![ended(&long)]);
}

#[test]
fn entries_that_are_too_large_are_refused_at_the_door_and_cut_at_the_end() {
    let dir = TempDir::new();
    let (journal, _) = open(&dir);
    let mut huge = begun();
    huge.task = "t".repeat(MAX_RECORD_BYTES);
    assert!(matches!(journal.begin(&huge), Err(JournalError::TooLarge { .. })));
    let entry = begun();
    journal.begin(&entry).unwrap();
    let mut end = ended(&entry);
    end.task = "é".repeat(MAX_RECORD_BYTES);
    end.groups = (0..2_000).map(|group| format!("group {group}")).collect();
    journal.end(&end).unwrap();
    let read = read_all(&journal).remove(0);
    assert_eq!(read.task, "é".repeat(48));
    assert_eq!(read.groups, end.groups[..8]);
    assert_eq!(
        (read.charges, read.tokens, read.cost_micro_usd),
        (end.charges, end.tokens, end.cost_micro_usd)
    );
}

/// A file system of one MiB.
struct Tmpfs(TempDir);

impl Tmpfs {
    fn mount() -> Option<Self> {
        let dir = TempDir::new();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tollgate-test"]).arg(&dir.0);
        mount.status().is_ok_and(|status| status.success()).then_some(Self(dir))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0.0).status().unwrap().success());
    }
}

#[test]
fn a_full_disk_refuses_begins_keeps_ends_and_recovers_by_itself() {
    let Some(tmpfs) = Tmpfs::mount() else {
        eprintln!("SKIPPED: no tmpfs can be mounted here, so the full disk is not tested");
        return;
    };
    let dir = &tmpfs.0;
    let options = JournalOptions { max_bytes: 1 << 30, ..SMALL };
    let (journal, _) = Journal::open(&dir.journal(), options, Clock::system()).unwrap();
    let ballast = dir.0.join("ballast");
    std::fs::write(&ballast, vec![1; 300_000]).unwrap();
    let open = begin_until_full(&journal);
    assert!(journal.health().full.unwrap().contains("No space left"));
    // Somebody else takes what is left, to the last byte.
    let greed = dir.0.join("greed");
    let _out_of_space = std::fs::write(&greed, vec![1; 1 << 20]).unwrap_err();
    for entry in &open {
        journal.first_byte(entry.id, 200, 1).unwrap();
        journal.end(&largest_end(entry)).unwrap();
    }
    assert_eq!(read_all(&journal), open.iter().map(largest_end).collect::<Vec<_>>());
    assert!(journal.health().poisoned_segments == 0);
    begin_until_full(&journal);
    std::fs::remove_file(&ballast).unwrap();
    std::fs::remove_file(&greed).unwrap();
    wait_for_room(&journal);
}
