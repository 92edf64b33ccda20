//! A cursor over the ENDs of a journal, from the files: memory stays flat however long the ledger is down. It must not
//! know what becomes of the entries.

use std::fs::File;
use std::sync::Arc;

use super::record::{self, Record, RecordKind, SEGMENT_HEADER_BYTES};
use super::scan::{ScanFound, Scanner};
use super::{Inner, JournalError, Position};
use crate::store::Entry;

/// A cursor over ENDs. It starts behind the last ACK.
pub struct Reader {
    inner: Arc<Inner>,
    /// Behind the last END or other record that was read.
    at: Position,
    /// Behind the last END that was handed out.
    handed_out: Position,
    scanner: Option<Scanner>,
    /// A replay ends here.
    replay_until: Option<Position>,
}

/// What the journal says about the segment a reader stands in.
struct View {
    sequence: u64,
    end: u64,
    file: Option<Arc<File>>,
    is_active: bool,
}

impl Inner {
    pub(super) fn reader(self: &Arc<Self>) -> Reader {
        let at = self.lock().watermark;
        Reader { inner: Arc::clone(self), at, handed_out: at, scanner: None, replay_until: None }
    }

    /// The segment `sequence`, or the next that stands.
    fn view(&self, sequence: u64) -> Option<View> {
        let state = self.lock();
        let (&sequence, segment) = state.segments.range(sequence..).next()?;
        let is_active = sequence == state.active;
        Some(View { sequence, end: segment.end, file: segment.file.clone(), is_active })
    }

    /// Reports damage that was found while reading, once for each segment.
    fn note_damage(&self, sequence: u64) -> Result<(), JournalError> {
        let mut state = self.lock();
        let Some(segment) = state.segments.get_mut(&sequence).filter(|segment| !segment.damaged) else {
            return Ok(());
        };
        segment.damaged = true;
        state.damaged_segments += 1;
        drop(state);
        tracing::error!(segment = sequence, "a journal segment is damaged; a copy goes to `quarantine/`");
        let copied = self.dir.quarantine_segment(sequence).map(|_| ());
        copied.map_err(JournalError::io("copy a damaged segment to quarantine"))
    }
}

impl Reader {
    /// The next ENDs, at most `max_rows` and about `max_bytes` of their JSON, but at least one if there is one. Reads
    /// files: call it where blocking is allowed.
    ///
    /// # Errors
    /// `Io`; the cursor stays before the place that could not be read.
    pub fn next_batch(
        &mut self,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Position, Entry)>, JournalError> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(view) = self.inner.view(self.at.segment) {
            self.enter(&view)?;
            let whole = self.read_segment(view.end, &mut batch, |payload_bytes, rows| {
                bytes += payload_bytes;
                rows == 0 || (rows < max_rows && bytes <= max_bytes)
            })?;
            if !whole || view.is_active {
                break;
            }
            self.at = Position { segment: view.sequence + 1, offset: 0, index: 0 };
            self.scanner = None;
        }
        self.note_batch(&batch);
        Ok(batch)
    }

    /// Waits until there is an END behind the cursor.
    pub async fn wait_for_end(&self) {
        loop {
            let ends = self.inner.ends.notified();
            tokio::pin!(ends);
            ends.as_mut().enable();
            if self.has_more() {
                return;
            }
            ends.await;
        }
    }

    /// Is there an END behind the cursor?
    pub fn has_more(&self) -> bool {
        self.inner.lock().last_end > self.at
    }

    /// Goes back to the oldest segment that was not wholly acknowledged before `since_ms` (milliseconds since 1970).
    /// From there on no segment is deleted until the cursor is where it was.
    pub fn replay(&mut self, since_ms: i64) {
        let mut state = self.inner.lock();
        let watermark = state.watermark;
        let oldest = state
            .segments
            .iter()
            .find(|(_, segment)| segment.acked < segment.ends || segment.quiet_since_ms >= since_ms)
            .map_or(state.active, |(sequence, _)| *sequence);
        state.pinned = Some(oldest);
        drop(state);
        self.replay_until = Some(watermark);
        self.at = Position { segment: oldest, offset: 0, index: 0 };
        self.handed_out = self.at;
        self.scanner = None;
        self.end_replay();
    }

    /// Is a replay under way? It is over when the ENDs it went back for have been handed out and the next batch is asked for.
    pub fn is_replaying(&self) -> bool {
        self.replay_until.is_some()
    }

    /// To be called when everything handed out so far is in the ledger: ends a replay that has come to its end.
    pub fn end_replay(&mut self) {
        if self.replay_until.is_some_and(|until| self.at >= until) {
            self.replay_until = None;
            self.inner.lock().pinned = None;
        }
    }

    /// Lets the journal know how old the oldest pending END is, after a restart.
    pub(super) fn note_oldest(mut self) -> Result<(), JournalError> {
        self.next_batch(1, 1).map(|_| ())
    }

    /// Moves to the segment and opens it if need be.
    fn enter(&mut self, view: &View) -> Result<(), JournalError> {
        if self.at.segment != view.sequence {
            self.at = Position { segment: view.sequence, offset: 0, index: 0 };
            self.scanner = None;
        }
        if self.scanner.is_none() {
            let file = if let Some(file) = &view.file {
                Arc::clone(file)
            } else {
                let opened = self.inner.dir.open_segment(view.sequence);
                Arc::new(opened.map_err(JournalError::io("open a segment"))?.0)
            };
            self.at.offset = self.at.offset.max(SEGMENT_HEADER_BYTES as u64);
            self.scanner = Some(Scanner::new(file, self.at.offset, view.end));
        }
        Ok(())
    }

    /// Reads ENDs up to `end` while `takes(payload bytes, rows so far)`. True: the end is reached.
    fn read_segment(
        &mut self,
        end: u64,
        batch: &mut Vec<(Position, Entry)>,
        mut takes: impl FnMut(usize, usize) -> bool,
    ) -> Result<bool, JournalError> {
        let Some(scanner) = &mut self.scanner else { return Ok(true) };
        scanner.set_end(end);
        loop {
            let found = scanner.next().map_err(JournalError::io("read a segment"))?;
            match found {
                ScanFound::Record { at, kind: RecordKind::End } => {
                    if !takes(scanner.payload().len(), batch.len()) {
                        scanner.rewind(at);
                        return Ok(false);
                    }
                    self.at.offset = scanner.at();
                    self.at.index += 1;
                    match record::decode(RecordKind::End, scanner.payload()) {
                        Some(Record::End(entry)) => batch.push((self.at, entry)),
                        _ => self.inner.note_damage(self.at.segment)?,
                    }
                }
                ScanFound::Record { .. } => self.at.offset = scanner.at(),
                ScanFound::Damage | ScanFound::Tail => {
                    self.at.offset = scanner.at();
                    self.inner.note_damage(self.at.segment)?;
                }
                ScanFound::End => return Ok(true),
            }
        }
    }

    /// The first END behind the watermark is the oldest pending one, if nothing between was read before.
    fn note_batch(&mut self, batch: &[(Position, Entry)]) {
        let Some((last, _)) = batch.last() else { return };
        let mut state = self.inner.lock();
        let watermark = state.watermark;
        if let Some((_, oldest)) = batch.iter().find(|(position, _)| *position > watermark)
            && self.handed_out <= watermark
        {
            state.oldest_pending_ms = Some(oldest.ended_at_ms);
        }
        self.handed_out = *last;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.replay_until.is_some() {
            self.inner.lock().pinned = None;
        }
    }
}
