//! Puts the model's name that the caller asked for into the answer, where the upstream wrote the name it goes by.
//! Every other byte passes as it came, at once: nothing is held back. It changes the one member that the API defines
//! and knows neither aliases nor why the name differs.

use bytes::Bytes;

use super::json::plain_run;
use super::{Dialect, Endpoint};

/// The longest key that is looked at, in bytes: one more than the longest that is looked for.
const KEY_BYTES: usize = 13;

/// Below this depth keys are not followed; the member stands at depth 2 at most, in an array of objects at 2.
const LEVELS: usize = 3;

/// The filter for one answer.
#[derive(Debug)]
pub struct Rename {
    /// The new value, a JSON string with its quotes.
    value: Vec<u8>,
    /// The member's name, and of the object it stands in: `None` is the answer itself.
    holder: Option<&'static [u8]>,
    key: &'static [u8],
    lines: Option<Lines>,
    /// The last byte was a carriage return that ended a line.
    after_cr: bool,
    json: Json,
}

/// Where in a stream of events the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lines {
    /// At its beginning.
    #[default]
    Start,
    /// So many bytes of `data:` have come.
    Name(usize),
    Data,
    /// A line of something else.
    Other,
}

#[derive(Debug, Default)]
struct Json {
    depth: usize,
    /// For each followed level: an object?
    objects: [bool; LEVELS],
    /// The key of the member that each followed level is in.
    keys: [Vec<u8>; LEVELS],
    string: Str,
    escaped: bool,
    /// In an object, the next string is a key.
    expect_key: bool,
    /// The colon of the member that is looked for has come, its value has not.
    armed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Str {
    #[default]
    No,
    Key,
    Value,
    /// The value that is replaced: its bytes are dropped.
    Dropped,
}

impl Rename {
    /// A filter that writes `model` into an answer of this call; `events`: the body is a stream of server-sent events.
    pub fn new(dialect: Dialect, endpoint: Endpoint, events: bool, model: &str) -> Self {
        let (holder, key): (Option<&'static [u8]>, &'static [u8]) = match (dialect, endpoint, events) {
            (Dialect::Gemini, _, _) => (None, b"modelVersion"),
            // a stream's `message_start` and `response.created` carry the whole object one level down
            (Dialect::Anthropic, Endpoint::Messages, true) => (Some(b"message"), b"model"),
            (Dialect::OpenAi, Endpoint::Responses, true) => (Some(b"response"), b"model"),
            (Dialect::OpenAi | Dialect::Anthropic, _, _) => (None, b"model"),
        };
        Self {
            value: serde_json::Value::from(model).to_string().into_bytes(),
            holder,
            key,
            lines: events.then_some(Lines::Start),
            after_cr: false,
            json: Json::default(),
        }
    }

    /// Takes the next bytes and returns those to pass on, the same buffer where nothing has to change.
    pub fn feed(&mut self, chunk: Bytes) -> Bytes {
        let mut out = Output { chunk: &chunk, built: None, from: 0 };
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            if self.in_data() && self.json.string != Str::No && !self.json.escaped {
                let run = plain_run(&chunk[at..]);
                if run > 0 {
                    self.run(&chunk[at..at + run], at, &mut out);
                    at += run;
                    continue;
                }
            }
            if self.takes(byte) {
                self.byte(byte, at, &mut out);
            }
            at += 1;
        }
        match out.finish() {
            Some(built) => built.into(),
            None => chunk,
        }
    }

    fn in_data(&self) -> bool {
        matches!(self.lines, None | Some(Lines::Data))
    }

    /// Follows the lines. True if the byte belongs to the JSON.
    fn takes(&mut self, byte: u8) -> bool {
        const DATA: &[u8] = b"data:";
        let Some(lines) = &mut self.lines else { return true };
        if matches!(byte, b'\n' | b'\r') {
            // an empty line ends an event; the line feed after a carriage return is none
            let crlf = std::mem::replace(&mut self.after_cr, byte == b'\r') && byte == b'\n';
            if !crlf && std::mem::take(lines) == Lines::Start {
                self.json = Json::default();
            }
            return false;
        }
        self.after_cr = false;
        let so_far = match *lines {
            Lines::Data => return true,
            Lines::Other => return false,
            Lines::Start => 0,
            Lines::Name(so_far) => so_far,
        };
        *lines = match DATA.get(so_far) {
            Some(wanted) if *wanted == byte && so_far + 1 == DATA.len() => Lines::Data,
            Some(wanted) if *wanted == byte => Lines::Name(so_far + 1),
            _ => Lines::Other,
        };
        false
    }

    /// Plain bytes inside a string.
    fn run(&mut self, bytes: &[u8], at: usize, out: &mut Output<'_>) {
        match self.json.string {
            Str::Key => self.json.key_bytes(bytes),
            Str::Dropped => out.replace(at, at + bytes.len(), &[]),
            Str::No | Str::Value => {}
        }
    }

    fn byte(&mut self, byte: u8, at: usize, out: &mut Output<'_>) {
        let json = &mut self.json;
        if json.string == Str::No {
            let is_string = byte == b'"';
            let replaces = json.armed && is_string;
            if !byte.is_ascii_whitespace() {
                json.armed = false;
            }
            if replaces {
                json.string = Str::Dropped;
                out.replace(at, at + 1, &self.value);
                return;
            }
            let colon = byte == b':';
            json.structure(byte);
            if colon {
                self.json.armed = self.is_wanted();
            }
            return;
        }
        let dropped = json.string == Str::Dropped;
        if json.escaped {
            json.escaped = false;
            if json.string == Str::Key {
                json.key_bytes(&[byte]);
            }
        } else {
            match byte {
                b'\\' => {
                    json.escaped = true;
                    // a key with an escape in it is none that any server writes: it stays unlike the wanted one
                    json.key_bytes_if_key(&[byte]);
                }
                b'"' => json.string = Str::No,
                _ => json.key_bytes_if_key(&[byte]),
            }
        }
        if dropped {
            out.replace(at, at + 1, &[]);
        }
    }

    /// Is the member whose colon has just come the one that is looked for?
    fn is_wanted(&self) -> bool {
        let json = &self.json;
        // an answer may be an array of objects (Gemini's stream without `alt=sse`)
        let base = usize::from(!json.objects[0]);
        let key = |level: usize| json.keys.get(level).map(Vec::as_slice);
        let object = |level: usize| json.objects.get(level).copied().unwrap_or(false);
        match self.holder {
            None => json.depth == base + 1 && object(base) && key(base) == Some(self.key),
            Some(holder) => {
                json.depth == 2
                    && object(0)
                    && object(1)
                    && key(0) == Some(holder)
                    && key(1) == Some(self.key)
            }
        }
    }
}

impl Json {
    fn structure(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.string = if self.expect_key { Str::Key } else { Str::Value };
                if std::mem::take(&mut self.expect_key)
                    && let Some(key) = self.depth.checked_sub(1).and_then(|level| self.keys.get_mut(level))
                {
                    key.clear();
                }
            }
            b'{' | b'[' => {
                if let Some(object) = self.objects.get_mut(self.depth) {
                    *object = byte == b'{';
                }
                if let Some(key) = self.keys.get_mut(self.depth) {
                    key.clear();
                }
                self.depth = self.depth.saturating_add(1);
                self.expect_key = byte == b'{' && self.depth <= LEVELS;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.expect_key = false;
            }
            b',' => {
                let level = self.depth.checked_sub(1);
                self.expect_key =
                    level.and_then(|level| self.objects.get(level)).is_some_and(|object| *object);
            }
            _ => {}
        }
    }

    fn key_bytes(&mut self, bytes: &[u8]) {
        if let Some(key) = self.depth.checked_sub(1).and_then(|level| self.keys.get_mut(level)) {
            let room = KEY_BYTES.saturating_sub(key.len());
            key.extend_from_slice(&bytes[..room.min(bytes.len())]);
        }
    }

    fn key_bytes_if_key(&mut self, bytes: &[u8]) {
        if self.string == Str::Key {
            self.key_bytes(bytes);
        }
    }
}

/// What passes of one chunk: a copy only from the first change on.
struct Output<'a> {
    chunk: &'a [u8],
    built: Option<Vec<u8>>,
    /// Up to here the chunk is copied or dropped.
    from: usize,
}

impl Output<'_> {
    /// The bytes from `at` to `end` do not pass; `instead` does.
    fn replace(&mut self, at: usize, end: usize, instead: &[u8]) {
        let built = self.built.get_or_insert_with(Vec::new);
        built.extend_from_slice(&self.chunk[self.from..at]);
        built.extend_from_slice(instead);
        self.from = end;
    }

    fn finish(self) -> Option<Vec<u8>> {
        let mut built = self.built?;
        built.extend_from_slice(&self.chunk[self.from..]);
        Some(built)
    }
}

#[cfg(test)]
mod tests;
