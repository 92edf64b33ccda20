//! The journal: an append-only log on local disk that makes a request's outcome durable before its client gets the last
//! byte, and remembers it until the ledger has it. It owns `data_dir/journal`; it must not know the ledger, the counters
//! or what an entry means.
//!
//! Segments (`000000000001.seg`) are allocated ahead and filled with records: BEGIN at admission, FIRST before the client's
//! first byte (unless the END stands by then), END with the outcome, ACK when the ledger has all ENDs up to a
//! [`Position`]. A record is in the page cache when the call returns, so the death of the process loses nothing; the
//! journal's own thread syncs ENDs every 5 ms at the latest, so a power cut loses no more than that. Room for its FIRST and
//! END is promised to each request at its BEGIN: a full disk refuses new requests and never loses the end of one that runs.
//! On a disk that fails altogether the ends of running requests wait in memory until it takes them.

mod dir;
mod done;
mod error;
mod keeper;
mod reader;
mod record;
mod recovery;
mod scan;
mod space;
mod state;

pub use done::ANNOUNCED_MS;
pub use error::JournalError;
pub use reader::Reader;
pub use recovery::{OpenRequest, Recovery};

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::Notify;
use uuid::Uuid;

use self::dir::Dir;
use self::record::{MAX_RECORD_BYTES, RecordKind};
use self::state::{Open, Parked, State, end_bound};
use crate::clock::Clock;
use crate::store::Entry;

/// The note of the ledger's incarnation.
const INCARNATION: &str = "incarnation";

/// An open journal. Dropping it syncs what was written.
pub struct Journal {
    inner: Arc<Inner>,
    keeper: Option<JoinHandle<()>>,
}

/// Sizes and times of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// Size of one segment in bytes, at least 64 KiB.
    pub segment_bytes: u64,
    /// How long a segment is kept after the ledger has all of it, in milliseconds: a fail-over of the database may lose
    /// what it acknowledged.
    pub retain_ms: i64,
    /// The journal's largest size on disk in bytes, at least two segments. When it is reached, acknowledged segments go
    /// before their time; then new requests are refused.
    pub max_bytes: u64,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { segment_bytes: 16 << 20, retain_ms: 24 * 3_600_000, max_bytes: 8 << 30 }
    }
}

/// A place behind an END. Places of one journal are ordered by time of writing, over restarts too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// Byte behind the END's record.
    pub offset: u64,
    /// Which END of its segment it is, from 1: for counting only, it plays no part in comparisons.
    pub index: u32,
}

impl PartialEq for Position {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Position {}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.segment, self.offset).cmp(&(other.segment, other.offset))
    }
}

/// How a journal is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Segments given up after a failed write or sync since the start. The disk is dying: not ready until a restart.
    pub poisoned_segments: u64,
    /// Segments with damage inside, copied to `quarantine/`.
    pub damaged_segments: u64,
    /// Why new requests are refused.
    pub full: Option<String>,
    /// The thread that syncs has died: what is written survives the process, not a power cut.
    pub keeper_died: bool,
}

impl Health {
    /// Should this gateway get new requests?
    pub fn is_ready(&self) -> bool {
        self.poisoned_segments == 0 && self.full.is_none() && !self.keeper_died
    }
}

/// What the journal's thread, its readers and its callers share.
struct Inner {
    dir: Dir,
    options: JournalOptions,
    clock: Clock,
    state: Mutex<State>,
    /// Wakes the keeper.
    wake: Condvar,
    /// An END was written.
    ends: Notify,
    /// The watermark or the synced position has moved.
    progress: Notify,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything can panic, so a poisoned lock is as good as another.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Opens the journal in `dir`, which is created if need be, and reads what the last run left. The caller ends each of
    /// [`Recovery::open`] before it serves.
    ///
    /// # Errors
    /// [`JournalError::InUse`] if another process has it; `NotWritable`, `NotADirectory`, `Options`, `Io`.
    pub fn open(dir: &Path, options: JournalOptions, clock: Clock) -> Result<(Self, Recovery), JournalError> {
        let (inner, recovery) = recovery::recover(dir, options, clock)?;
        let inner = Arc::new(inner);
        inner.reader().note_oldest()?;
        let shared = Arc::clone(&inner);
        let keeper = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || keeper::run(&shared))
            .map_err(JournalError::io("start the journal's thread"))?;
        Ok((Self { inner, keeper: Some(keeper) }, recovery))
    }

    /// Writes that a request is admitted. `entry` is what to book if the gateway dies: outcome `crashed`, its charges'
    /// buckets complete. Room for its FIRST and END is taken as well.
    ///
    /// # Errors
    /// [`JournalError::Full`], before anything is sent upstream; `TooLarge` if the entry has too long texts or too many
    /// charges; `AlreadyOpen`; `Io`.
    pub fn begin(&self, entry: &Entry) -> Result<(), JournalError> {
        let record = record::encode_entry(RecordKind::Begin, entry)?;
        let end_bytes = end_bound(entry, record.len())?;
        let mut state = self.inner.lock();
        if state.open.contains_key(&entry.id) {
            return Err(JournalError::AlreadyOpen(entry.id));
        }
        let needed = record.len() as u64 + end_bytes + record::FIRST_BYTES as u64;
        self.inner.ensure_room(&mut state, needed)?;
        let (segment, _) = self.inner.append(&mut state, &record)?;
        state.open_request(entry.id, Open { segment, end_bytes, first: None });
        Ok(())
    }

    /// Writes that the upstream's answer has begun, with its status, at `at_ms` (milliseconds since 1970). Only the first
    /// call for a request counts.
    ///
    /// # Errors
    /// `NotOpen`, `Io`.
    pub fn first_byte(&self, rid: Uuid, status: u16, at_ms: i64) -> Result<(), JournalError> {
        let record = record::encode_first(rid, status, at_ms);
        let mut state = self.inner.lock();
        let open = state.open.get(&rid).ok_or(JournalError::NotOpen(rid))?;
        if open.first.is_none() {
            self.inner.append(&mut state, &record)?;
            state.note_first(rid, status, at_ms);
        }
        Ok(())
    }

    /// Writes how a request ended. There is always room: an END that is much larger than its BEGIN has its free texts
    /// shortened rather than being refused; identity, charges and numbers are never touched. `None`: the disk fails and no
    /// segment takes the END now. It waits in memory until one does; if the process dies first, the request is one that was
    /// begun and never ended.
    ///
    /// # Errors
    /// `NotOpen` if it has ended before; `TooLarge` only if it has many more charges than its BEGIN.
    pub fn end(&self, entry: &Entry) -> Result<Option<Position>, JournalError> {
        let mut record = record::encode_entry(RecordKind::End, entry)?;
        let mut state = self.inner.lock();
        let promised = state.open.get(&entry.id).ok_or(JournalError::NotOpen(entry.id))?.end_bytes;
        let extra = (record.len() as u64).saturating_sub(promised);
        let fits = record.len() <= MAX_RECORD_BYTES && self.inner.ensure_room(&mut state, extra).is_ok();
        if !fits {
            tracing::warn!(rid = %entry.id, bytes = record.len(), "a journal entry has grown too large; its texts are shortened");
            record = record::encode_entry(RecordKind::End, &record::shortened(entry))?;
        }
        if record.len() > MAX_RECORD_BYTES {
            return Err(JournalError::TooLarge { bytes: record.len(), max: MAX_RECORD_BYTES });
        }
        let (segment, offset) = match self.inner.append(&mut state, &record) {
            Ok(place) => place,
            Err(error) => {
                tracing::error!(%error, rid = %entry.id, "no journal segment takes the end of a request: it waits in memory");
                state.park(Parked { rid: entry.id, record, ended_at_ms: entry.ended_at_ms });
                return Ok(None);
            }
        };
        state.close_request(entry.id);
        let position = state.note_end(segment, offset, entry.ended_at_ms);
        let wakes_keeper = state.unsynced_ends == 1 || state.unsynced_ends == keeper::GROUP_ENDS;
        drop(state);
        if wakes_keeper {
            self.inner.wake.notify_all();
        }
        self.inner.ends.notify_waiters();
        Ok(Some(position))
    }

    /// Does this request's END still wait in memory?
    pub fn is_parked(&self, rid: Uuid) -> bool {
        self.inner.lock().parked.iter().any(|parked| parked.rid == rid)
    }

    /// Notes that the ledger has every END up to here. An older position than the last is no error and changes nothing.
    ///
    /// # Errors
    /// `Io`. The watermark has moved all the same; only a restart would deliver the same ENDs again.
    pub fn ack(&self, up_to: Position) -> Result<(), JournalError> {
        let now_ms = self.inner.clock.now_ms();
        let mut state = self.inner.lock();
        if !state.acknowledge(up_to, now_ms) {
            return Ok(());
        }
        // On a full disk the record is left out: after a crash the ledger is told again, which adds nothing.
        let written = match self.inner.ensure_room(&mut state, record::ACK_BYTES as u64) {
            Ok(()) => self.inner.append(&mut state, &record::encode_ack(up_to, now_ms)).map(|_| ()),
            Err(JournalError::Full(_)) => Ok(()),
            Err(error) => Err(error),
        };
        drop(state);
        self.inner.progress.notify_waiters();
        written
    }

    /// Notes that the END at this place is settled in the counters. To be told once for each END.
    pub fn settled(&self, end: Position) {
        if let Some(segment) = self.inner.lock().segments.get_mut(&end.segment) {
            segment.unsettled = segment.unsettled.saturating_sub(1);
        }
    }

    /// Says whether the counters may lack something that was settled. While they may, and until this is called first, no
    /// segment is noted as done: a start must find the domains of its requests.
    pub fn set_counters_dirty(&self, dirty: bool) {
        self.inner.lock().counters_clean = !dirty;
    }

    /// ENDs of this run that are not settled; `None` while the counters may lack something.
    #[cfg(test)]
    pub(crate) fn unsettled(&self) -> Option<u64> {
        let state = self.inner.lock();
        let unsettled = state.segments.values().map(|segment| u64::from(segment.unsettled));
        state.counters_clean.then(|| unsettled.sum())
    }

    /// A cursor over the ENDs that the ledger does not have.
    pub fn reader(&self) -> Reader {
        self.inner.reader()
    }

    /// Every END up to here is on the disk.
    #[cfg(test)]
    pub(crate) fn synced_position(&self) -> Position {
        self.inner.lock().synced
    }

    /// The newest END.
    pub fn last_end(&self) -> Position {
        self.inner.lock().last_end
    }

    /// The ledger has every END up to here.
    pub fn acked_position(&self) -> Position {
        self.inner.lock().watermark
    }

    /// Waits until the ledger has every END up to here.
    pub async fn wait_for_ack(&self, up_to: Position) {
        self.wait_until(|state| state.watermark >= up_to).await;
    }

    /// How the journal is.
    pub fn health(&self) -> Health {
        let keeper_died = self.keeper.as_ref().is_none_or(JoinHandle::is_finished);
        Health { keeper_died, ..self.inner.lock().health() }
    }

    /// ENDs that the ledger does not have.
    pub fn pending_events(&self) -> u64 {
        self.inner.lock().all_pending()
    }

    /// Age of the oldest of these in milliseconds; 0 if there is none.
    pub fn oldest_pending_ms(&self, now_ms: i64) -> u64 {
        let oldest = self.inner.lock().oldest_pending_ms;
        oldest.map_or(0, |ended_at_ms| u64::try_from(now_ms.saturating_sub(ended_at_ms)).unwrap_or(0))
    }

    /// Requests that were begun and have not ended.
    pub fn open_requests(&self) -> usize {
        self.inner.lock().open.len()
    }

    /// Size of the segments on disk in bytes, allocated space included.
    pub fn bytes(&self) -> u64 {
        self.inner.lock().bytes()
    }

    /// The ledger's incarnation that was noted last; `None` if none was. A note that is no number is an error.
    pub(crate) fn incarnation(&self) -> Result<Option<u64>, JournalError> {
        let number = |text: String| text.trim().parse().map_err(std::io::Error::other);
        let noted = self.inner.dir.note(INCARNATION).and_then(|text| text.map(number).transpose());
        noted.map_err(JournalError::io("read the ledger's incarnation"))
    }

    /// Notes the ledger's incarnation for the next start.
    pub(crate) fn set_incarnation(&self, incarnation: u64) -> Result<(), JournalError> {
        let noted = self.inner.dir.set_note(INCARNATION, &format!("{incarnation}\n"));
        noted.map_err(JournalError::io("note the ledger's incarnation"))
    }

    /// Puts a row that the ledger will never take, and why, into `quarantine/rows.jsonl`, durably.
    pub(crate) fn quarantine_row(&self, entry: &Entry, reason: &str) -> Result<(), JournalError> {
        let line = serde_json::to_string(&serde_json::json!({ "reason": reason, "entry": entry }))?;
        self.inner.dir.quarantine_row(&line).map_err(JournalError::io("write a row to quarantine"))
    }

    async fn wait_until(&self, reached: impl Fn(&State) -> bool) {
        loop {
            let progress = self.inner.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if reached(&self.inner.lock()) {
                return;
            }
            progress.await;
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.inner.lock().stop = true;
        self.inner.wake.notify_all();
        if self.keeper.take().is_some_and(|keeper| keeper.join().is_err()) {
            tracing::error!("the journal's thread had died");
        }
        // A reader may live on; it does not keep the next journal out.
        if let Err(error) = self.inner.dir.unlock() {
            tracing::warn!(%error, "the journal's lock is not given back before the process ends");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
