//! A push reader of JSON that keeps almost nothing: it follows strings, brackets and keys, copies only the few small
//! members that an answer's usage and type stand in, and replaces the one that names the model. Memory is bounded
//! whatever passes.
//! It does not check grammar (answers are passed on as they are) and does not know what the members mean.

use super::member::{Capture, Key, Members};
use super::passing::Passing;
use super::usage::UsageTally;
use crate::dialect::json::plain_run;
use crate::dialect::{Dialect, Endpoint};

/// Usage objects are below 1 KiB; details of many modalities fit well.
const MAX_USAGE_BYTES: usize = 16 * 1024;
/// Room for an event type's name with quotes.
const MAX_NAME_BYTES: usize = 320;
/// The longest key that is looked at.
const KEY_BYTES: usize = 20;
/// Enough to tell `[DONE]` from what only begins like it.
const HEAD_BYTES: usize = 8;
/// Below this depth keys are followed; nothing that is read stands deeper. One bit a level.
const MAX_LEVELS: u32 = 128;

/// What the bytes are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// The data of server-sent events, whose ends the caller tells.
    Events,
    /// One object.
    Object,
    /// An array of objects, each an event.
    ArrayOfObjects,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Kind,
    Usage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum InString {
    #[default]
    No,
    Key,
    Value {
        counts: bool,
    },
    /// The model's name: another stands in its place.
    Replaced,
}

/// What the next string is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Value,
    Key,
    /// The model's name, whose colon has come.
    Model,
}

#[derive(Debug)]
pub(super) struct Probe {
    layout: Layout,
    usage_key: Key,
    model_key: Key,
    /// The object one level down that carries the model and the usage too.
    holder: Option<Key>,
    /// The model's name to write, a JSON string with its quotes.
    model: Option<Vec<u8>>,
    /// The depth at which an event's members stand.
    base: u32,
    depth: u32,
    /// The lowest bit tells whether the innermost container is an object.
    objects: u128,
    root_is_array: bool,
    closed: bool,
    string: InString,
    /// 1 after a backslash; 2 to 5 while hexadecimal digits follow.
    escape: u8,
    expect: Expect,
    key: Vec<u8>,
    last: Key,
    top: Key,
    capture: Option<(Slot, u32)>,
    members: Members,
    tally: UsageTally,
}

impl Probe {
    pub(super) fn new(layout: Layout, dialect: Dialect, endpoint: Endpoint) -> Self {
        let gemini = dialect == Dialect::Gemini;
        Self {
            layout,
            usage_key: if gemini { Key::UsageMetadata } else { Key::Usage },
            model_key: if gemini { Key::ModelVersion } else { Key::Model },
            // a stream's `message_start` and `response.created` carry the whole object one level down
            holder: match (dialect, endpoint) {
                (Dialect::Anthropic, _) => Some(Key::Message),
                (Dialect::OpenAi, Endpoint::Responses) => Some(Key::Response),
                (Dialect::OpenAi | Dialect::Gemini, _) => None,
            },
            model: None,
            base: 1,
            depth: 0,
            objects: 0,
            root_is_array: false,
            closed: false,
            string: InString::No,
            escape: 0,
            expect: Expect::Value,
            key: Vec::new(),
            last: Key::Other,
            top: Key::Other,
            capture: None,
            members: Members::default(),
            tally: UsageTally::new(dialect),
        }
    }

    /// Writes this name where the answer names its model.
    pub(super) fn rename(&mut self, model: &str) {
        self.model = Some(serde_json::Value::from(model).to_string().into_bytes());
    }

    /// Takes bytes that stand at `at` in the chunk that passes.
    pub(super) fn feed(&mut self, bytes: &[u8], at: usize, out: &mut Passing) {
        let room = HEAD_BYTES.saturating_sub(self.members.head.len());
        self.members.head.extend_from_slice(&bytes[..room.min(bytes.len())]);
        let mut from = 0;
        while let Some(&byte) = bytes.get(from) {
            if self.closed {
                return;
            }
            let rest = &bytes[from..];
            let run = if self.string == InString::No {
                self.structure(byte, at + from, out);
                1
            } else {
                let run = if self.escape == 0 { plain_run(rest).max(1) } else { 1 };
                if self.string == InString::Replaced {
                    out.replace(at + from..at + from + run, &[]);
                }
                self.in_string(&rest[..run]);
                run
            };
            from += run;
        }
    }

    /// The line feed between two lines of one event's data: it belongs to the JSON and stands nowhere in the chunk.
    pub(super) fn line_break(&mut self, out: &mut Passing) {
        if self.string != InString::Replaced {
            self.feed(b"\n", 0, out);
        }
    }

    /// The event's data is complete; the buffers stay for the next.
    pub(super) fn end_event(&mut self) {
        self.tally.event(&self.members);
        self.members.clear();
        self.key.clear();
        (self.depth, self.objects, self.closed, self.base) = (0, 0, false, 1);
        (self.string, self.escape, self.expect) = (InString::No, 0, Expect::Value);
        (self.last, self.top, self.capture) = (Key::Other, Key::Other, None);
    }

    /// Whether the running event has reported usage.
    pub(super) fn has_usage(&self) -> bool {
        self.members.usage.get().is_some_and(|usage| usage.starts_with(b"{"))
    }

    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        let Members { head, kind, usage, .. } = &self.members;
        [head, &kind.bytes, &usage.bytes, &self.key].map(Vec::capacity).iter().sum()
    }

    /// The bytes have ended, or broken off. The last event may lack the blank line that ends it: what is whole counts.
    pub(super) fn finish(mut self) -> UsageTally {
        match (self.layout, self.closed) {
            (Layout::Events, true) => self.tally.event(&self.members),
            (Layout::Events, false) => {}
            (Layout::Object | Layout::ArrayOfObjects, true) => self.tally.complete(),
            (Layout::Object | Layout::ArrayOfObjects, false) => self.tally.torn(&self.members),
        }
        self.tally
    }

    fn in_object(&self) -> bool {
        (1..=MAX_LEVELS).contains(&self.depth) && self.objects & 1 == 1
    }

    /// One byte outside strings.
    fn structure(&mut self, byte: u8, at: usize, out: &mut Passing) {
        let is_model = self.expect == Expect::Model && byte == b'"';
        if self.expect == Expect::Model && !byte.is_ascii_whitespace() {
            self.expect = Expect::Value;
        }
        if matches!(byte, b'}' | b']' | b',') {
            self.end_capture();
        }
        let ends_event = byte == b'}' && self.depth == self.base && self.in_object();
        self.keep(&[byte]);
        match byte {
            b'"' => self.begin_string(),
            b'{' | b'[' => self.open(byte == b'{'),
            b'}' | b']' => self.close(),
            b',' => self.expect_key(),
            b':' => self.begin_value(),
            _ => {}
        }
        if let Some(model) = self.model.as_ref().filter(|_| is_model) {
            out.replace(at..at + 1, model);
            self.string = InString::Replaced;
        }
        // the elements of an array are events of their own; an object is read when all of it is there
        if ends_event && self.layout != Layout::Events {
            self.tally.event(&self.members);
            self.members.clear();
        }
    }

    fn open(&mut self, object: bool) {
        if self.depth == 0 {
            self.root_is_array = !object;
            self.base = if self.layout == Layout::ArrayOfObjects && !object { 2 } else { 1 };
        }
        self.depth = self.depth.saturating_add(1);
        if self.depth <= MAX_LEVELS {
            self.objects = (self.objects << 1) | u128::from(object);
        }
        self.expect_key();
    }

    fn expect_key(&mut self) {
        self.expect = if self.in_object() { Expect::Key } else { Expect::Value };
    }

    fn close(&mut self) {
        if self.depth <= MAX_LEVELS {
            self.objects >>= 1;
        }
        self.depth = self.depth.saturating_sub(1);
        self.closed = self.depth == 0;
        self.expect = Expect::Value;
    }

    fn begin_string(&mut self) {
        if std::mem::replace(&mut self.expect, Expect::Value) == Expect::Key {
            self.key.clear();
            self.string = InString::Key;
            return;
        }
        let below = self.depth.saturating_sub(self.base);
        if self.in_object() {
            let reason = self.last == Key::FinishReason && self.top.holds_answer() && below == 2;
            let block = self.last == Key::BlockReason && self.top == Key::PromptFeedback && below == 1;
            self.members.finished |= reason || block;
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
                self.members.text_bytes = self.members.text_bytes.saturating_add(counted);
            }
            InString::Value { counts: false } | InString::Replaced | InString::No => {}
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

    /// After a key's colon: a member that is asked for is copied from here, the model's name replaced.
    fn begin_value(&mut self) {
        if !self.in_object() {
            return;
        }
        let in_holder = self.depth == 2 && self.holder == Some(self.top);
        if self.model.is_some() && self.last == self.model_key && self.names_the_model(in_holder) {
            self.expect = Expect::Model;
        }
        if self.capture.is_some() {
            return;
        }
        let at_top = self.depth == self.base;
        let slot = match self.last {
            Key::Type if at_top => Slot::Kind,
            key if key == self.usage_key && (at_top || in_holder) => Slot::Usage,
            _ => return,
        };
        let capture = self.slot(slot);
        let twice = capture.filled;
        capture.clear();
        self.members.usage_twice |= twice && slot == Slot::Usage;
        self.capture = Some((slot, self.depth));
    }

    /// An answer that carries its object one level down does so in streams only. Any may be an array of objects.
    fn names_the_model(&self, in_holder: bool) -> bool {
        if self.layout == Layout::Events && self.holder.is_some() {
            return in_holder && !self.root_is_array;
        }
        self.depth == 1 + u32::from(self.root_is_array)
    }

    fn end_capture(&mut self) {
        if let Some((slot, _)) = self.capture.take_if(|(_, depth)| *depth == self.depth) {
            self.slot(slot).filled = true;
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        match self.capture {
            Some((Slot::Kind, _)) => self.members.kind.keep(bytes, MAX_NAME_BYTES),
            Some((Slot::Usage, _)) => self.members.usage.keep(bytes, MAX_USAGE_BYTES),
            None => {}
        }
    }

    fn slot(&mut self, slot: Slot) -> &mut Capture {
        match slot {
            Slot::Kind => &mut self.members.kind,
            Slot::Usage => &mut self.members.usage,
        }
    }
}
