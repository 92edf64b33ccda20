//! What an answer used, read while its bytes pass: fed chunk by chunk, split anywhere, in memory that does not grow with
//! the answer. Only the member where the API itself reports usage counts, never a text that looks like one.
//! It changes no byte and holds none back (taking out the extra usage event is `filter`'s part); it knows no prices.

use probe::{Event, Layout, Probe};
use sse::{Piece, Sse};
use tally::Tally;

use super::{Dialect, Endpoint};

mod filter;
mod member;
mod probe;
mod sse;
mod tally;
#[cfg(test)]
mod tests;

pub use filter::UsageChunkFilter;

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
    /// The model that the upstream says it used.
    pub response_model: Option<String>,
}

/// Reads the usage of one answer.
#[derive(Debug)]
pub struct Meter {
    format: Format,
    probe: Probe,
    tally: Tally,
}

#[derive(Debug)]
enum Format {
    /// `text/event-stream`.
    Sse(Sse),
    /// One JSON object, or Gemini's array of them.
    Json,
    /// Audio and other bytes.
    Opaque,
}

impl Meter {
    /// A meter for one answer. `content_type` is the response header's value, without which `stream` decides. The body
    /// must come as it is, without a content encoding.
    pub fn new(dialect: Dialect, endpoint: Endpoint, content_type: Option<&str>, stream: bool) -> Self {
        let media =
            content_type.map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        let format = match media.as_deref() {
            Some("text/event-stream") => Format::Sse(Sse::default()),
            Some(media) if media == "application/json" || media.ends_with("+json") => Format::Json,
            Some(_) => Format::Opaque,
            None if stream && endpoint != Endpoint::AudioSpeech => Format::Sse(Sse::default()),
            None => Format::Json,
        };
        let in_array = matches!(format, Format::Json) && endpoint == Endpoint::StreamGenerateContent;
        let layout = if in_array { Layout::ArrayOfObjects } else { Layout::Object };
        Self { format, probe: Probe::new(layout), tally: Tally::new(dialect, endpoint) }
    }

    /// Takes the next bytes of the body.
    pub fn feed(&mut self, chunk: &[u8]) {
        let Self { format, probe, tally } = self;
        match format {
            Format::Sse(sse) => sse.feed(chunk, |piece| match piece {
                Piece::Data(bytes) => probe.feed(bytes, |_| {}),
                Piece::End => {
                    tally.event(&probe.event());
                    probe.reset();
                }
            }),
            // the elements of an array are events of their own; an object is read when all of it is there
            Format::Json => probe.feed(chunk, |event| tally.event(event)),
            Format::Opaque => {}
        }
    }

    /// Whether an event of our own can be put after what has passed without tearing another.
    pub fn between_events(&self) -> bool {
        match &self.format {
            Format::Sse(sse) => sse.between_events(),
            Format::Json | Format::Opaque => false,
        }
    }

    /// The bytes that are kept of what has passed.
    #[cfg(test)]
    fn kept_bytes(&self) -> usize {
        self.probe.kept_bytes()
    }

    /// What the answer used, at its end or wherever it broke off.
    pub fn finish(mut self) -> Usage {
        match &self.format {
            // the last event may lack the blank line that ends it; what is whole counts
            Format::Sse(_) => {
                let last: Event<'_> = self.probe.event();
                if last.whole {
                    self.tally.event(&last);
                }
            }
            Format::Json => {
                if self.probe.closed() {
                    self.tally.complete();
                } else {
                    self.tally.torn(&self.probe.event());
                }
            }
            Format::Opaque => self.tally.complete(),
        }
        self.tally.into_usage()
    }
}
