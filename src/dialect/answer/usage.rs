//! What the usage members of each API mean, and when an answer of each API is complete.
//! It sees the members that `probe` has cut out, never the text of an answer.

use serde_json::{Map, Value};

use super::Usage;
use super::member::Members;
use crate::dialect::Dialect;

/// A thousand times today's largest contexts; sums of counts below it stay far inside 64 bits.
const MAX_TOKENS: u64 = 1_000_000_000;

#[derive(Debug)]
pub(super) struct UsageTally {
    dialect: Dialect,
    usage: Usage,
    /// Anthropic's input in its parts: fresh, written to the cache, read from it.
    input_parts: [Option<u64>; 3],
    /// `[DONE]` was seen: nothing after it counts.
    done: bool,
}

impl UsageTally {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, usage: Usage::default(), input_parts: [None; 3], done: false }
    }

    /// A whole event, or a whole JSON body.
    pub(super) fn event(&mut self, event: &Members) {
        if self.done {
            return;
        }
        self.torn(event);
        let kind = event.kind.get().and_then(|raw| raw.strip_prefix(b"\"")?.strip_suffix(b"\""));
        let last = match self.dialect {
            Dialect::OpenAi => {
                self.done = event.head.trim_ascii() == b"[DONE]";
                self.done || kind.is_some_and(ends_openai)
            }
            Dialect::Anthropic => {
                self.done = kind == Some(b"message_stop");
                self.done
            }
            // usage may still follow the reason
            Dialect::Gemini => event.finished,
        };
        self.usage.complete |= last;
    }

    /// What is left when the bytes broke off: members that were read to their end are as true as ever.
    pub(super) fn torn(&mut self, event: &Members) {
        self.usage.suspect |= event.usage_twice || event.usage.overflow;
        self.usage.output_bytes_seen = self.usage.output_bytes_seen.saturating_add(event.text_bytes);
        let Some(usage) = event.usage.get().and_then(|raw| self.object(raw)) else { return };
        match self.dialect {
            Dialect::OpenAi => self.openai(&usage),
            Dialect::Anthropic => self.anthropic(&usage),
            Dialect::Gemini => self.gemini(&usage),
        }
    }

    /// The transport or the outer bracket says that all of the body came.
    pub(super) fn complete(&mut self) {
        self.usage.complete = true;
    }

    pub(super) fn into_usage(self) -> Usage {
        self.usage
    }

    /// Chat and completions: <https://platform.openai.com/docs/api-reference/chat/object>; responses, images and audio
    /// use the other pair of names.
    fn openai(&mut self, usage: &Map<String, Value>) {
        let input = self.count(usage, &["prompt_tokens", "input_tokens"]);
        let mut output = self.count(usage, &["completion_tokens", "output_tokens"]);
        if let (Some(input), None, Some(total)) = (input, output, self.count(usage, &["total_tokens"])) {
            // embeddings report no output
            output = Some(total.saturating_sub(input));
        }
        let cached = self.detail(usage, &["prompt_tokens_details", "input_tokens_details"], "cached_tokens");
        let reasoning =
            self.detail(usage, &["completion_tokens_details", "output_tokens_details"], "reasoning_tokens");
        set(&mut self.usage.input_tokens, input);
        set(&mut self.usage.output_tokens, output);
        set(&mut self.usage.cached_tokens, cached);
        set(&mut self.usage.reasoning_tokens, reasoning);
    }

    /// `message_start` and `message_delta` carry running totals:
    /// <https://docs.anthropic.com/en/docs/build-with-claude/streaming>
    fn anthropic(&mut self, usage: &Map<String, Value>) {
        let parts = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]
            .map(|name| self.count(usage, &[name]));
        for (known, part) in self.input_parts.iter_mut().zip(parts) {
            set(known, part);
        }
        let output = self.count(usage, &["output_tokens"]);
        set(&mut self.usage.output_tokens, output);
        set(&mut self.usage.cached_tokens, self.input_parts[2]);
        self.usage.input_tokens = sum(self.input_parts);
    }

    /// `candidatesTokenCount` leaves out the thoughts, `promptTokenCount` has the cached part in it:
    /// <https://ai.google.dev/api/generate-content#UsageMetadata>
    fn gemini(&mut self, usage: &Map<String, Value>) {
        let input =
            [self.count(usage, &["promptTokenCount"]), self.count(usage, &["toolUsePromptTokenCount"])];
        let thoughts = self.count(usage, &["thoughtsTokenCount"]);
        let output = [self.count(usage, &["candidatesTokenCount"]), thoughts];
        let cached = self.count(usage, &["cachedContentTokenCount"]);
        set(&mut self.usage.input_tokens, sum(input));
        set(&mut self.usage.output_tokens, sum(output));
        set(&mut self.usage.cached_tokens, cached);
        set(&mut self.usage.reasoning_tokens, thoughts);
    }

    fn object(&mut self, raw: &[u8]) -> Option<Map<String, Value>> {
        match serde_json::from_slice(raw) {
            Ok(Value::Object(usage)) => Some(usage),
            // streams carry `null` until the last event
            Ok(Value::Null) => None,
            Ok(_) | Err(_) => {
                self.usage.suspect = true;
                None
            }
        }
    }

    /// The first of the names that is there.
    fn count(&mut self, usage: &Map<String, Value>, names: &[&str]) -> Option<u64> {
        let value = names.iter().find_map(|name| usage.get(*name)).filter(|value| !value.is_null())?;
        let (count, clean) = match (value.as_u64(), value.as_f64()) {
            (Some(count), _) => (Some(count.min(MAX_TOKENS)), count <= MAX_TOKENS),
            (None, Some(number)) => (Some(whole(number)), false),
            (None, None) => (None, false),
        };
        self.usage.suspect |= !clean;
        count
    }

    fn detail(&mut self, usage: &Map<String, Value>, groups: &[&str], name: &str) -> Option<u64> {
        let group = groups.iter().find_map(|group| usage.get(*group)?.as_object())?;
        self.count(group, &[name])
    }
}

/// The final events of the `OpenAI` streams that have typed events.
fn ends_openai(kind: &[u8]) -> bool {
    matches!(
        kind,
        b"response.completed"
            | b"response.incomplete"
            | b"response.failed"
            | b"transcript.text.done"
            | b"speech.audio.done"
            | b"image_generation.completed"
    )
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the number is clamped to a range in which the casts are exact"
)]
fn whole(number: f64) -> u64 {
    number.clamp(0.0, MAX_TOKENS as f64) as u64
}

fn set(known: &mut Option<u64>, new: Option<u64>) {
    if new.is_some() {
        *known = new;
    }
}

fn sum<const N: usize>(parts: [Option<u64>; N]) -> Option<u64> {
    let known = parts.iter().any(Option::is_some);
    known.then(|| parts.iter().flatten().sum())
}
