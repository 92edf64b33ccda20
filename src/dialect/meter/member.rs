//! The members of an answer that matter to the meter: their keys, and the small copies of their values.
//! It does not know where in an answer they stand; `probe` does.

/// The keys that are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Key {
    #[default]
    Other,
    Type,
    Model,
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

/// A small member that is copied.
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

    pub(super) fn get(&self) -> Option<&[u8]> {
        (self.filled && !self.overflow).then(|| self.bytes.trim_ascii())
    }
}

impl Key {
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"type" => Self::Type,
            b"model" | b"modelVersion" => Self::Model,
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
