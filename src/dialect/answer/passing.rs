//! What passes of one chunk: the chunk itself while nothing has to change, and a copy only from the first change on.
//! It does not know why bytes are replaced, dropped or held back.

use std::ops::Range;

use bytes::{Buf, Bytes};

/// What passes is `built` and then the chunk from `from` on.
#[derive(Debug)]
pub(super) struct Passing {
    chunk: Bytes,
    built: Vec<u8>,
    from: usize,
    /// Where in what passes the running event begins.
    mark: usize,
}

impl Passing {
    /// Begins with `held`, what was held back before: the running event's beginning.
    pub(super) fn new(chunk: Bytes, held: Vec<u8>) -> Self {
        Self { chunk, built: held, from: 0, mark: 0 }
    }

    /// Other bytes pass in place of these of the chunk. Spans come in their order.
    pub(super) fn replace(&mut self, span: Range<usize>, instead: &[u8]) {
        self.built.extend_from_slice(&self.chunk[self.from..span.start]);
        self.built.extend_from_slice(instead);
        self.from = span.end;
    }

    /// An event begins at this byte of the chunk.
    pub(super) fn begin_event(&mut self, at: usize) {
        self.mark = self.built.len() + at - self.from;
    }

    /// How much passes of the running event up to this byte of the chunk.
    pub(super) fn event_len(&self, end: usize) -> usize {
        self.built.len() + end - self.from - self.mark
    }

    /// The running event up to this byte of the chunk.
    pub(super) fn event(&self, end: usize) -> Vec<u8> {
        match self.uncopied() {
            Some(start) => self.chunk[start..end].to_vec(),
            None => [&self.built[self.mark..], &self.chunk[self.from..end]].concat(),
        }
    }

    /// The running event, which ends at this byte of the chunk, does not pass.
    pub(super) fn drop_event(&mut self, end: usize) {
        if let Some(start) = self.uncopied() {
            self.replace(start..end, &[]);
        } else {
            self.built.truncate(self.mark);
            self.from = end;
        }
    }

    /// What passes, and the running event that is held back.
    pub(super) fn split(mut self) -> (Bytes, Vec<u8>) {
        let held = self.event(self.chunk.len());
        self.chunk.truncate(self.uncopied().unwrap_or(self.from));
        self.built.truncate(self.mark);
        (self.finish(), held)
    }

    /// What passes.
    pub(super) fn finish(mut self) -> Bytes {
        if self.built.is_empty() {
            self.chunk.advance(self.from);
            return self.chunk;
        }
        self.built.extend_from_slice(&self.chunk[self.from..]);
        self.built.into()
    }

    /// The running event's first byte in the chunk, unless a copy has it.
    fn uncopied(&self) -> Option<usize> {
        Some(self.from + self.mark.checked_sub(self.built.len())?)
    }
}
