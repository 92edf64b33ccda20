//! An answer on its way to the caller, read in one pass: fed chunk by chunk, split anywhere, in memory that does not
//! grow with the answer. It reads what the answer used, only from the member where the API itself reports usage, never
//! from a text that looks like it; takes out the usage chunk that only the gateway asked for; and writes the model's
//! name that the caller asked for. All other bytes pass as they came, uncopied while nothing changes.
//! It knows no prices and no aliases.

use bytes::Bytes;

use super::{Dialect, Endpoint};
use events::EventStream;
use passing::Passing;
use probe::{Layout, Probe};

mod events;
mod member;
mod passing;
mod probe;
#[cfg(test)]
mod tests;
mod usage;

/// What an answer reported. Counts are in tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The whole input, cached parts included (Anthropic reports them apart; here they are added).
    pub input_tokens: Option<u64>,
    /// The whole output, reasoning included.
    pub output_tokens: Option<u64>,
    /// The part of the input that was read from a cache.
    pub cached_tokens: Option<u64>,
    /// The part of the output that is reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Whether the answer came to its end: the protocol's final event, or the whole JSON value. Bodies without
    /// structure (speech) always say true; there only the transport knows.
    pub complete: bool,
    /// Something in the usage could not be true (negative, fractional, huge, of a wrong type, or given twice) and was
    /// clamped or left out.
    pub suspect: bool,
    /// Bytes of generated text that passed, for an estimate when no usage came. Escapes are undone roughly.
    pub output_bytes_seen: u64,
}

/// Reads one answer.
#[derive(Debug)]
pub struct AnswerReader {
    format: Format,
    probe: Probe,
}

#[derive(Debug)]
enum Format {
    /// `text/event-stream`.
    Sse(EventStream),
    /// One JSON object, or Gemini's array of them.
    Json,
    /// Audio and other bytes.
    Opaque,
}

impl AnswerReader {
    /// A reader for one answer. `content_type` is the response header's value, without which `stream` decides. The body
    /// must come as it is, without a content encoding.
    pub fn new(dialect: Dialect, endpoint: Endpoint, content_type: Option<&str>, stream: bool) -> Self {
        let media =
            content_type.map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        let format = match media.as_deref() {
            Some("text/event-stream") => Format::Sse(EventStream::default()),
            Some(media) if media == "application/json" || media.ends_with("+json") => Format::Json,
            Some(_) => Format::Opaque,
            None if stream && endpoint != Endpoint::AudioSpeech => Format::Sse(EventStream::default()),
            None => Format::Json,
        };
        let layout = match format {
            Format::Sse(_) => Layout::Events,
            Format::Json | Format::Opaque if endpoint == Endpoint::StreamGenerateContent => {
                Layout::ArrayOfObjects
            }
            Format::Json | Format::Opaque => Layout::Object,
        };
        Self { format, probe: Probe::new(layout, dialect, endpoint) }
    }

    /// Takes out of a chat stream the one event that the gateway asked for and the caller did not: the extra chunk with
    /// usage and no choices.
    pub fn drop_usage_chunk(&mut self) {
        if let Format::Sse(events) = &mut self.format {
            events.drop_usage_chunk();
        }
    }

    /// Writes `model` into the one member where the API defines that the answer names its model.
    pub fn rename(&mut self, model: &str) {
        self.probe.rename(model);
    }

    /// Takes the next bytes of the body and returns those to pass on: the same buffer where nothing has to change.
    pub fn feed(&mut self, chunk: Bytes) -> Bytes {
        match &mut self.format {
            Format::Sse(events) => events.feed(&chunk, &mut self.probe),
            Format::Json => {
                let mut out = Passing::new(chunk.clone(), Vec::new());
                self.probe.feed(&chunk, 0, &mut out);
                out.finish()
            }
            Format::Opaque => chunk,
        }
    }

    /// What is still held back when the answer ends.
    pub fn rest(&mut self) -> Bytes {
        match &mut self.format {
            Format::Sse(events) => events.rest(),
            Format::Json | Format::Opaque => Bytes::new(),
        }
    }

    /// Whether an event of our own can be put after what has passed without tearing another.
    pub fn between_events(&self) -> bool {
        match &self.format {
            Format::Sse(events) => events.between_events(),
            Format::Json | Format::Opaque => false,
        }
    }

    /// What the answer used, at its end or wherever it broke off.
    pub fn finish(self) -> Usage {
        match self.format {
            Format::Sse(_) | Format::Json => self.probe.finish().into_usage(),
            Format::Opaque => Usage { complete: true, ..Usage::default() },
        }
    }

    /// The bytes that are kept of what has passed.
    #[cfg(test)]
    fn kept_bytes(&self) -> usize {
        self.probe.kept_bytes()
    }
}
