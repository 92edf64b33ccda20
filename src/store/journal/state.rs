//! What the journal knows while it runs, and its arithmetic: which segments stand, which requests are open, how much room
//! is promised to them, what is acknowledged. Pure: no file is touched here.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::Arc;

use uuid::Uuid;

use super::record::{FIRST_BYTES, MAX_RECORD_BYTES};
use super::{Health, JournalError, Position};
use crate::store::Entry;

/// By how much the END of a request may be larger than its BEGIN: numbers that grew, another upstream or model after a
/// retry.
const END_GROWTH_BYTES: usize = 1024;

/// By how much each charge may grow: an amount of 20 digits instead of one.
const CHARGE_GROWTH_BYTES: usize = 20;

/// Everything behind the journal's lock.
#[derive(Default)]
pub(super) struct State {
    /// All segments with records, the active one last.
    pub(super) segments: BTreeMap<u64, Segment>,
    /// The segment that is written to.
    pub(super) active: u64,
    /// Allocated, empty segments.
    pub(super) spares: BTreeMap<u64, Segment>,
    /// The next number for a segment.
    pub(super) next_sequence: u64,
    /// Requests that were begun and have not ended.
    pub(super) open: HashMap<Uuid, Open>,
    /// Bytes promised to open requests.
    pub(super) reserved: u64,
    /// The ledger has every END up to here.
    pub(super) watermark: Position,
    /// The newest END.
    pub(super) last_end: Position,
    /// The counters lack nothing that was settled.
    pub(super) counters_clean: bool,
    /// This segment and all before it are noted as done; 0: none.
    pub(super) done_up_to: u64,
    /// Every END up to here is on the disk, not only in the page cache.
    pub(super) synced: Position,
    /// ENDs written since the last sync began.
    pub(super) unsynced_ends: usize,
    /// ENDs the ledger does not have.
    pub(super) pending: u64,
    /// When the oldest of these ended, milliseconds since 1970.
    pub(super) oldest_pending_ms: Option<i64>,
    /// Full segments that are still to be synced and cut to their data.
    pub(super) unsealed: Vec<u64>,
    /// Poisoned segments whose live records are still to be written again.
    pub(super) to_rescue: Vec<u64>,
    /// ENDs that no segment took: the keeper writes them as soon as one does. No more than there were open requests when the
    /// disk began to fail, as nothing is begun on it.
    pub(super) parked: Vec<Parked>,
    /// Why no further segment can be allocated.
    pub(super) blocked: Option<String>,
    /// A replay reads from this segment on: none may be deleted.
    pub(super) pinned: Option<u64>,
    /// Segments that were given up after a failed write or sync.
    pub(super) poisoned_segments: u64,
    /// Segments with damage inside.
    pub(super) damaged_segments: u64,
    /// The journal is being closed.
    pub(super) stop: bool,
}

/// One segment with records.
#[derive(Default)]
pub(super) struct Segment {
    /// Open while it is written or not yet sealed.
    pub(super) file: Option<Arc<File>>,
    /// End of its records.
    pub(super) end: u64,
    /// Its size on disk.
    pub(super) capacity: u64,
    /// How many ENDs it holds.
    pub(super) ends: u32,
    /// How many of them the ledger has.
    pub(super) acked: u32,
    /// How many ENDs of this run are not settled in the counters.
    pub(super) unsettled: u32,
    /// How many open requests have their BEGIN here.
    pub(super) open: u32,
    /// When the last thing happened to it (written full, acknowledged), milliseconds since 1970: its retention counts
    /// from here.
    pub(super) quiet_since_ms: i64,
    /// Synced up to here.
    pub(super) synced_end: u64,
    /// A write or sync failed: never written or synced again.
    pub(super) poisoned: bool,
    /// Damage inside was reported.
    pub(super) damaged: bool,
}

/// An END that waits in memory for a disk that takes it.
pub(super) struct Parked {
    /// Whose it is.
    pub(super) rid: Uuid,
    /// The whole record.
    pub(super) record: Vec<u8>,
    /// When the request ended, milliseconds since 1970.
    pub(super) ended_at_ms: i64,
}

/// A request that was begun.
pub(super) struct Open {
    /// Where its BEGIN stands.
    pub(super) segment: u64,
    /// Largest END that is promised room.
    pub(super) end_bytes: u64,
    /// Status and time of its FIRST, once that is written.
    pub(super) first: Option<(u16, i64)>,
}

impl Open {
    fn reserved(&self) -> u64 {
        self.end_bytes + if self.first.is_some() { 0 } else { FIRST_BYTES as u64 }
    }
}

/// The largest END that a request with this BEGIN may write.
pub(super) fn end_bound(entry: &Entry, begin_bytes: usize) -> Result<u64, JournalError> {
    let bytes = begin_bytes + END_GROWTH_BYTES + CHARGE_GROWTH_BYTES * entry.charges.len();
    if bytes > MAX_RECORD_BYTES {
        return Err(JournalError::TooLarge { bytes, max: MAX_RECORD_BYTES });
    }
    Ok(bytes as u64)
}

impl State {
    /// Bytes that may still be promised. A record that does not fit goes to the next segment and wastes the rest of this
    /// one, less than one record: that is taken off each segment here, so a promise holds in whatever order it is used.
    pub(super) fn room(&self) -> u64 {
        let active = self.segments.get(&self.active).filter(|active| !active.poisoned);
        let rooms = active
            .into_iter()
            .chain(self.spares.values())
            .map(|segment| (segment.capacity - segment.end).saturating_sub(MAX_RECORD_BYTES as u64));
        rooms.sum::<u64>().saturating_sub(self.reserved)
    }

    /// Bytes of all segments on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.values().chain(self.spares.values()).map(|segment| segment.capacity).sum()
    }

    /// Notes a BEGIN.
    pub(super) fn open_request(&mut self, rid: Uuid, open: Open) {
        self.reserved += open.reserved();
        if let Some(segment) = self.segments.get_mut(&open.segment) {
            segment.open += 1;
        }
        self.open.insert(rid, open);
    }

    /// Notes a FIRST.
    pub(super) fn note_first(&mut self, rid: Uuid, status: u16, at_ms: i64) {
        if let Some(open) = self.open.get_mut(&rid).filter(|open| open.first.is_none()) {
            open.first = Some((status, at_ms));
            self.reserved -= FIRST_BYTES as u64;
        }
    }

    /// Notes that the BEGIN of an open request now stands in another segment too.
    pub(super) fn move_begin(&mut self, rid: Uuid, to: u64) {
        if let Some(open) = self.open.get_mut(&rid) {
            let from = std::mem::replace(&mut open.segment, to);
            self.count_open(from, -1);
            self.count_open(to, 1);
        }
    }

    /// Notes that a request has ended: its room is free again.
    pub(super) fn close_request(&mut self, rid: Uuid) {
        if let Some(open) = self.open.remove(&rid) {
            self.reserved -= open.reserved();
            self.count_open(open.segment, -1);
        }
    }

    /// Notes an END that was written to `segment` up to `offset`.
    pub(super) fn note_end(&mut self, segment: u64, offset: u64, ended_at_ms: i64) -> Position {
        let index = self.segments.get_mut(&segment).map_or(0, |segment| {
            segment.ends += 1;
            // of an END that is written in place of another nobody tells: its segment is read at the next start
            segment.unsettled += 1;
            segment.ends
        });
        let position = Position { segment, offset, index };
        self.last_end = position;
        self.unsynced_ends += 1;
        self.pending += 1;
        self.oldest_pending_ms.get_or_insert(ended_at_ms);
        position
    }

    /// Notes that a request has ended and no segment takes its END. Its room stays promised.
    pub(super) fn park(&mut self, parked: Parked) {
        self.close_request(parked.rid);
        self.reserved += parked.record.len() as u64;
        self.oldest_pending_ms.get_or_insert(parked.ended_at_ms);
        self.parked.push(parked);
    }

    /// ENDs the ledger does not have, those that are not written included.
    pub(super) fn all_pending(&self) -> u64 {
        self.pending + self.parked.len() as u64
    }

    /// Moves the watermark. False: it stands there or further on already.
    pub(super) fn acknowledge(&mut self, up_to: Position, now_ms: i64) -> bool {
        if up_to <= self.watermark {
            return false;
        }
        for (sequence, segment) in self.segments.range_mut(self.watermark.segment..=up_to.segment) {
            let acked = if *sequence < up_to.segment { segment.ends } else { up_to.index.min(segment.ends) };
            self.pending = self.pending.saturating_sub(u64::from(acked.saturating_sub(segment.acked)));
            segment.acked = segment.acked.max(acked);
            segment.quiet_since_ms = now_ms;
        }
        self.watermark = up_to;
        if self.all_pending() == 0 {
            self.oldest_pending_ms = None;
        }
        true
    }

    /// Marks a segment as never to be touched again; the keeper writes its live records elsewhere.
    pub(super) fn poison(&mut self, sequence: u64) {
        if let Some(segment) = self.segments.get_mut(&sequence).filter(|segment| !segment.poisoned) {
            segment.poisoned = true;
            self.poisoned_segments += 1;
            self.to_rescue.push(sequence);
        }
    }

    /// Takes the oldest segments out of the books that hold nothing of use any more and were quiet for `keep_ms`. Only ever
    /// the oldest: a BEGIN must not outlive its END.
    pub(super) fn take_retired(&mut self, now_ms: i64, keep_ms: i64, at_most: usize) -> Vec<u64> {
        let mut retired = Vec::new();
        while retired.len() < at_most {
            let Some((&sequence, oldest)) = self.segments.first_key_value() else { break };
            let in_use = sequence == self.active
                || oldest.open > 0
                || oldest.acked < oldest.ends
                || self.unsealed.contains(&sequence)
                || self.to_rescue.contains(&sequence)
                || self.pinned.is_some_and(|pinned| pinned <= sequence);
            if in_use || now_ms.saturating_sub(oldest.quiet_since_ms) < keep_ms {
                break;
            }
            self.segments.remove(&sequence);
            retired.push(sequence);
        }
        retired
    }

    /// How the journal is.
    pub(super) fn health(&self) -> Health {
        let refuses = self.room() < 2 * MAX_RECORD_BYTES as u64;
        Health {
            poisoned_segments: self.poisoned_segments,
            damaged_segments: self.damaged_segments,
            full: self.blocked.clone().filter(|_| refuses),
            keeper_died: false,
        }
    }

    fn count_open(&mut self, segment: u64, by: i32) {
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.open = segment.open.saturating_add_signed(by);
        }
    }
}
