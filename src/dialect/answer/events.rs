//! The line and event rules of server-sent events (WHATWG HTML §9.2.6), pushed in any split: LF, CR and CRLF, comments,
//! several `data` lines, a byte order mark. It hands on the data's bytes as they come.
//! Where the gateway asked for usage and the caller did not, it takes out the one event that carries it: the chunk with
//! usage and no choices. Then an event that has come in full passes at once, and of one that has not, at most
//! [`MAX_HELD_BYTES`] are held back; what is longer cannot be that event.

use bytes::Bytes;
use memchr::memchr2;
use serde_json::Value;

use super::passing::Passing;
use super::probe::Probe;

/// The longest field name that matters, after a byte order mark.
const NAME_BYTES: usize = 7;
const BOM: &[u8] = &[0xEF, 0xBB, 0xBF];
const DATA_FIELD: &[u8] = b"data:";
/// The usage chunk is below 1 KiB.
const MAX_HELD_BYTES: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(super) struct EventStream {
    place: Place,
    /// The beginning of the line, while its field is not known.
    name: Vec<u8>,
    /// A carriage return was the last byte: a line feed now belongs to it.
    after_cr: bool,
    event: Stage,
    first_line_done: bool,
    filter: Filter,
    /// The running event's beginning, held back.
    held: Vec<u8>,
    /// An event was just dropped at its carriage return; the line feed goes with it.
    dropped: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// At the beginning of a line or in its field name.
    #[default]
    Name,
    /// Right after `data:`, where one blank is dropped.
    DataStart,
    Data,
    /// In a line that carries no data.
    Skip,
}

/// How much of an event has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Nothing,
    /// Bytes that no blank line has ended yet.
    Begun,
    /// Data among them.
    Data,
}

/// Whether the usage chunk is taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Filter {
    #[default]
    Off,
    On,
    /// Yes, but the running event is too long to be held: it passes.
    TooLong,
}

impl EventStream {
    /// Takes out the usage chunk from here on.
    pub(super) fn drop_usage_chunk(&mut self) {
        self.filter = Filter::On;
    }

    /// Takes the next bytes and returns those to pass on.
    pub(super) fn feed(&mut self, chunk: &Bytes, probe: &mut Probe) -> Bytes {
        let mut out = Passing::new(chunk.clone(), std::mem::take(&mut self.held));
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            if byte == b'\n' || byte == b'\r' {
                at += 1;
                self.line_end(byte, at, probe, &mut out);
                continue;
            }
            (self.after_cr, self.dropped) = (false, false);
            if self.event == Stage::Nothing {
                self.event = Stage::Begun;
            }
            at = match self.place {
                Place::Name => at + self.field_name(&chunk[at..], probe, &mut out),
                Place::DataStart => {
                    self.place = Place::Data;
                    at + usize::from(byte == b' ')
                }
                Place::Data | Place::Skip => {
                    let end = memchr2(b'\n', b'\r', &chunk[at..]).map_or(chunk.len(), |length| at + length);
                    if self.place == Place::Data {
                        probe.feed(&chunk[at..end], at, &mut out);
                    }
                    end
                }
            };
        }
        if self.filter == Filter::On && out.event_len(at) > MAX_HELD_BYTES {
            self.filter = Filter::TooLong;
        }
        if self.filter != Filter::On {
            return out.finish();
        }
        let (passes, held) = out.split();
        self.held = held;
        passes
    }

    pub(super) fn between_events(&self) -> bool {
        self.event == Stage::Nothing
    }

    /// What is still held when the stream ends.
    pub(super) fn rest(&mut self) -> Bytes {
        let held = std::mem::take(&mut self.held);
        if is_usage_chunk(&held) { Bytes::new() } else { held.into() }
    }

    /// Takes bytes at a line's beginning and returns how many.
    fn field_name(&mut self, rest: &[u8], probe: &mut Probe, out: &mut Passing) -> usize {
        if self.name.is_empty() && rest.starts_with(DATA_FIELD) {
            self.begin_data(probe, out);
            return DATA_FIELD.len();
        }
        if rest[0] == b':' && self.field() == b"data" {
            self.begin_data(probe, out);
        } else if rest[0] == b':' || self.name.len() == NAME_BYTES {
            self.place = Place::Skip;
        } else {
            self.name.push(rest[0]);
        }
        1
    }

    fn field(&self) -> &[u8] {
        match self.name.strip_prefix(BOM) {
            Some(field) if !self.first_line_done => field,
            _ => &self.name,
        }
    }

    fn begin_data(&mut self, probe: &mut Probe, out: &mut Passing) {
        self.place = Place::DataStart;
        if self.event == Stage::Data {
            probe.line_break(out);
        }
        self.event = Stage::Data;
    }

    /// A line end, whose last byte stands before `end`.
    fn line_end(&mut self, byte: u8, end: usize, probe: &mut Probe, out: &mut Passing) {
        if std::mem::replace(&mut self.after_cr, byte == b'\r') && byte == b'\n' {
            // it belongs to the line end already seen; right after an event it goes the event's way
            if std::mem::take(&mut self.dropped) {
                out.replace(end - 1..end, &[]);
            }
            if self.event == Stage::Nothing {
                out.begin_event(end);
            }
            return;
        }
        let blank = self.place == Place::Name && self.field().is_empty();
        if self.place == Place::Name && self.field() == b"data" {
            // a field without a colon has an empty value
            self.begin_data(probe, out);
        }
        self.place = Place::Name;
        self.name.clear();
        self.first_line_done = true;
        if blank {
            self.end_event(end, probe, out);
        }
    }

    fn end_event(&mut self, end: usize, probe: &mut Probe, out: &mut Passing) {
        let may_drop = self.filter == Filter::On && out.event_len(end) <= MAX_HELD_BYTES;
        if self.filter == Filter::TooLong {
            self.filter = Filter::On;
        }
        self.dropped = false;
        if std::mem::take(&mut self.event) == Stage::Data {
            // parsed in full only where the one pass has seen what makes it likely
            self.dropped = may_drop && probe.has_usage() && is_usage_chunk(&out.event(end));
            probe.end_event();
        }
        if self.dropped {
            out.drop_event(end);
        }
        out.begin_event(end);
    }
}

/// Whether an event is the usage chunk: no choices, and a usage object.
fn is_usage_chunk(event: &[u8]) -> bool {
    let data = event
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .filter_map(|line| line.strip_prefix(DATA_FIELD))
        .collect::<Vec<_>>()
        .join(&b'\n');
    let Ok(chunk) = serde_json::from_slice::<Value>(&data) else { return false };
    chunk.get("choices").and_then(Value::as_array).is_some_and(Vec::is_empty)
        && chunk.get("usage").is_some_and(Value::is_object)
}
