//! A disk that fails: the segment is given up, what lived in it is written again, nothing is said to be durable that is
//! not.

use std::fs::{File, OpenOptions};
use std::time::Duration;

use super::super::record::encode_entry;
use super::*;

/// More numbers than are tried in the time of a test.
const NAMES: std::ops::Range<u64> = 2..500;

fn device(path: &str) -> Arc<File> {
    Arc::new(OpenOptions::new().read(true).write(true).open(path).unwrap())
}

fn swap_active_file(state: &mut State, file: Arc<File>) {
    let active = state.active;
    state.segments.get_mut(&active).unwrap().file = Some(file);
}

/// Takes the names of the next segments, so that none can be made, until the names are given back.
fn take_names(dir: &TempDir) {
    for sequence in NAMES {
        std::fs::create_dir(dir.journal().join(format!("{sequence:012}.seg"))).unwrap();
    }
}

fn give_names_back(dir: &TempDir) {
    for sequence in NAMES {
        std::fs::remove_dir(dir.journal().join(format!("{sequence:012}.seg"))).unwrap();
    }
}

fn wait_for(what: &str, reached: impl Fn() -> bool) {
    let watch = Stopwatch::start();
    while !reached() {
        assert!(watch.elapsed() < Duration::from_secs(10), "{what} does not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a journal still knows when its first segment is lost with the disk it stood on.
fn assert_survives_without_first_segment(dir: &TempDir, ends: &[Entry], open_ids: &[(Uuid, bool)]) {
    let crashed = dir.crash();
    std::fs::remove_file(crashed.journal().join("000000000001.seg")).unwrap();
    let (journal, recovery) = open(&crashed);
    assert_eq!(read_all(&journal), ends);
    let found: Vec<_> = recovery.open.iter().map(|open| (open.entry.id, open.first_byte.is_some())).collect();
    assert_eq!(found, open_ids);
}

#[test]
fn a_failed_sync_poisons_the_segment_and_its_live_records_move() {
    let dir = TempDir::new();
    let (journal, _) = open(&dir);
    let acked = one_request(&journal);
    journal.ack(journal.last_end()).unwrap();
    let before = journal.last_end();
    let (cold, warm, last) = (begun(), begun(), begun());
    for entry in [&cold, &warm, &last] {
        journal.begin(entry).unwrap();
    }
    journal.first_byte(warm.id, 200, 5).unwrap();
    {
        // `/dev/null` refuses to sync. It takes the file's place in one step with the END.
        let mut state = journal.inner.lock();
        let record = encode_entry(RecordKind::End, &ended(&last)).unwrap();
        let (segment, offset) = journal.inner.append(&mut state, &record).unwrap();
        state.close_request(last.id);
        state.note_end(segment, offset, 0);
        swap_active_file(&mut state, device("/dev/null"));
    }
    journal.inner.wake.notify_all();
    wait_for("the rescue", || journal.synced_position() > before && journal.health().poisoned_segments == 1);
    assert!(!journal.health().is_ready());
    assert_eq!(journal.synced_position(), journal.last_end());
    assert_eq!(journal.last_end().segment, 2, "the END was written again, elsewhere");
    assert_survives_without_first_segment(&dir, &[ended(&last)], &[(cold.id, false), (warm.id, true)]);

    // The ledger may be told twice, never less; and what was acknowledged is not told again.
    let delivered = read_all(&journal);
    assert_eq!(delivered, vec![ended(&last), ended(&last)]);
    assert!(!delivered.contains(&acked));
    let batch = journal.reader().next_batch(10, 1 << 20).unwrap();
    journal.ack(batch.last().unwrap().0).unwrap();
    assert_eq!(journal.pending_events(), 0);
    // And it goes on.
    journal.end(&ended(&cold)).unwrap();
    one_request(&journal);
    assert_eq!(read_all(&journal).len(), 2);
}

#[test]
fn a_failed_write_goes_to_the_next_segment() {
    let dir = TempDir::new();
    let (journal, _) = open(&dir);
    let done = one_request(&journal);
    let (running, other) = (begun(), begun());
    journal.begin(&running).unwrap();
    journal.begin(&other).unwrap();
    swap_active_file(&mut journal.inner.lock(), device("/dev/full"));
    let position = journal.end(&ended(&running)).unwrap().unwrap();
    assert_eq!(position.segment, 2);
    wait_for("the rescue", || {
        journal.inner.lock().to_rescue.is_empty() && journal.synced_position() >= position
    });
    assert_eq!(journal.health().poisoned_segments, 1);
    assert_survives_without_first_segment(&dir, &[ended(&running), done], &[(other.id, false)]);
}

#[test]
fn an_end_that_no_segment_takes_waits_in_memory_until_one_does() {
    let dir = TempDir::new();
    let (journal, _) = open(&dir);
    let (running, other) = (begun(), begun());
    journal.begin(&running).unwrap();
    journal.first_byte(running.id, 200, 5).unwrap();
    journal.begin(&other).unwrap();
    take_names(&dir);
    swap_active_file(&mut journal.inner.lock(), device("/dev/full"));
    assert_eq!(journal.end(&ended(&running)).unwrap(), None);
    assert!(matches!(journal.end(&ended(&running)), Err(JournalError::NotOpen(_))), "it has ended");
    assert!(matches!(journal.begin(&begun()), Err(JournalError::Full(_))));
    assert_eq!((journal.pending_events(), journal.open_requests()), (1, 1));
    assert!(journal.oldest_pending_ms(i64::MAX) > 0);
    assert!(!journal.health().is_ready());
    assert_eq!(journal.last_end(), Position::default(), "nothing is said to be written");

    // killed now, it is a request that was begun and never ended
    let died = dir.crash();
    give_names_back(&died);
    let (_, recovery) = open(&died);
    let found: Vec<_> = recovery.open.iter().map(|open| (open.entry.id, open.first_byte.is_some())).collect();
    assert_eq!(found, [(running.id, true), (other.id, false)]);

    give_names_back(&dir);
    wait_for("the END", || {
        journal.last_end() != Position::default() && journal.synced_position() == journal.last_end()
    });
    assert_eq!((journal.pending_events(), journal.open_requests()), (1, 1));
    assert_eq!(read_all(&journal), [ended(&running)]);
    assert_survives_without_first_segment(&dir, &[ended(&running)], &[(other.id, false)]);
    journal.ack(journal.last_end()).unwrap();
    assert_eq!((journal.pending_events(), journal.oldest_pending_ms(i64::MAX)), (0, 0));
    journal.end(&ended(&other)).unwrap().unwrap();
}
