//! The writer's promises: each row exactly once, whatever the ledger does; nothing dropped in silence.

mod fake;

use std::sync::Mutex;

use tokio::task::JoinHandle;
use uuid::Uuid;

use self::fake::{FakeLedger, Mishap};
use super::*;
use crate::store::journal::JournalOptions;
use crate::store::journal::tests::{TempDir, one_request, open};

const PATIENCE: Duration = Duration::from_secs(20);

/// A journal, a ledger and a running writer between them.
struct Bench {
    dir: TempDir,
    journal: Arc<Journal>,
    ledger: Arc<FakeLedger>,
    handle: WriterHandle,
    told: Arc<Mutex<Vec<Uuid>>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Bench {
    fn start(dir: TempDir, ledger: Arc<FakeLedger>, options: WriterOptions) -> Self {
        let journal = Arc::new(open(&dir).0);
        let told = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&told);
        let on_ack: OnAck = Arc::new(move |entries: &[Entry], _| {
            noted.lock().unwrap().extend(entries.iter().map(|entry| entry.id));
        });
        let store: Arc<dyn Ledger> = Arc::<FakeLedger>::clone(&ledger);
        let writer = Writer::new(Arc::clone(&journal), store, Clock::system(), options, on_ack);
        let handle = writer.handle();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(writer.run(stopped));
        Self { dir, journal, ledger, handle, told, stop, task }
    }

    fn fresh() -> Self {
        Self::start(TempDir::new(), Arc::default(), WriterOptions::default())
    }

    fn requests(&self, count: usize) -> Vec<Uuid> {
        (0..count).map(|_| one_request(&self.journal).id).collect()
    }

    async fn flush(&self) {
        self.handle.flush(PATIENCE).await.unwrap();
    }

    /// Stops the writer, which drains the journal first.
    async fn stop(self) -> (TempDir, Arc<FakeLedger>) {
        self.stop.send(true).unwrap();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
        (self.dir, self.ledger)
    }

    /// Drops the writer where it stands.
    async fn kill(self) -> (TempDir, Arc<FakeLedger>) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        (self.dir, self.ledger)
    }

    /// The ledger has these rows and no others, and each was told of once.
    fn assert_exactly(&self, ids: &[Uuid]) {
        let mut expected = ids.to_vec();
        expected.sort_unstable();
        let rows: Vec<Uuid> = self.ledger.edit(|ledger| ledger.rows.keys().copied().collect());
        assert_eq!(rows, expected);
        let mut told = self.told.lock().unwrap().clone();
        told.sort_unstable();
        assert_eq!(told, expected);
        assert_eq!((self.journal.pending_events(), self.handle.lag_ms()), (0, 0));
    }
}

async fn eventually(what: &str, reached: impl Fn() -> bool) {
    let watch = Stopwatch::start();
    while !reached() {
        assert!(watch.elapsed() < PATIENCE, "{what} does not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_arrive_once_in_batches() {
    let bench = Bench::fresh();
    let ids = bench.requests(1_300);
    bench.flush().await;
    bench.assert_exactly(&ids);
    assert_eq!((bench.handle.counts().rows, bench.handle.counts().duplicates), (1_300, 0));
    let batches = bench.ledger.edit(|ledger| ledger.batches.clone());
    assert!(batches.iter().all(|rows| *rows <= 500) && batches.len() < 60, "{batches:?}");
    let more = bench.requests(1);
    bench.flush().await;
    bench.assert_exactly(&[ids, more].concat());
}

#[tokio::test]
async fn a_flaky_ledger_gets_each_row_once() {
    let bench = Bench::fresh();
    let mishaps = [Mishap::Unreachable, Mishap::AnswerLost, Mishap::Unreachable, Mishap::AnswerLost];
    bench.ledger.edit(|ledger| ledger.mishaps = mishaps.into());
    let ids = bench.requests(40);
    eventually("trouble", || bench.handle.is_degraded()).await;
    bench.flush().await;
    bench.assert_exactly(&ids);
    assert!(!bench.handle.is_degraded());
    // The answers that would have said "inserted" were lost.
    assert_eq!(bench.handle.counts().rows + bench.handle.counts().duplicates, 40);
    assert!(bench.handle.counts().duplicates > 0);
}

#[tokio::test]
async fn an_outage_only_delays() {
    let bench = Bench::fresh();
    bench.ledger.edit(|ledger| ledger.down = true);
    let ids = bench.requests(700);
    let timeout = bench.handle.flush(Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(timeout.pending, 700);
    assert!(bench.handle.is_degraded() && bench.handle.lag_ms() > 0);
    bench.ledger.edit(|ledger| ledger.down = false);
    bench.flush().await;
    bench.assert_exactly(&ids);
}

#[tokio::test]
async fn a_row_that_is_refused_alone_goes_to_quarantine() {
    let bench = Bench::fresh();
    bench.ledger.edit(|ledger| ledger.down = true);
    let mut ids = bench.requests(20);
    bench.ledger.edit(|ledger| {
        ledger.bad.extend([ids[3], ids[19]]);
        ledger.down = false;
    });
    bench.flush().await;
    assert_eq!(bench.handle.counts().quarantined, 2);
    let lines = std::fs::read_to_string(bench.dir.journal().join("quarantine/rows.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kept: Vec<Entry> =
        lines.iter().map(|line| serde_json::from_value(line["entry"].clone()).unwrap()).collect();
    assert_eq!(kept.iter().map(|entry| entry.id).collect::<Vec<_>>(), [ids[3], ids[19]]);
    assert_eq!(lines[0]["reason"], "sqlite ingest: violates a constraint");
    // The journal is done with all twenty.
    assert_eq!(*bench.told.lock().unwrap(), ids);
    ids.retain(|id| !kept.iter().any(|entry| entry.id == *id));
    let rows: Vec<Uuid> = bench.ledger.edit(|ledger| ledger.rows.keys().copied().collect());
    assert_eq!(rows, ids);
}

#[tokio::test]
async fn a_ledger_that_refuses_everything_is_waited_for() {
    let bench = Bench::fresh();
    bench.ledger.edit(|ledger| ledger.broken = true);
    let first = bench.requests(3);
    eventually("trouble", || bench.handle.is_degraded()).await;
    let second = bench.requests(3);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((bench.handle.counts().quarantined, bench.journal.pending_events()), (0, 6));
    bench.ledger.edit(|ledger| ledger.broken = false);
    bench.flush().await;
    bench.assert_exactly(&[first, second].concat());
}

#[tokio::test]
async fn a_ledger_that_is_mended_while_rows_are_sent_one_by_one_puts_none_aside() {
    let bench = Bench::fresh();
    bench.ledger.edit(|ledger| ledger.down = true);
    let ids = bench.requests(20);
    bench.ledger.edit(|ledger| {
        ledger.broken = true;
        // the batch and its first rows are refused
        ledger.batches_until_mended = Some(6);
        ledger.down = false;
    });
    bench.flush().await;
    assert_eq!(bench.handle.counts().quarantined, 0);
    bench.assert_exactly(&ids);
}

#[tokio::test]
async fn a_lone_bad_row_is_told_by_the_next_good_one() {
    let bench = Bench::fresh();
    bench.ledger.edit(|ledger| ledger.down = true);
    let bad = bench.requests(1);
    bench.ledger.edit(|ledger| {
        ledger.bad.extend(&bad);
        ledger.down = false;
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((bench.handle.counts().quarantined, bench.handle.is_degraded()), (0, true));
    let good = bench.requests(1);
    bench.flush().await;
    assert_eq!(bench.handle.counts().quarantined, 1);
    assert_eq!(bench.ledger.edit(|ledger| ledger.rows.keys().copied().collect::<Vec<_>>()), good);
}

#[tokio::test]
async fn a_database_that_lost_rows_gets_them_again() {
    let bench = Bench::fresh();
    let ids = bench.requests(300);
    bench.flush().await;
    // Fail-over to a replica that lags.
    bench.ledger.edit(|ledger| {
        ledger.rows.retain(|id, _| *id < ids[120]);
        ledger.incarnation = 2;
    });
    let more = bench.requests(2);
    bench.flush().await;
    let all = [ids, more].concat();
    eventually("the replay", || bench.ledger.edit(|ledger| ledger.rows.len()) == all.len()).await;
    eventually("the note", || bench.journal.incarnation().unwrap() == Some(2)).await;
    bench.assert_exactly(&all);
    assert_eq!(bench.handle.counts().replays, 1);
    let (dir, ledger) = bench.stop().await;
    // The same history after a restart: no second replay.
    let bench = Bench::start(dir, ledger, WriterOptions::default());
    bench.requests(1);
    bench.flush().await;
    assert_eq!((bench.handle.counts().replays, bench.handle.counts().duplicates), (0, 0));
}

#[tokio::test]
async fn a_replay_that_was_cut_short_begins_anew_after_a_restart() {
    let bench =
        Bench::start(TempDir::new(), Arc::default(), WriterOptions { batch_rows: 10, max_wait_ms: 1 });
    let ids = bench.requests(60);
    bench.flush().await;
    bench.ledger.edit(|ledger| {
        ledger.rows.clear();
        ledger.incarnation = 2;
        // The row that reveals the new history arrives, and two batches of the replay; then the gateway dies.
        ledger.batches_until_down = Some(3);
    });
    let more = bench.requests(1);
    eventually("the end of the ledger", || bench.handle.is_degraded()).await;
    assert_eq!(bench.ledger.edit(|ledger| ledger.rows.len()), 21);
    assert_eq!(bench.journal.incarnation().unwrap(), Some(0));
    let (dir, ledger) = bench.kill().await;
    ledger.edit(|ledger| {
        ledger.batches_until_down = None;
        ledger.down = false;
    });
    let bench = Bench::start(dir, ledger, WriterOptions::default());
    let last = bench.requests(1);
    bench.flush().await;
    let all = [ids, more, last].concat();
    eventually("the replay", || bench.ledger.edit(|ledger| ledger.rows.len()) == all.len()).await;
}

#[tokio::test]
async fn an_unreadable_note_of_the_history_replays() {
    let bench = Bench::fresh();
    let ids = bench.requests(5);
    bench.flush().await;
    let (dir, ledger) = bench.stop().await;
    std::fs::write(dir.journal().join("incarnation"), "scribble").unwrap();
    ledger.edit(|ledger| ledger.rows.clear());
    let bench = Bench::start(dir, ledger, WriterOptions::default());
    let more = bench.requests(1);
    bench.flush().await;
    let all = [ids, more].concat();
    eventually("the replay", || bench.ledger.edit(|ledger| ledger.rows.len()) == all.len()).await;
}

#[tokio::test]
async fn stopping_drains_and_a_restart_sends_nothing_twice() {
    let bench = Bench::fresh();
    let first = bench.requests(900);
    let (dir, ledger) = bench.stop().await;
    assert_eq!(ledger.edit(|ledger| ledger.rows.len()), 900);
    ledger.edit(|ledger| ledger.down = true);
    let bench = Bench::start(dir, ledger, WriterOptions::default());
    let second = bench.requests(5);
    eventually("trouble", || bench.handle.is_degraded()).await;
    let (dir, ledger) = bench.kill().await;
    ledger.edit(|ledger| ledger.down = false);
    let bench = Bench::start(dir, ledger, WriterOptions::default());
    bench.flush().await;
    assert_eq!((bench.handle.counts().rows, bench.handle.counts().duplicates), (5, 0));
    assert_eq!(*bench.told.lock().unwrap(), second);
    assert_eq!(bench.ledger.edit(|ledger| ledger.rows.len()), first.len() + 5);
}

#[test]
fn the_defaults_are_those_of_the_design() {
    assert_eq!(WriterOptions::default(), WriterOptions { batch_rows: 500, max_wait_ms: 100 });
    let journal = JournalOptions::default();
    assert_eq!((journal.segment_bytes, journal.max_bytes), (16 << 20, 8 << 30));
    assert_eq!(journal.retain_ms, 86_400_000);
}
