//! The journal's promises: what was written is read again, whatever happens in between.

mod crash;
mod done;
mod model;
mod poison;
mod reading;
mod space;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::clock::Stopwatch;
use crate::quota::{Bucket, Charge, Scope};
use crate::store::Outcome;
use crate::store::entry::Tokens;

pub(super) const SMALL: JournalOptions =
    JournalOptions { segment_bytes: 64 << 10, retain_ms: 24 * 3_600_000, max_bytes: 16 << 20 };

/// A directory that is gone when the test ends. In memory where the machine has such a place: thousands are made.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        let shm = Path::new("/dev/shm");
        let base = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
        let path = base.join(format!("tollgate-journal-{}", Clock::system().request_id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// What a process that is killed now would leave: the files as the page cache has them.
    pub(super) fn crash(&self) -> Self {
        let copy = Self::new();
        copy_dir(&self.journal(), &copy.journal());
        copy
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        if item.file_type().unwrap().is_dir() {
            copy_dir(&item.path(), &to.join(item.file_name()));
        } else {
            std::fs::copy(item.path(), to.join(item.file_name())).unwrap();
        }
    }
}

/// A request at its admission.
pub(crate) fn begun() -> Entry {
    let bucket = |limit: &str| Bucket {
        scope: Scope::User,
        owner: "user_123".into(),
        limit: limit.into(),
        period: "2026-11".into(),
    };
    let charge = |limit| Charge {
        bucket: bucket(limit),
        epoch: 0,
        period_start_ms: 1_793_491_200_000,
        period_end_ms: 1_796_083_200_000,
        amount: 1,
    };
    Entry {
        id: Clock::system().request_id(),
        month: "2026-11".to_owned(),
        day: "2026-11-06".to_owned(),
        request_id: "req-from-the-client".to_owned(),
        admitted_at_ms: 1_794_000_000_000,
        ended_at_ms: 1_794_000_000_000,
        domain: "user:user_123".to_owned(),
        user: Some("user_123".to_owned()),
        team: None,
        plan: "free".to_owned(),
        dialect: "anthropic".to_owned(),
        endpoint: "messages".to_owned(),
        upstream: "anthropic".to_owned(),
        model_requested: "claude-3-opus".to_owned(),
        model_dispatched: "claude-3-opus".to_owned(),
        groups: vec!["premium".to_owned()],
        premium: false,
        stream: true,
        outcome: Outcome::Crashed,
        status: 0,
        tokens: Tokens::default(),
        charges: vec![charge("messages"), charge("premium")],
        cost_micro_usd: 0,
        price: String::new(),
        task: String::new(),
        attempt: 0,
        message_hash: String::new(),
        first_byte_ms: None,
        duration_ms: 0,
        degraded: false,
        alerts: None,
    }
}

/// The same request at its end.
pub(crate) fn ended(begun: &Entry) -> Entry {
    Entry {
        ended_at_ms: begun.admitted_at_ms + 1_234,
        outcome: Outcome::Ok,
        status: 200,
        tokens: Tokens { input: 1_200, output: 345, cached: 1_000, reasoning: 0, estimated: false },
        cost_micro_usd: 4_321,
        price: "3000000/15000000/300000".to_owned(),
        first_byte_ms: Some(210),
        duration_ms: 1_234,
        ..begun.clone()
    }
}

pub(crate) fn open(dir: &TempDir) -> (Journal, Recovery) {
    Journal::open(&dir.journal(), SMALL, Clock::system()).unwrap()
}

/// One request from admission to end.
pub(crate) fn one_request(journal: &Journal) -> Entry {
    let begun = begun();
    let end = ended(&begun);
    journal.begin(&begun).unwrap();
    journal.first_byte(begun.id, 200, begun.admitted_at_ms + 210).unwrap();
    journal.end(&end).unwrap();
    end
}

/// Everything the ledger does not have.
pub(super) fn read_all(journal: &Journal) -> Vec<Entry> {
    let mut reader = journal.reader();
    let mut all = Vec::new();
    loop {
        let batch = reader.next_batch(100, 1 << 20).unwrap();
        if batch.is_empty() {
            return all;
        }
        all.extend(batch.into_iter().map(|(_, entry)| entry));
    }
}

#[test]
fn a_life_of_requests_is_read_back_after_a_restart() {
    let dir = TempDir::new();
    let (journal, recovery) = open(&dir);
    assert_eq!((recovery.open.len(), recovery.unacked, recovery.torn_bytes), (0, 0, 0));
    let ends: Vec<Entry> = (0..3).map(|_| one_request(&journal)).collect();
    let (cold, warm) = (begun(), begun());
    journal.begin(&cold).unwrap();
    journal.begin(&warm).unwrap();
    journal.first_byte(warm.id, 200, 77).unwrap();
    journal.first_byte(warm.id, 500, 99).unwrap();
    assert_eq!((journal.pending_events(), journal.open_requests()), (3, 2));
    assert_eq!(journal.oldest_pending_ms(ends[0].ended_at_ms + 5_000), 5_000);
    drop(journal);

    let (journal, recovery) = open(&dir);
    let expected = vec![
        OpenRequest { entry: cold.clone(), first_byte: None },
        OpenRequest { entry: warm, first_byte: Some((200, 77)) },
    ];
    assert_eq!(recovery.open, expected);
    assert_eq!((recovery.unacked, recovery.torn_bytes, recovery.quarantined), (3, 0, 0));
    assert_eq!(read_all(&journal), ends);
    assert_eq!(journal.oldest_pending_ms(ends[0].ended_at_ms + 5_000), 5_000);
    journal.end(&ended(&cold)).unwrap();
    assert_eq!((journal.pending_events(), journal.open_requests()), (4, 1));
}

#[test]
fn each_request_begins_and_ends_once() {
    let dir = TempDir::new();
    let (journal, _) = open(&dir);
    let entry = begun();
    assert!(matches!(journal.end(&ended(&entry)), Err(JournalError::NotOpen(rid)) if rid == entry.id));
    assert!(matches!(journal.first_byte(entry.id, 200, 1), Err(JournalError::NotOpen(_))));
    journal.begin(&entry).unwrap();
    assert!(matches!(journal.begin(&entry), Err(JournalError::AlreadyOpen(_))));
    journal.end(&ended(&entry)).unwrap();
    assert!(matches!(journal.end(&ended(&entry)), Err(JournalError::NotOpen(_))));
    assert_eq!(read_all(&journal), vec![ended(&entry)]);
}

#[test]
fn an_end_is_on_the_disk_soon_and_its_position_says_so() {
    let dir = TempDir::new();
    let (journal, _) = open(&dir);
    let entry = begun();
    journal.begin(&entry).unwrap();
    let position = journal.end(&ended(&entry)).unwrap().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let wait = journal.wait_until(|state| state.synced >= position);
        tokio::time::timeout(std::time::Duration::from_secs(5), wait).await.unwrap();
    });
    assert_eq!(journal.synced_position(), position);
}

#[test]
fn one_gateway_a_directory() {
    let dir = TempDir::new();
    let (journal, _) = open(&dir);
    let refused = Journal::open(&dir.journal(), SMALL, Clock::system()).err().unwrap();
    let path = dir.journal();
    let path = path.display();
    assert_eq!(
        refused.to_string(),
        format!("another gateway uses `{path}`; give each gateway its own `storage.data_dir`")
    );
    drop(journal);
    open(&dir);
}

#[test]
fn files_are_private_and_links_are_not_followed() {
    let dir = TempDir::new();
    std::fs::create_dir(dir.journal()).unwrap();
    std::fs::set_permissions(dir.journal(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (journal, _) = open(&dir);
    one_request(&journal);
    journal.quarantine_row(&begun(), "a test").unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.journal()), 0o700);
    assert_eq!(mode(&dir.journal().join("quarantine")), 0o700);
    assert_eq!(mode(&dir.journal().join("quarantine/rows.jsonl")), 0o600);
    assert_eq!(mode(&dir.journal().join("000000000001.seg")), 0o600);
    assert_eq!(mode(&dir.journal().join("lock")), 0o600);
    drop(journal);

    let linked = TempDir::new();
    std::os::unix::fs::symlink(dir.journal(), linked.journal()).unwrap();
    let refused = Journal::open(&linked.journal(), SMALL, Clock::system()).err().unwrap();
    assert!(matches!(refused, JournalError::NotADirectory(_)), "{refused}");

    let target = dir.0.join("precious");
    std::fs::write(&target, b"precious").unwrap();
    std::fs::remove_file(dir.journal().join("lock")).unwrap();
    std::os::unix::fs::symlink(&target, dir.journal().join("lock")).unwrap();
    let refused = Journal::open(&dir.journal(), SMALL, Clock::system()).err().unwrap();
    assert!(matches!(refused, JournalError::NotWritable { .. }), "{refused}");
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
}

#[test]
fn a_place_that_cannot_be_used_is_named() {
    let dir = TempDir::new();
    std::fs::write(dir.journal(), b"a file").unwrap();
    let refused = Journal::open(&dir.journal(), SMALL, Clock::system()).err().unwrap();
    assert!(matches!(refused, JournalError::NotADirectory(_)), "{refused}");
    let nowhere = Path::new("/proc/tollgate/journal");
    let refused = Journal::open(nowhere, SMALL, Clock::system()).err().unwrap().to_string();
    assert!(refused.starts_with("cannot write to `/proc/tollgate/journal`: "), "{refused}");
    assert!(refused.ends_with("\nhint: the gateway's user must own `storage.data_dir`"), "{refused}");
    for options in
        [JournalOptions { segment_bytes: 4096, ..SMALL }, JournalOptions { max_bytes: 100_000, ..SMALL }]
    {
        let refused = Journal::open(&dir.journal(), options, Clock::system()).err().unwrap();
        assert!(matches!(refused, JournalError::Options(_)), "{refused}");
    }
}

#[test]
fn many_threads_lose_and_mix_nothing() {
    let dir = TempDir::new();
    let (journal, _) = open(&dir);
    let journal = Arc::new(journal);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let journal = Arc::clone(&journal);
            std::thread::spawn(move || (0..250).map(|_| one_request(&journal)).collect::<Vec<_>>())
        })
        .collect();
    let mut written: Vec<Entry> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    written.sort_by_key(|entry| entry.id);
    let crashed = dir.crash();
    for journal in [&*journal, &open(&crashed).0] {
        let mut read = read_all(journal);
        read.sort_by_key(|entry| entry.id);
        assert_eq!(read, written);
        assert_eq!(journal.pending_events(), 2_000);
    }
}

#[test]
#[ignore = "a measurement: run it with --release --nocapture"]
fn cost_of_one_request() {
    let dir = TempDir::new();
    let (journal, _) = Journal::open(&dir.journal(), JournalOptions::default(), Clock::system()).unwrap();
    let rounds = 20_000_u32;
    let requests: Vec<(Entry, Entry)> = (0..rounds)
        .map(|_| {
            let begun = begun();
            let ended = ended(&begun);
            (begun, ended)
        })
        .collect();
    let watch = Stopwatch::start();
    for (begun, ended) in &requests {
        journal.begin(begun).unwrap();
        journal.first_byte(begun.id, 200, 1).unwrap();
        journal.end(ended).unwrap();
    }
    println!("begin + first_byte + end: {:?}", watch.elapsed() / rounds);
}
