//! A push reader of JSON that keeps almost nothing: it follows strings, brackets and keys, and copies only the few small
//! members that an answer's usage, model and type stand in. Memory is bounded whatever passes.
//! It does not check grammar (answers are passed on as they are) and does not know what the members mean.

use super::member::{Capture, Key};
use crate::dialect::json::plain_run;

/// Usage objects are below 1 KiB; details of many modalities fit well.
const MAX_USAGE_BYTES: usize = 16 * 1024;
/// Room for a model's or an event type's name with quotes.
const MAX_NAME_BYTES: usize = 320;
/// The longest key that is looked at.
const KEY_BYTES: usize = 20;
/// Enough to tell `[DONE]` from what only begins like it.
const HEAD_BYTES: usize = 8;
/// Below this depth keys are followed; nothing that is read stands deeper. One bit a level.
const MAX_LEVELS: u32 = 128;

/// What the body is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Layout {
    /// One object.
    #[default]
    Object,
    /// An array of objects, each an event.
    ArrayOfObjects,
}

/// Where a captured member stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Holder {
    #[default]
    Top,
    Response,
    Message,
}

/// What one event (or a whole body) showed. Members are raw JSON.
pub(super) struct Event<'a> {
    /// The first bytes of the text, for `[DONE]`.
    pub(super) head: &'a [u8],
    pub(super) kind: Option<&'a [u8]>,
    pub(super) model: Option<&'a [u8]>,
    /// `usage`, as all but Gemini name it.
    pub(super) usage: Option<(Holder, &'a [u8])>,
    /// Gemini's `usageMetadata`.
    pub(super) usage_metadata: Option<&'a [u8]>,
    /// A usage member stood twice or was too long to be one.
    pub(super) odd: bool,
    /// A finish reason or a block reason was given.
    pub(super) finished: bool,
    /// Bytes of generated text.
    pub(super) text_bytes: u64,
    /// The text is complete as far as brackets and strings tell, and not empty.
    pub(super) whole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Kind,
    Model,
    Usage(Holder),
    UsageMetadata,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum InString {
    #[default]
    No,
    Key,
    Value {
        counts: bool,
    },
}

#[derive(Debug, Default)]
pub(super) struct Probe {
    layout: Layout,
    /// The depth at which an event's members stand.
    base: u32,
    depth: u32,
    /// The lowest bit tells whether the innermost container is an object.
    objects: u128,
    closed: bool,
    string: InString,
    /// 1 after a backslash; 2 to 5 while hexadecimal digits follow.
    escape: u8,
    expect_key: bool,
    key: Vec<u8>,
    last: Key,
    top: Key,
    capture: Option<(Slot, u32)>,
    kind: Capture,
    model: Capture,
    usage: Capture,
    usage_holder: Holder,
    usage_metadata: Capture,
    head: Vec<u8>,
    seen: Seen,
}

/// What was noticed about the running event, beside its members.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    odd: bool,
    finished: bool,
    text_bytes: u64,
}

impl Probe {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, base: 1, ..Self::default() }
    }

    /// Takes bytes; `on_event` is called at the end of each object that is an event.
    pub(super) fn feed(&mut self, bytes: &[u8], mut on_event: impl FnMut(&Event<'_>)) {
        let room = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..room.min(bytes.len())]);
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            if self.closed {
                return;
            }
            if self.string == InString::No {
                rest = &rest[1..];
                if self.structure(byte) {
                    on_event(&self.event());
                    if self.depth > 0 {
                        self.clear_members();
                    }
                }
                continue;
            }
            let run = if self.escape == 0 { plain_run(rest).max(1) } else { 1 };
            self.in_string(&rest[..run]);
            rest = &rest[run..];
        }
    }

    /// What the text showed since the last reset.
    pub(super) fn event(&self) -> Event<'_> {
        Event {
            head: self.head.trim_ascii(),
            kind: self.kind.get(),
            model: self.model.get(),
            usage: self.usage.get().map(|bytes| (self.usage_holder, bytes)),
            usage_metadata: self.usage_metadata.get(),
            odd: self.seen.odd || self.usage.overflow || self.usage_metadata.overflow,
            finished: self.seen.finished,
            text_bytes: self.seen.text_bytes,
            whole: self.closed,
        }
    }

    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        let members = [&self.kind, &self.model, &self.usage, &self.usage_metadata];
        let copies: usize = members.iter().map(|member| member.bytes.capacity()).sum();
        copies + self.key.capacity() + self.head.capacity()
    }

    /// Whether the outermost container has ended.
    pub(super) fn closed(&self) -> bool {
        self.closed
    }

    /// Forgets everything; the buffers stay for the next event.
    pub(super) fn reset(&mut self) {
        self.clear_members();
        self.head.clear();
        self.key.clear();
        (self.depth, self.objects, self.closed, self.base) = (0, 0, false, 1);
        (self.string, self.escape, self.expect_key) = (InString::No, 0, false);
        (self.last, self.top, self.capture) = (Key::Other, Key::Other, None);
    }

    fn clear_members(&mut self) {
        for capture in [&mut self.kind, &mut self.model, &mut self.usage, &mut self.usage_metadata] {
            capture.clear();
        }
        self.seen = Seen::default();
    }

    fn in_object(&self) -> bool {
        (1..=MAX_LEVELS).contains(&self.depth) && self.objects & 1 == 1
    }

    /// One byte outside strings. True when an event has ended with it.
    fn structure(&mut self, byte: u8) -> bool {
        match byte {
            b'"' => {
                self.keep(b"\"");
                self.begin_string();
            }
            b'{' | b'[' => {
                self.keep(&[byte]);
                self.open(byte == b'{');
            }
            b'}' | b']' => {
                self.end_capture();
                let ended = self.depth == self.base && self.in_object();
                self.close();
                self.keep(&[byte]);
                return ended;
            }
            b',' => {
                self.end_capture();
                self.keep(b",");
                self.expect_key = self.in_object();
            }
            b':' => {
                self.keep(b":");
                self.begin_value();
            }
            _ => self.keep(&[byte]),
        }
        false
    }

    fn open(&mut self, object: bool) {
        if self.depth == 0 {
            self.base = if self.layout == Layout::ArrayOfObjects && !object { 2 } else { 1 };
        }
        self.depth = self.depth.saturating_add(1);
        if self.depth <= MAX_LEVELS {
            self.objects = (self.objects << 1) | u128::from(object);
        }
        self.expect_key = self.in_object();
    }

    fn close(&mut self) {
        if self.depth <= MAX_LEVELS {
            self.objects >>= 1;
        }
        self.depth = self.depth.saturating_sub(1);
        self.closed = self.depth == 0;
        self.expect_key = false;
    }

    fn begin_string(&mut self) {
        if std::mem::take(&mut self.expect_key) {
            self.key.clear();
            self.string = InString::Key;
            return;
        }
        let direct = self.in_object();
        if direct {
            let reason = self.last == Key::FinishReason
                && self.top.holds_answer()
                && self.depth == self.base.saturating_add(2);
            let block = self.last == Key::BlockReason
                && self.top == Key::PromptFeedback
                && self.depth == self.base.saturating_add(1);
            self.seen.finished |= reason || block;
        }
        let counts = if self.depth == self.base {
            self.last == Key::Delta
        } else {
            (self.top.holds_answer() || self.top == Key::Delta) && self.last.is_text()
        };
        self.string = InString::Value { counts };
    }

    /// A run of plain bytes, or one byte of an escape, or the quote that ends the string.
    fn in_string(&mut self, bytes: &[u8]) {
        self.keep(bytes);
        let counted = match (self.escape, bytes) {
            (0, b"\"") => return self.end_string(),
            (0, b"\\") => {
                self.escape = 1;
                0
            }
            (0, run) => run.len() as u64,
            (1, b"u") => {
                self.escape = 5;
                // most such escapes are letters of three bytes
                3
            }
            (1, _) => {
                self.escape = 0;
                1
            }
            (2, _) => {
                self.escape = 0;
                0
            }
            _ => {
                self.escape -= 1;
                0
            }
        };
        match self.string {
            InString::Key => {
                let room = (KEY_BYTES + 1).saturating_sub(self.key.len());
                self.key.extend_from_slice(&bytes[..room.min(bytes.len())]);
            }
            InString::Value { counts: true } => {
                self.seen.text_bytes = self.seen.text_bytes.saturating_add(counted);
            }
            InString::Value { counts: false } | InString::No => {}
        }
    }

    fn end_string(&mut self) {
        if self.string == InString::Key {
            self.last = Key::of(&self.key);
            if self.depth == self.base {
                self.top = self.last;
            }
        }
        self.string = InString::No;
    }

    /// After a key's colon: a member that is asked for is copied from here.
    fn begin_value(&mut self) {
        if self.capture.is_some() || !self.in_object() {
            return;
        }
        let slot = if self.depth == self.base {
            match self.last {
                Key::Type => Slot::Kind,
                Key::Model => Slot::Model,
                Key::Usage => Slot::Usage(Holder::Top),
                Key::UsageMetadata => Slot::UsageMetadata,
                _ => return,
            }
        } else if self.depth == self.base.saturating_add(1) {
            let holder = match self.top {
                Key::Response => Holder::Response,
                Key::Message => Holder::Message,
                _ => return,
            };
            match self.last {
                Key::Model => Slot::Model,
                Key::Usage => Slot::Usage(holder),
                _ => return,
            }
        } else {
            return;
        };
        if let Slot::Usage(holder) = slot {
            self.usage_holder = holder;
        }
        let twice = {
            let capture = self.slot(slot);
            let twice = capture.filled;
            capture.clear();
            twice
        };
        self.seen.odd |= twice && matches!(slot, Slot::Usage(_) | Slot::UsageMetadata);
        self.capture = Some((slot, self.depth));
    }

    fn end_capture(&mut self) {
        if let Some((slot, depth)) = self.capture
            && depth == self.depth
        {
            self.slot(slot).filled = true;
            self.capture = None;
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Some((slot, _)) = self.capture {
            let limit = match slot {
                Slot::Kind | Slot::Model => MAX_NAME_BYTES,
                Slot::Usage(_) | Slot::UsageMetadata => MAX_USAGE_BYTES,
            };
            let capture = self.slot(slot);
            if capture.bytes.len() + bytes.len() > limit {
                capture.overflow = true;
            } else if !capture.overflow {
                capture.bytes.extend_from_slice(bytes);
            }
        }
    }

    fn slot(&mut self, slot: Slot) -> &mut Capture {
        match slot {
            Slot::Kind => &mut self.kind,
            Slot::Model => &mut self.model,
            Slot::Usage(_) => &mut self.usage,
            Slot::UsageMetadata => &mut self.usage_metadata,
        }
    }
}
