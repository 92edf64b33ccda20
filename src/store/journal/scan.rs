//! Walks the records of one segment file through a small window, and finds its way again behind damage. Memory stays
//! flat whatever the segment's size. It must not know what the records mean.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::record::{self, MAX_RECORD_BYTES, RECORD_HEADER_BYTES, RecordKind};

/// How much of a file is in memory at once: several records, few system calls.
const WINDOW_BYTES: usize = 256 * 1024;

/// Zero bytes are skipped in blocks of this size: the preallocated rest of a segment is mostly these.
const ZERO_BLOCK: [u8; 4096] = [0; 4096];

/// What stands at the scanner's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScanFound {
    /// A true record; [`Scanner::payload`] gives its payload.
    Record {
        /// Where it begins.
        at: u64,
        /// Its kind.
        kind: RecordKind,
    },
    /// Bytes that are no record, with a true record after them.
    Damage,
    /// From here on there is no record, up to the end: a torn tail, or the zeros of a preallocated file.
    Tail,
    /// The end, exactly behind a record.
    End,
}

/// A forward cursor over the records of a file.
pub(super) struct Scanner {
    file: Arc<File>,
    at: u64,
    end: u64,
    window: Vec<u8>,
    window_at: u64,
    payload: std::ops::Range<usize>,
}

impl Scanner {
    /// Starts at a record's beginning; nothing at or after `end` is looked at.
    pub(super) fn new(file: Arc<File>, at: u64, end: u64) -> Self {
        Self { file, at, end, window: Vec::new(), window_at: 0, payload: 0..0 }
    }

    /// Where the next record begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The file has grown to `end`.
    pub(super) fn set_end(&mut self, end: u64) {
        self.end = end;
    }

    /// Goes back to a record that was just found.
    pub(super) fn rewind(&mut self, at: u64) {
        self.at = at;
    }

    /// The payload of the record found last.
    pub(super) fn payload(&self) -> &[u8] {
        &self.window[self.payload.clone()]
    }

    /// Finds what comes next.
    pub(super) fn next(&mut self) -> io::Result<ScanFound> {
        if self.at >= self.end {
            return Ok(ScanFound::End);
        }
        let start = self.load(self.at)?;
        if let Some((kind, record_bytes)) = record::check(&self.window[start..]) {
            let at = self.at;
            self.payload = start + RECORD_HEADER_BYTES..start + record_bytes;
            self.at += record_bytes as u64;
            return Ok(ScanFound::Record { at, kind });
        }
        if let Some(next) = self.resync(self.at + 1)? {
            self.at = next;
            return Ok(ScanFound::Damage);
        }
        self.at = self.end;
        Ok(ScanFound::Tail)
    }

    /// One past the last byte in `from..` that is not zero; `from` if all are zero.
    pub(super) fn data_end(&mut self, from: u64) -> io::Result<u64> {
        let mut at = from;
        let mut data_end = from;
        while at < self.end {
            let start = self.load(at)?;
            for block in self.window[start..].chunks(ZERO_BLOCK.len()) {
                if *block != ZERO_BLOCK[..block.len()] {
                    let used = block.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                    data_end = at + used as u64;
                }
                at += block.len() as u64;
            }
        }
        Ok(data_end)
    }

    /// The first true record that begins at `from` or later.
    fn resync(&mut self, from: u64) -> io::Result<Option<u64>> {
        let mut at = from;
        while at < self.end {
            let start = self.load(at)?;
            let block = &self.window[start..];
            let last_block = at + block.len() as u64 >= self.end;
            // A candidate is judged only when a record of full size would fit behind it, or the file ends.
            let candidates = if last_block { block.len() } else { block.len() - MAX_RECORD_BYTES };
            let mut index = 0;
            while index < candidates {
                let rest = &block[index..];
                if rest.starts_with(&ZERO_BLOCK) {
                    // No record begins with a length of zero.
                    index += ZERO_BLOCK.len() - 3;
                    continue;
                }
                let plausible =
                    rest.get(RECORD_HEADER_BYTES - 1).is_some_and(|kind| RecordKind::RANGE.contains(kind));
                if plausible && record::check(rest).is_some() {
                    return Ok(Some(at + index as u64));
                }
                index += 1;
            }
            at += index.max(1) as u64;
        }
        Ok(None)
    }

    /// Makes sure that a whole record at `at` (or all up to the end) is in the window; gives its index there.
    fn load(&mut self, at: u64) -> io::Result<usize> {
        let left = self.end - at;
        let needed = left.min(2 * MAX_RECORD_BYTES as u64);
        let held_to = self.window_at + self.window.len() as u64;
        if at < self.window_at || at + needed > held_to {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(WINDOW_BYTES);
            self.window.resize(wanted, 0);
            self.window_at = at;
            if let Err(error) = self.file.read_exact_at(&mut self.window, at) {
                self.window.clear();
                return Err(error);
            }
        }
        Ok(usize::try_from(at - self.window_at).unwrap_or(usize::MAX))
    }
}
