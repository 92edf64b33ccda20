//! What a request asks for, as the two readers of bodies (`scan`, `multipart`) find it.
//! It knows no grammar and no call.

use std::ops::Range;

use super::scan::fault::ScanError;

/// The longest model name taken, in bytes: room for a fine-tune's or a repository's full name.
const MAX_MODEL_BYTES: usize = 256;

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// The model's name as the caller wrote it (for Gemini without the `models/` prefix). Visible ASCII.
    pub model: String,
    /// Whether the answer shall be a stream.
    pub stream: bool,
    /// `stream_options.include_usage`, when the caller set it.
    pub include_usage: Option<bool>,
    /// The most output tokens the caller allows for one choice; `None` when it sets no bound.
    pub max_output: Option<u64>,
    /// How many answers are asked for at once (`n`, `best_of`, `candidateCount`); at least 1.
    pub choices: u64,
    /// The body's length.
    pub input_bytes: usize,
    pub(super) spans: Spans,
}

/// Where the parts stand that `rewrite` may replace. Offsets into the body that was scanned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spans {
    /// Every place that names the model: JSON strings with their quotes, or a multipart value.
    pub(super) models: Vec<Range<usize>>,
    /// Where a stream's wish for usage goes, and the text that says it.
    pub(super) usage: (Range<usize>, &'static str),
}

/// A name that can be matched and forwarded without any reading in between: no blanks, no look-alike letters.
pub(super) fn check_model(model: &str) -> Result<(), ScanError> {
    let fits = (1..=MAX_MODEL_BYTES).contains(&model.len()) && model.bytes().all(|b| b.is_ascii_graphic());
    let wanted = "1 to 256 visible ASCII characters";
    if fits { Ok(()) } else { Err(ScanError::Value { key: "model", wanted }) }
}
