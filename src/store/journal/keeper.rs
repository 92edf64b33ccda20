//! The journal's own thread: makes ENDs durable in groups, allocates the next segment ahead, seals full segments, writes
//! the live records of a poisoned segment again and the ENDs that no segment took, deletes what is done with. It must not
//! be needed for a record to survive the death of the process: that is the page cache's part.

use std::fs::File;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::record::{self, Record, RecordKind, SEGMENT_HEADER_BYTES};
use super::scan::{ScanFound, Scanner};
use super::state::{Open, Segment, State};
use super::{Inner, JournalError, Position};

/// The longest an END waits for others to be synced with it.
const GROUP_WAIT: Duration = Duration::from_millis(5);

/// So many ENDs are synced at once without waiting for more.
pub(super) const GROUP_ENDS: usize = 256;

/// Pause between looks at retention and at a full disk.
const IDLE_WAIT: Duration = Duration::from_millis(250);

/// Pause after a segment was poisoned: a dead disk must not eat a segment every few milliseconds.
const POISON_WAIT: Duration = Duration::from_secs(2);

/// Works until the journal is closed; what was written until then is synced when this returns.
pub(super) fn run(inner: &Inner) {
    let mut poisoned = false;
    loop {
        let stop = wait_for_work(inner, poisoned);
        let poisoned_segments = inner.lock().poisoned_segments;
        inner.rescue_all();
        inner.sync();
        poisoned = inner.lock().poisoned_segments > poisoned_segments;
        if poisoned {
            // What was just saved from the bad segment is synced at once; if that fails too, the next turn waits.
            inner.sync();
        }
        inner.seal();
        if stop {
            inner.close();
            return;
        }
        inner.allocate_ahead();
        inner.retire(inner.options.retain_ms);
        inner.note_done();
    }
}

/// Waits for ENDs to sync (then a little longer, for company), for other work, or for the idle time to pass.
fn wait_for_work(inner: &Inner, poisoned: bool) -> bool {
    let wait = |state, at_most, goes_on: &dyn Fn(&State) -> bool| {
        let waited = inner.wake.wait_timeout_while(state, at_most, |state| goes_on(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    };
    let mut state = inner.lock();
    if poisoned || !state.to_rescue.is_empty() {
        state = wait(state, POISON_WAIT, &|state| !state.stop);
    }
    state = wait(state, IDLE_WAIT, &|state| {
        let work = state.unsynced_ends > 0 || !state.unsealed.is_empty();
        let wants_spare = inner.wants_spare(state) && state.blocked.is_none();
        !(work || wants_spare || state.stop)
    });
    if state.unsynced_ends > 0 {
        state = wait(state, GROUP_WAIT, &|state| state.unsynced_ends < GROUP_ENDS && !state.stop);
    }
    state.stop
}

impl Inner {
    /// Syncs every segment that has something new. A failure poisons the segment: after it the kernel forgets what was
    /// not written, so a second `fdatasync` that succeeds would prove nothing.
    pub(super) fn sync(&self) {
        let mut state = self.lock();
        if state.unsynced_ends == 0 && state.unsealed.is_empty() {
            return;
        }
        let dirty: Vec<(u64, Arc<File>, u64)> = state
            .segments
            .iter()
            .filter(|(_, segment)| !segment.poisoned && segment.synced_end < segment.end)
            .filter_map(|(sequence, segment)| Some((*sequence, segment.file.clone()?, segment.end)))
            .collect();
        let last_end = state.last_end;
        state.unsynced_ends = 0;
        drop(state);
        for (sequence, file, end) in dirty {
            let synced = file.sync_data();
            let mut state = self.lock();
            match synced {
                Ok(()) => {
                    if let Some(segment) = state.segments.get_mut(&sequence) {
                        segment.synced_end = end;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, segment = sequence, "a journal segment cannot be synced and is given up");
                    state.poison(sequence);
                }
            }
        }
        let mut state = self.lock();
        if state.to_rescue.is_empty() {
            state.synced = state.synced.max(last_end);
            drop(state);
        } else {
            drop(state);
            self.rescue_all();
        }
        self.progress.notify_waiters();
    }

    /// Writes the live records of all poisoned segments again. What cannot be written now is tried at the next turn.
    fn rescue_all(&self) {
        let poisoned = self.lock().to_rescue.clone();
        for sequence in poisoned {
            match self.rescue(sequence) {
                Ok(lost) => {
                    if lost > 0 {
                        tracing::error!(
                            segment = sequence,
                            lost,
                            "places of a poisoned journal segment cannot be read back"
                        );
                    }
                    self.lock().to_rescue.retain(|other| *other != sequence);
                }
                Err(error) => {
                    tracing::error!(%error, segment = sequence, "the records of a poisoned journal segment cannot be saved yet");
                }
            }
        }
        self.write_parked();
    }

    /// Writes the ENDs that no segment took when their requests ended.
    fn write_parked(&self) {
        let mut state = self.lock();
        if state.parked.is_empty() {
            return;
        }
        let mut parked = std::mem::take(&mut state.parked).into_iter();
        let mut written = 0_u64;
        while let Some(next) = parked.next() {
            let Ok((segment, offset)) = self.append(&mut state, &next.record) else {
                // why, was said when it was parked
                state.parked.push(next);
                state.parked.extend(parked);
                break;
            };
            state.reserved -= next.record.len() as u64;
            state.note_end(segment, offset, next.ended_at_ms);
            written += 1;
        }
        let left = state.parked.len();
        drop(state);
        if written > 0 {
            tracing::info!(written, left, "the journal has taken ends of requests that waited in memory");
            self.ends.notify_waiters();
        }
    }

    /// Appends to the active segment what is still needed of a poisoned one: BEGIN and FIRST of open requests, ENDs that
    /// the ledger does not have. A record that is written twice does no harm: ids are unique in the ledger. Gives the
    /// number of damaged places.
    fn rescue(&self, sequence: u64) -> Result<u64, JournalError> {
        let mut state = self.lock();
        if state.active == sequence {
            self.advance(&mut state)?;
        }
        let Some(end) = state.segments.get(&sequence).map(|segment| segment.end) else { return Ok(0) };
        drop(state);
        let (file, _) =
            self.dir.open_segment(sequence).map_err(JournalError::io("open a poisoned segment"))?;
        let mut scanner = Scanner::new(Arc::new(file), SEGMENT_HEADER_BYTES as u64, end);
        let mut index = 0;
        let mut damaged_places = 0;
        loop {
            match scanner.next().map_err(JournalError::io("read a poisoned segment"))? {
                ScanFound::Record { kind, .. } => {
                    index += u32::from(kind == RecordKind::End);
                    let mut state = self.lock();
                    let place = Position { segment: sequence, offset: scanner.at(), index };
                    if let Some(record) = record::decode(kind, scanner.payload()) {
                        self.rescue_record(&mut state, place, record)?;
                    }
                }
                ScanFound::Damage => damaged_places += 1,
                ScanFound::Tail => return Ok(damaged_places + 1),
                ScanFound::End => return Ok(damaged_places),
            }
        }
    }

    fn rescue_record(&self, state: &mut State, place: Position, record: Record) -> Result<(), JournalError> {
        match record {
            Record::Begin(entry) => {
                let here = |open: &&Open| open.segment == place.segment;
                let Some(first) = state.open.get(&entry.id).filter(here).map(|open| open.first) else {
                    return Ok(());
                };
                let (to, _) = self.append(state, &record::encode_entry(RecordKind::Begin, &entry)?)?;
                state.move_begin(entry.id, to);
                if let Some((status, at_ms)) = first {
                    self.append(state, &record::encode_first(entry.id, status, at_ms))?;
                }
            }
            Record::First { rid, status, at_ms } if state.open.contains_key(&rid) => {
                self.append(state, &record::encode_first(rid, status, at_ms))?;
            }
            Record::End(entry) if place > state.watermark => {
                let (to, offset) = self.append(state, &record::encode_entry(RecordKind::End, &entry)?)?;
                state.note_end(to, offset, entry.ended_at_ms);
            }
            Record::First { .. } | Record::End(_) | Record::Ack { .. } => {}
        }
        Ok(())
    }

    /// Cuts full, synced segments to their data and closes them. A poisoned one is left as it is.
    fn seal(&self) {
        let state = self.lock();
        let ready: Vec<(u64, Option<Arc<File>>, u64, bool)> = state
            .unsealed
            .iter()
            .filter_map(|sequence| Some((*sequence, state.segments.get(sequence)?)))
            .filter(|(_, segment)| segment.poisoned || segment.synced_end == segment.end)
            .map(|(sequence, segment)| (sequence, segment.file.clone(), segment.end, segment.poisoned))
            .collect();
        drop(state);
        for (sequence, file, end, poisoned) in ready {
            let cut = match file {
                Some(file) if !poisoned => cut(&file, end),
                _ => Ok(()),
            };
            if let Err(error) = &cut {
                tracing::warn!(%error, segment = sequence, "a full journal segment cannot be cut to its data");
            }
            let mut state = self.lock();
            state.unsealed.retain(|other| *other != sequence);
            if let Some(segment) = state.segments.get_mut(&sequence) {
                segment.file = None;
                if cut.is_ok() && !poisoned {
                    segment.capacity = end;
                }
            }
        }
    }

    /// Allocates the next segment while the active one still has room. A full disk is looked at again each idle time.
    fn allocate_ahead(&self) {
        let mut state = self.lock();
        if !self.wants_spare(&state) {
            return;
        }
        let Ok(sequence) = self.book_segment(&mut state) else { return };
        drop(state);
        let created = self.create_segment(sequence);
        if let Err(error @ JournalError::Io { .. }) = self.enter_spare(&mut self.lock(), sequence, created) {
            tracing::error!(%error, "an unused journal segment is left over");
        }
    }

    /// Leaves nothing allocated behind.
    fn close(&self) {
        let mut state = self.lock();
        let sequence = state.active;
        let spares = std::mem::take(&mut state.spares);
        let removed = spares.keys().try_for_each(|spare| self.dir.remove_segment(*spare));
        let sealed = match state.segments.get(&sequence) {
            Some(Segment { file: Some(file), end, poisoned: false, .. }) => cut(file, *end),
            _ => Ok(()),
        };
        if !state.parked.is_empty() {
            let lost = state.parked.len();
            tracing::error!(
                lost,
                "the ends of requests could not be written; the next start books them as crashed"
            );
        }
        if let Err(error) = removed.and(sealed) {
            tracing::warn!(%error, "the journal could not give back its allocated space; the next start does");
        }
    }
}

fn cut(file: &File, end: u64) -> io::Result<()> {
    file.set_len(end)?;
    file.sync_data()
}
