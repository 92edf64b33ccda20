//! Reads what the last run left in the directory and makes it fit to go on: torn tails are cut off, damage is copied
//! aside and reported, open requests are found. It must not decide what becomes of them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use tokio::sync::Notify;
use uuid::Uuid;

use super::dir::Dir;
use super::done::{self, Done};
use super::record::{self, Record, RecordKind, SEGMENT_HEADER_BYTES};
use super::scan::{ScanFound, Scanner};
use super::space::MIN_SEGMENT_BYTES;
use super::state::{Open, Segment, State, end_bound};
use super::{Inner, JournalError, JournalOptions, Position};
use crate::clock::Clock;
use crate::store::Entry;

/// What the last run left.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Requests that were begun and never ended, in order of their ids.
    pub open: Vec<OpenRequest>,
    /// Bytes of half-written records that were cut off.
    pub torn_bytes: u64,
    /// Segments with damage inside that were copied to `quarantine/` now. What is whole in them is used.
    pub quarantined: u64,
    /// ENDs that the ledger may not have.
    pub unacked: u64,
    /// Domains of ENDs that are not known to be settled: if that run was killed, their counters may lack one.
    pub recent: Vec<String>,
}

/// A request whose gateway died.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenRequest {
    /// As it was begun.
    pub entry: Entry,
    /// Status and time (milliseconds since 1970) of the upstream's first byte, if it had come.
    pub first_byte: Option<(u16, i64)>,
}

/// What is found while the segments are read, oldest first.
#[derive(Default)]
struct Findings {
    segments: BTreeMap<u64, Segment>,
    /// Request, segment of its BEGIN, size of that record.
    open: HashMap<Uuid, (OpenRequest, u64, usize)>,
    watermark: Position,
    last_end: Position,
    torn_bytes: u64,
    quarantined: u64,
    damaged: u64,
    /// Domains of the ENDs that were read.
    domains: BTreeSet<String>,
}

pub(super) fn recover(
    path: &Path,
    options: JournalOptions,
    clock: Clock,
) -> Result<(Inner, Recovery), JournalError> {
    if options.segment_bytes < MIN_SEGMENT_BYTES {
        return Err(JournalError::Options(format!(
            "a journal segment has at least {MIN_SEGMENT_BYTES} bytes"
        )));
    }
    if options.max_bytes < 2 * options.segment_bytes {
        return Err(JournalError::Options("a journal holds at least two segments".to_owned()));
    }
    let dir = Dir::open(path)?;
    let mut findings = Findings::default();
    let sequences = dir.segments().map_err(JournalError::io("list the segments"))?;
    let done = done::load(&dir, &sequences);
    let done_up_to = findings.take_done(&done);
    for &sequence in &sequences[done.len()..] {
        findings.read_segment(&dir, sequence, clock.now_ms()).map_err(JournalError::io("read a segment"))?;
    }
    let pending = findings.count_acked(&dir, done_up_to).map_err(JournalError::io("read a segment"))?;
    let mut state = State {
        segments: findings.segments,
        next_sequence: sequences.last().map_or(1, |last| last + 1),
        watermark: findings.watermark,
        last_end: findings.last_end,
        synced: findings.last_end,
        pending,
        damaged_segments: findings.damaged,
        done_up_to,
        ..State::default()
    };
    let mut open = Vec::with_capacity(findings.open.len());
    for (rid, (request, segment, begin_bytes)) in findings.open {
        let end_bytes = end_bound(&request.entry, begin_bytes)?;
        state.open_request(rid, Open { segment, end_bytes, first: request.first_byte });
        open.push(request);
    }
    open.sort_by_key(|request| request.entry.id);
    let inner = Inner {
        dir,
        options,
        clock,
        state: Mutex::default(),
        wake: Condvar::new(),
        ends: Notify::new(),
        progress: Notify::new(),
    };
    inner.start(&mut state)?;
    *inner.lock() = state;
    let Findings { torn_bytes, quarantined, domains, .. } = findings;
    let recent = domains.into_iter().collect();
    Ok((inner, Recovery { open, torn_bytes, quarantined, unacked: pending, recent }))
}

impl Inner {
    /// Opens the run's first segment, with room for the ends of all requests that are still open.
    fn start(&self, state: &mut State) -> Result<(), JournalError> {
        self.advance(state)?;
        while state.room() == 0 {
            self.extend(state)?;
        }
        Ok(())
    }
}

impl Findings {
    /// Takes over the oldest segments unread; gives the last of them.
    fn take_done(&mut self, done: &[Done]) -> u64 {
        self.segments.extend(done.iter().map(|done| (done.sequence, done.segment())));
        let Some(last) = done.last() else { return 0 };
        // whatever the ledger has told of these segments lies before their end
        self.watermark = last.position();
        self.last_end = last.position();
        last.sequence
    }

    /// Reads one segment, cuts its torn tail, puts a copy aside if it is damaged.
    fn read_segment(&mut self, dir: &Dir, sequence: u64, now_ms: i64) -> io::Result<()> {
        let (file, bytes) = dir.open_segment(sequence)?;
        let file = Arc::new(file);
        let header_bytes = SEGMENT_HEADER_BYTES as u64;
        let mut header = [0; SEGMENT_HEADER_BYTES];
        let header_is_whole = bytes >= header_bytes
            && file.read_exact_at(&mut header, 0).map(|()| record::is_segment_header(&header, sequence))?;
        self.segments.insert(sequence, Segment { quiet_since_ms: now_ms, ..Segment::default() });
        let mut scanner = Scanner::new(Arc::clone(&file), header_bytes, bytes);
        let mut damaged = !header_is_whole;
        let mut data_end = header_bytes.min(bytes);
        loop {
            match scanner.next()? {
                ScanFound::Record { kind, .. } => {
                    let understood = self.take(sequence, kind, scanner.at(), scanner.payload(), now_ms);
                    damaged |= !understood;
                    data_end = scanner.at();
                }
                ScanFound::Damage => damaged = true,
                ScanFound::Tail => {
                    let torn_bytes = scanner.data_end(data_end)? - data_end;
                    if torn_bytes > 0 {
                        tracing::warn!(
                            segment = sequence,
                            torn_bytes,
                            "the torn tail of a journal segment is cut off"
                        );
                    }
                    self.torn_bytes += torn_bytes;
                    break;
                }
                ScanFound::End => break,
            }
        }
        if data_end <= header_bytes {
            // Allocated and never written to, or not even that.
            self.segments.remove(&sequence);
            return dir.remove_segment(sequence);
        }
        if damaged {
            self.damaged += 1;
            self.quarantined += u64::from(dir.quarantine_segment(sequence)?);
            tracing::error!(
                segment = sequence,
                "a journal segment is damaged; a copy is in `quarantine/`, the rest of it is used"
            );
        }
        if data_end < bytes {
            file.set_len(data_end)?;
        }
        // What the last run had only in the page cache must stand before anything is built on it.
        file.sync_all()?;
        if let Some(segment) = self.segments.get_mut(&sequence) {
            segment.end = data_end;
            segment.capacity = data_end;
            segment.synced_end = data_end;
            segment.damaged = damaged;
        }
        Ok(())
    }

    /// Takes in one record. False: it is whole and still makes no sense.
    fn take(&mut self, sequence: u64, kind: RecordKind, end: u64, payload: &[u8], now_ms: i64) -> bool {
        if kind == RecordKind::End
            && let Some(segment) = self.segments.get_mut(&sequence)
        {
            segment.ends += 1;
            segment.quiet_since_ms = now_ms;
            self.last_end = Position { segment: sequence, offset: end, index: segment.ends };
        }
        match record::decode(kind, payload) {
            Some(Record::Begin(entry)) => {
                // a rescued BEGIN stands a second time, further on
                let first_byte = self.open.get(&entry.id).and_then(|(request, ..)| request.first_byte);
                let begin_bytes = payload.len() + record::RECORD_HEADER_BYTES;
                self.open.insert(entry.id, (OpenRequest { entry, first_byte }, sequence, begin_bytes));
            }
            Some(Record::First { rid, status, at_ms }) => {
                if let Some((request, ..)) = self.open.get_mut(&rid) {
                    request.first_byte.get_or_insert((status, at_ms));
                }
            }
            Some(Record::End(entry)) => {
                self.open.remove(&entry.id);
                self.domains.insert(entry.domain);
            }
            Some(Record::Ack { up_to, at_ms }) => self.take_ack(up_to, at_ms),
            None => return false,
        }
        true
    }

    fn take_ack(&mut self, up_to: Position, at_ms: i64) {
        if up_to <= self.watermark {
            return;
        }
        for (_, segment) in self.segments.range_mut(self.watermark.segment..=up_to.segment) {
            segment.quiet_since_ms = at_ms;
        }
        self.watermark = up_to;
    }

    /// Counts what the watermark covers, by place: after damage the indexes that were noted no longer count right. Gives
    /// the number of ENDs that are pending.
    fn count_acked(&mut self, dir: &Dir, done_up_to: u64) -> io::Result<u64> {
        let mut pending = 0;
        for (sequence, segment) in &mut self.segments {
            if *sequence <= done_up_to {
                continue;
            }
            segment.acked = match (*sequence).cmp(&self.watermark.segment) {
                Ordering::Less => segment.ends,
                Ordering::Equal => ends_up_to(dir, *sequence, self.watermark.offset.min(segment.end))?,
                Ordering::Greater => 0,
            };
            if *sequence == self.watermark.segment {
                self.watermark.index = segment.acked;
            }
            pending += u64::from(segment.ends - segment.acked);
        }
        Ok(pending)
    }
}

fn ends_up_to(dir: &Dir, sequence: u64, offset: u64) -> io::Result<u32> {
    let (file, _) = dir.open_segment(sequence)?;
    let mut scanner = Scanner::new(Arc::new(file), SEGMENT_HEADER_BYTES as u64, offset);
    let mut ends = 0;
    loop {
        match scanner.next()? {
            ScanFound::Record { kind, .. } => ends += u32::from(kind == RecordKind::End),
            ScanFound::Damage => {}
            ScanFound::Tail | ScanFound::End => return Ok(ends),
        }
    }
}
