//! Takes out of a chat stream the one event that the gateway asked for and the caller did not: the extra chunk with
//! usage and no choices. All other bytes pass as they came. An event that has come in full is never held back; of one
//! that has not, at most [`MAX_HELD_BYTES`] are, and what is longer cannot be that event.

use bytes::Bytes;
use serde_json::Value;

/// The usage chunk is below 1 KiB.
const MAX_HELD_BYTES: usize = 16 * 1024;

/// The filter for one stream.
#[derive(Debug, Default)]
pub struct UsageChunkFilter {
    /// The beginning of an event whose end has not come.
    held: Vec<u8>,
    line: Line,
    after_cr: bool,
    /// The running event was too long to be held: it passes.
    passing: bool,
    /// An event was just dropped at its carriage return; the line feed goes with it.
    dropped: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Empty,
    Filled,
}

impl UsageChunkFilter {
    /// A filter for a new stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and returns those to pass on, the same buffer where nothing has to change.
    pub fn feed(&mut self, chunk: Bytes) -> Bytes {
        let mut out = Output { chunk, passed: 0, built: None };
        let mut start = 0;
        for at in 0..out.chunk.len() {
            let byte = out.chunk[at];
            if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                // it belongs to the line end already seen; only right after an event does it stand alone
                if at == start && self.held.is_empty() {
                    if !std::mem::take(&mut self.dropped) {
                        out.pass(at, at + 1);
                    }
                    start = at + 1;
                }
                continue;
            }
            self.dropped = false;
            if byte != b'\n' && byte != b'\r' {
                self.line = Line::Filled;
                continue;
            }
            self.after_cr = byte == b'\r';
            if std::mem::take(&mut self.line) == Line::Empty {
                self.end_event(start, at + 1, &mut out);
                start = at + 1;
            }
        }
        self.hold(start, &mut out);
        out.finish()
    }

    /// What is still held when the stream ends.
    pub fn finish(self) -> Bytes {
        if is_usage_chunk(&self.held) { Bytes::new() } else { self.held.into() }
    }

    fn end_event(&mut self, start: usize, end: usize, out: &mut Output) {
        if std::mem::take(&mut self.passing) {
            return out.pass(start, end);
        }
        if self.held.is_empty() {
            self.dropped = is_usage_chunk(&out.chunk[start..end]);
            if !self.dropped {
                out.pass(start, end);
            }
            return;
        }
        self.held.extend_from_slice(&out.chunk[start..end]);
        self.dropped = is_usage_chunk(&self.held);
        if !self.dropped {
            out.insert(&self.held);
        }
        self.held.clear();
    }

    /// The chunk ends within an event.
    fn hold(&mut self, start: usize, out: &mut Output) {
        let end = out.chunk.len();
        if self.held.len() + (end - start) > MAX_HELD_BYTES {
            self.passing = true;
        }
        if self.passing {
            if !self.held.is_empty() {
                out.insert(&self.held);
                self.held.clear();
            }
            out.pass(start, end);
        } else {
            self.held.extend_from_slice(&out.chunk[start..end]);
        }
    }
}

/// What passes of one chunk: its beginning as it is, and a copy only from where it differs.
struct Output {
    chunk: Bytes,
    passed: usize,
    built: Option<Vec<u8>>,
}

impl Output {
    fn pass(&mut self, start: usize, end: usize) {
        if start == end {
            return;
        }
        match &mut self.built {
            None if start == self.passed => self.passed = end,
            None => self.built = Some([&self.chunk[..self.passed], &self.chunk[start..end]].concat()),
            Some(built) => built.extend_from_slice(&self.chunk[start..end]),
        }
    }

    fn insert(&mut self, held: &[u8]) {
        let passed = &self.chunk[..self.passed];
        self.built.get_or_insert_with(|| passed.to_vec()).extend_from_slice(held);
    }

    fn finish(self) -> Bytes {
        match self.built {
            Some(built) => built.into(),
            None => self.chunk.slice(..self.passed),
        }
    }
}

/// Whether an event is the usage chunk: no choices, and a usage object.
fn is_usage_chunk(event: &[u8]) -> bool {
    if !event.windows(USAGE.len()).any(|window| window == USAGE) {
        return false;
    }
    let data = event
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .filter_map(|line| line.strip_prefix(b"data:"))
        .collect::<Vec<_>>()
        .join(&b'\n');
    let Ok(chunk) = serde_json::from_slice::<Value>(&data) else { return false };
    chunk.get("choices").and_then(Value::as_array).is_some_and(Vec::is_empty)
        && chunk.get("usage").is_some_and(Value::is_object)
}

const USAGE: &[u8] = b"\"usage\"";
