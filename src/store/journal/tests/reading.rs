//! The cursor: bounds, order, resuming, replay.

use std::time::Duration;

use super::*;

#[test]
fn batches_keep_both_bounds_and_the_order() {
    let dir = TempDir::new();
    let (journal, _) = open(&dir);
    let ends: Vec<Entry> = (0..300).map(|_| one_request(&journal)).collect();
    assert!(journal.last_end().segment >= 3, "the test wants several segments");
    let mut reader = journal.reader();
    assert_eq!(reader.next_batch(7, 1 << 20).unwrap().len(), 7);
    assert_eq!(reader.next_batch(100, 1).unwrap().len(), 1);
    let three_rows = serde_json::to_vec(&ends[0]).unwrap().len() * 3 + 100;
    assert_eq!(reader.next_batch(100, three_rows).unwrap().len(), 3);
    let rest = reader.next_batch(1_000, 1 << 20).unwrap();
    let ids: Vec<Uuid> = rest.iter().map(|(_, entry)| entry.id).collect();
    assert_eq!(ids, ends[11..].iter().map(|entry| entry.id).collect::<Vec<_>>());
    assert!(rest.is_sorted_by(|one, next| one.0 < next.0));
    assert_eq!(rest.last().unwrap().0, journal.last_end());
    assert!(!reader.has_more() && reader.next_batch(10, 1 << 20).unwrap().is_empty());
    let more = one_request(&journal);
    assert_eq!(reader.next_batch(10, 1 << 20).unwrap()[0].1, more);
}

#[test]
fn a_restart_resumes_exactly_behind_the_last_ack() {
    let dir = TempDir::new();
    let (journal, _) = open(&dir);
    let ends: Vec<Entry> = (0..250).map(|_| one_request(&journal)).collect();
    let mut reader = journal.reader();
    for acked in [1, 90, 7, 120] {
        let batch = reader.next_batch(acked, 1 << 20).unwrap();
        journal.ack(batch.last().unwrap().0).unwrap();
    }
    journal.ack(Position { segment: 1, offset: 100, index: 1 }).unwrap();
    assert_eq!(journal.pending_events(), 32);
    let crashed = dir.crash();
    drop(journal);
    for dir in [&crashed, &dir] {
        let (journal, recovery) = open(dir);
        assert_eq!((recovery.unacked, journal.pending_events()), (32, 32));
        assert_eq!(read_all(&journal), ends[218..]);
    }
}

#[test]
fn the_oldest_pending_end_is_the_first_behind_the_watermark() {
    let dir = TempDir::new();
    let (journal, _) = open(&dir);
    for ended_at_ms in [100, 200, 300, 400] {
        let begun = begun();
        journal.begin(&begun).unwrap();
        journal.end(&Entry { ended_at_ms, ..ended(&begun) }).unwrap();
    }
    assert_eq!(journal.oldest_pending_ms(1_000), 900);
    let mut reader = journal.reader();
    let one = reader.next_batch(1, 1 << 20).unwrap()[0].0;
    let two = reader.next_batch(1, 1 << 20).unwrap()[0].0;
    assert_eq!(journal.oldest_pending_ms(1_000), 900, "reading ahead makes nothing younger");
    journal.ack(one).unwrap();
    journal.reader().next_batch(10, 1 << 20).unwrap();
    assert_eq!(journal.oldest_pending_ms(1_000), 800);
    journal.ack(two).unwrap();
    reader.next_batch(10, 1 << 20).unwrap();
    assert_eq!(journal.oldest_pending_ms(1_000), 700);
    assert_eq!(journal.oldest_pending_ms(0), 0, "a clock that was set back gives no nonsense");
    journal.ack(journal.last_end()).unwrap();
    assert_eq!(journal.oldest_pending_ms(1_000), 0);
}

#[test]
fn waiting_ends_with_the_end_that_was_waited_for() {
    let dir = TempDir::new();
    let (journal, _) = open(&dir);
    let journal = Arc::new(journal);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        let mut reader = journal.reader();
        for _ in 0..50 {
            let writer = Arc::clone(&journal);
            let written = tokio::task::spawn_blocking(move || one_request(&writer));
            tokio::time::timeout(Duration::from_secs(5), reader.wait_for_end()).await.unwrap();
            let batch = reader.next_batch(10, 1 << 20).unwrap();
            assert_eq!(batch[0].1, written.await.unwrap());
        }
    });
}

#[test]
fn a_replay_goes_over_everything_that_is_kept_and_back_to_where_it_was() {
    let dir = TempDir::new();
    let (journal, _) = open(&dir);
    let ends: Vec<Entry> = (0..150).map(|_| one_request(&journal)).collect();
    let mut reader = journal.reader();
    let batch = reader.next_batch(100, 1 << 20).unwrap();
    journal.ack(batch.last().unwrap().0).unwrap();
    reader.replay(i64::MIN);
    assert!(reader.is_replaying());
    let mut ids = Vec::new();
    while ids.len() < 100 {
        reader.end_replay();
        assert!(reader.is_replaying());
        ids.extend(reader.next_batch(10, 1 << 20).unwrap().into_iter().map(|(_, entry)| entry.id));
    }
    reader.end_replay();
    assert!(!reader.is_replaying());
    ids.extend(reader.next_batch(100, 1 << 20).unwrap().into_iter().map(|(_, entry)| entry.id));
    assert_eq!(ids, ends.iter().map(|entry| entry.id).collect::<Vec<_>>());
    assert_eq!(journal.pending_events(), 50, "a replay changes nothing about what is pending");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_long_outage_needs_disk_and_no_memory() {
    let dir = TempDir::new();
    let options = JournalOptions { segment_bytes: 4 << 20, max_bytes: 1 << 30, ..SMALL };
    let (journal, _) = Journal::open(&dir.journal(), options, Clock::system()).unwrap();
    for _ in 0..1_000 {
        one_request(&journal);
    }
    let before = resident_kib();
    for _ in 0..99_000 {
        one_request(&journal);
    }
    assert_eq!(journal.pending_events(), 100_000);
    assert!(journal.bytes() > 100 << 20);
    let mut reader = journal.reader();
    let mut rows = 0;
    loop {
        let batch = reader.next_batch(500, 2 << 20).unwrap();
        let Some((last, _)) = batch.last() else { break };
        assert!(batch.len() <= 500);
        rows += batch.len();
        journal.ack(*last).unwrap();
    }
    assert_eq!((rows, journal.pending_events()), (100_000, 0));
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 24 << 10, "memory grew by {grown} KiB");
}
