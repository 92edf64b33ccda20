//! Puts records into segments and segments onto the disk: append, go on to the next segment, allocate ahead, delete what
//! is done with. It must not know what a record says.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::record::{MAX_RECORD_BYTES, SEGMENT_HEADER_BYTES};
use super::state::{Segment, State};
use super::{Inner, JournalError};

/// An acknowledged segment is deleted before its time when space runs out, but never younger than this: a fail-over of
/// the database loses seconds, not minutes.
const MIN_RETAIN_MS: i64 = 300_000;

impl Inner {
    /// Writes a record; it is in the page cache when this returns, so the death of the process loses nothing. A segment
    /// that cannot be written is given up and the next one is tried, once. Gives the segment and the record's end.
    pub(super) fn append(&self, state: &mut State, record: &[u8]) -> Result<(u64, u64), JournalError> {
        match self.append_once(state, record) {
            Err(error @ JournalError::Io { .. }) => {
                tracing::error!(%error, segment = state.active, "a journal segment cannot be written and is given up");
                state.poison(state.active);
                self.wake.notify_all();
                self.advance(state)?;
                self.append_once(state, record)
            }
            other => other,
        }
    }

    fn append_once(&self, state: &mut State, record: &[u8]) -> Result<(u64, u64), JournalError> {
        let record_bytes = record.len() as u64;
        let fits = |segment: &Segment| !segment.poisoned && segment.capacity - segment.end >= record_bytes;
        if !state.segments.get(&state.active).is_some_and(fits) {
            self.advance(state)?;
        }
        let sequence = state.active;
        let missing = || JournalError::Full("no segment is open".to_owned());
        let active = state.segments.get_mut(&sequence).ok_or_else(missing)?;
        let file = active.file.as_ref().ok_or_else(missing)?;
        file.write_all_at(record, active.end).map_err(JournalError::io("write a record"))?;
        active.end += record_bytes;
        Ok((sequence, active.end))
    }

    /// Goes on to the next segment.
    pub(super) fn advance(&self, state: &mut State) -> Result<(), JournalError> {
        let (sequence, spare) = loop {
            match state.spares.pop_first() {
                Some(spare) => break spare,
                None => self.extend(state)?,
            }
        };
        let now_ms = self.clock.now_ms();
        if let Some(full) = state.segments.get_mut(&state.active) {
            full.quiet_since_ms = now_ms;
            state.unsealed.push(state.active);
        }
        state.active = sequence;
        state.segments.insert(sequence, Segment { quiet_since_ms: now_ms, ..spare });
        self.wake.notify_all();
        Ok(())
    }

    /// Sees to it that `bytes` more can be promised, or says why not.
    pub(super) fn ensure_room(&self, state: &mut State, bytes: u64) -> Result<(), JournalError> {
        while state.room() < bytes {
            if let Some(reason) = &state.blocked {
                return Err(JournalError::Full(reason.clone()));
            }
            self.extend(state)?;
        }
        if self.wants_spare(state) {
            self.wake.notify_all();
        }
        Ok(())
    }

    /// Is it time to allocate the next segment?
    pub(super) fn wants_spare(&self, state: &State) -> bool {
        state.room() < self.options.segment_bytes / 2
    }

    /// Allocates one more segment under the lock: the rare case that the keeper did not keep up.
    pub(super) fn extend(&self, state: &mut State) -> Result<(), JournalError> {
        let sequence = self.book_segment(state)?;
        let created = self.create_segment(sequence);
        self.enter_spare(state, sequence, created)
    }

    /// Takes a number for a new segment if the bound of the journal's size allows one.
    pub(super) fn book_segment(&self, state: &mut State) -> Result<u64, JournalError> {
        let over = |state: &State| state.bytes() + self.options.segment_bytes > self.options.max_bytes;
        while over(state) && self.retire_early(state) {}
        if over(state) {
            let max = self.options.max_bytes;
            let reason = format!("its bound of {max} bytes is reached and the ledger has not taken over");
            return Err(block(state, reason));
        }
        state.next_sequence += 1;
        Ok(state.next_sequence - 1)
    }

    /// Allocates a segment's file.
    pub(super) fn create_segment(&self, sequence: u64) -> io::Result<Arc<std::fs::File>> {
        self.dir.create_segment(sequence, self.options.segment_bytes, self.clock.now_ms()).map(Arc::new)
    }

    /// Takes a new segment into the books.
    pub(super) fn enter_spare(
        &self,
        state: &mut State,
        sequence: u64,
        created: io::Result<Arc<std::fs::File>>,
    ) -> Result<(), JournalError> {
        match created {
            Ok(_) if sequence < state.active => {
                // Another thread allocated and used a later one meanwhile; order is what positions live by.
                self.dir.remove_segment(sequence).map_err(JournalError::io("delete a segment"))
            }
            Ok(file) => {
                let (end, capacity) = (SEGMENT_HEADER_BYTES as u64, self.options.segment_bytes);
                let spare =
                    Segment { file: Some(file), end, capacity, synced_end: end, ..Segment::default() };
                state.spares.insert(sequence, spare);
                if let Some(reason) = state.blocked.take() {
                    tracing::info!(%reason, "the journal has room again");
                }
                Ok(())
            }
            Err(error) => {
                let out_of_space = error.raw_os_error() == Some(rustix::io::Errno::NOSPC.raw_os_error());
                if out_of_space && self.retire_early(state) {
                    return Ok(());
                }
                Err(block(state, format!("no segment can be allocated: {error}")))
            }
        }
    }

    /// Deletes segments whose retention is over.
    pub(super) fn retire(&self, keep_ms: i64) {
        let mut state = self.lock();
        let retired = state.take_retired(self.clock.now_ms(), keep_ms, usize::MAX);
        drop(state);
        self.remove_segments(&retired);
    }

    /// Gives up the oldest acknowledged segment before its time. False: there is none.
    fn retire_early(&self, state: &mut State) -> bool {
        let keep_ms = MIN_RETAIN_MS.min(self.options.retain_ms);
        let retired = state.take_retired(self.clock.now_ms(), keep_ms, 1);
        if let Some(segment) = retired.first() {
            tracing::warn!(
                segment,
                "space runs out: an acknowledged journal segment is deleted before its time"
            );
        }
        self.remove_segments(&retired);
        !retired.is_empty()
    }

    fn remove_segments(&self, sequences: &[u64]) {
        for &segment in sequences {
            if let Err(error) = self.dir.remove_segment(segment) {
                tracing::error!(%error, segment, "a journal segment cannot be deleted; the next start tries again");
            }
        }
    }
}

/// Notes why there is no further segment, and logs it when that is news.
fn block(state: &mut State, reason: String) -> JournalError {
    if state.blocked.as_ref() != Some(&reason) {
        tracing::error!(%reason, "the journal cannot grow; new requests are refused when its room is used up");
    }
    state.blocked = Some(reason.clone());
    JournalError::Full(reason)
}

/// Smallest segment: several of the largest records.
pub(super) const MIN_SEGMENT_BYTES: u64 = 4 * MAX_RECORD_BYTES as u64;
