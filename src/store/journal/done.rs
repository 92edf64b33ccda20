//! Which segments need not be read at the next start: the oldest ones whose every request has ended, is in the ledger
//! and is settled in the counters. They are kept for a replay only. The note is a convenience: without it, or where it
//! does not fit what stands on the disk, a segment is read as any other.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::dir::Dir;
use super::state::{Segment, State};
use super::{Inner, Position};

const NOTE: &str = "done";

/// How long a request is still announced after the ledger has taken it: longer than any snapshot of the ledger is under way.
/// A segment is not done before that: after a crash nobody announces its requests, and their domains are loaded anew instead.
pub const ANNOUNCED_MS: i64 = 60_000;

/// What must be known of a segment that is not read.
#[derive(Clone, Copy, Deserialize, Serialize)]
pub(super) struct Done {
    pub(super) sequence: u64,
    /// Its size: a file of another size is not the one that was noted.
    bytes: u64,
    ends: u32,
    quiet_since_ms: i64,
}

impl Done {
    fn of(sequence: u64, segment: &Segment) -> Self {
        let Segment { end, ends, quiet_since_ms, .. } = *segment;
        Self { sequence, bytes: end, ends, quiet_since_ms }
    }

    /// As if it had been read.
    pub(super) fn segment(self) -> Segment {
        let Self { bytes, ends, quiet_since_ms, .. } = self;
        Segment {
            end: bytes,
            capacity: bytes,
            synced_end: bytes,
            ends,
            acked: ends,
            quiet_since_ms,
            ..Segment::default()
        }
    }

    /// Behind its last END.
    pub(super) fn position(self) -> Position {
        Position { segment: self.sequence, offset: self.bytes, index: self.ends }
    }
}

/// The oldest of these segments that need not be read.
pub(super) fn load(dir: &Dir, sequences: &[u64]) -> Vec<Done> {
    let read = || -> std::io::Result<Vec<Done>> {
        Ok(dir.note(NOTE)?.map_or(Ok(Vec::new()), |text| serde_json::from_str(&text))?)
    };
    let noted = read().unwrap_or_else(|error| {
        tracing::warn!(%error, "the journal's note `done` cannot be read: the whole journal is");
        Vec::new()
    });
    let noted: HashMap<u64, Done> = noted.into_iter().map(|done| (done.sequence, done)).collect();
    let as_noted = |done: &Done| dir.open_segment(done.sequence).is_ok_and(|(_, bytes)| bytes == done.bytes);
    sequences.iter().map_while(|sequence| noted.get(sequence).copied().filter(as_noted)).collect()
}

impl State {
    /// Nothing of this segment, nor of any before it, is needed but for a replay.
    fn is_done(&self, sequence: u64, segment: &Segment, now_ms: i64) -> bool {
        let closed = sequence != self.active
            && !self.unsealed.contains(&sequence)
            && !self.to_rescue.contains(&sequence)
            && !segment.poisoned
            && !segment.damaged;
        let settled = segment.unsettled == 0 && self.counters_clean;
        let announced = now_ms.saturating_sub(segment.quiet_since_ms) <= ANNOUNCED_MS;
        // of a parked END only the BEGIN stands on the disk
        let ended = segment.open == 0 && segment.acked == segment.ends && self.parked.is_empty();
        closed && settled && ended && !announced
    }
}

impl Inner {
    /// Writes the note anew when another segment is done.
    pub(super) fn note_done(&self) {
        let now_ms = self.clock.now_ms();
        let mut state = self.lock();
        let before = state.done_up_to;
        while let Some((&sequence, segment)) = state.segments.range(state.done_up_to + 1..).next()
            && state.is_done(sequence, segment, now_ms)
        {
            state.done_up_to = sequence;
        }
        if state.done_up_to == before {
            return;
        }
        let done = state.segments.range(..=state.done_up_to);
        let note: Vec<Done> = done.map(|(sequence, segment)| Done::of(*sequence, segment)).collect();
        drop(state);
        let written = serde_json::to_string(&note).map_err(std::io::Error::other);
        if let Err(error) = written.and_then(|text| self.dir.set_note(NOTE, &text)) {
            tracing::warn!(%error, "the journal's note `done` is not written: the next start reads more than it must");
        }
    }
}
