//! The members of an answer that matter: their keys, and the small copies of their values.
//! It does not know where in an answer they stand; `probe` does.

/// The keys that are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Key {
    #[default]
    Other,
    Type,
    Model,
    ModelVersion,
    Usage,
    UsageMetadata,
    /// `response` and `message`: objects that carry usage and model one level down.
    Response,
    Message,
    /// Members that hold generated text: `choices`, `candidates`, `output`.
    Answer,
    /// Holds the answer at the top (Anthropic), and is a text further down.
    Content,
    Delta,
    /// Keys of text inside them.
    Text,
    FinishReason,
    PromptFeedback,
    BlockReason,
}

impl Key {
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"type" => Self::Type,
            b"model" => Self::Model,
            b"modelVersion" => Self::ModelVersion,
            b"usage" => Self::Usage,
            b"usageMetadata" => Self::UsageMetadata,
            b"response" => Self::Response,
            b"message" => Self::Message,
            b"choices" | b"candidates" | b"output" => Self::Answer,
            b"content" => Self::Content,
            b"delta" => Self::Delta,
            b"text" | b"reasoning_content" | b"reasoning" | b"refusal" | b"arguments" | b"thinking"
            | b"partial_json" | b"transcript" => Self::Text,
            b"finish_reason" | b"finishReason" => Self::FinishReason,
            b"promptFeedback" => Self::PromptFeedback,
            b"blockReason" => Self::BlockReason,
            _ => Self::Other,
        }
    }

    pub(super) fn holds_answer(self) -> bool {
        matches!(self, Self::Answer | Self::Content)
    }

    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Content)
    }
}

/// A small member that is copied, as raw JSON.
#[derive(Debug, Default)]
pub(super) struct Capture {
    pub(super) bytes: Vec<u8>,
    pub(super) filled: bool,
    pub(super) overflow: bool,
}

impl Capture {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        (self.filled, self.overflow) = (false, false);
    }

    pub(super) fn keep(&mut self, bytes: &[u8], limit: usize) {
        self.overflow |= self.bytes.len() + bytes.len() > limit;
        if !self.overflow {
            self.bytes.extend_from_slice(bytes);
        }
    }

    pub(super) fn get(&self) -> Option<&[u8]> {
        (self.filled && !self.overflow).then(|| self.bytes.trim_ascii())
    }
}

/// What one event (or a whole body) showed.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// The first bytes of the text, for `[DONE]`.
    pub(super) head: Vec<u8>,
    /// `type`.
    pub(super) kind: Capture,
    /// `usage`, or Gemini's `usageMetadata`.
    pub(super) usage: Capture,
    /// A usage member stood twice.
    pub(super) usage_twice: bool,
    /// A finish reason or a block reason was given.
    pub(super) finished: bool,
    /// Bytes of generated text.
    pub(super) text_bytes: u64,
}

impl Members {
    /// Forgets all but the buffers' room.
    pub(super) fn clear(&mut self) {
        self.head.clear();
        self.kind.clear();
        self.usage.clear();
        (self.usage_twice, self.finished, self.text_bytes) = (false, false, 0);
    }
}
