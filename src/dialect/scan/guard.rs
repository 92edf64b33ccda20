//! The keys of a request body that decide what is counted. Each may stand once, in exactly its own spelling: servers
//! differ in whether the first or last of two wins, and some match names without regard to case.

use super::fault::ScanError;

/// A key that decides something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Guard {
    Model,
    Stream,
    StreamOptions,
    Choices,
    BestOf,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    Tools,
    ServiceTier,
    Reasoning,
    Models,
    RouteChoice,
    Provider,
    Fallbacks,
    Background,
    GenerationConfig,
    Requests,
    CountedRequest,
}

/// Spelling and meaning. Google's JSON takes two spellings for one key, which then count as the same.
const NAMES: &[(&str, Guard)] = &[
    ("model", Guard::Model),
    ("stream", Guard::Stream),
    ("stream_options", Guard::StreamOptions),
    ("n", Guard::Choices),
    ("best_of", Guard::BestOf),
    ("max_tokens", Guard::MaxTokens),
    ("max_completion_tokens", Guard::MaxCompletionTokens),
    ("max_output_tokens", Guard::MaxOutputTokens),
    ("tools", Guard::Tools),
    ("service_tier", Guard::ServiceTier),
    ("reasoning", Guard::Reasoning),
    ("models", Guard::Models),
    ("route", Guard::RouteChoice),
    ("provider", Guard::Provider),
    ("fallbacks", Guard::Fallbacks),
    ("background", Guard::Background),
    ("generationConfig", Guard::GenerationConfig),
    ("generation_config", Guard::GenerationConfig),
    ("requests", Guard::Requests),
    ("generateContentRequest", Guard::CountedRequest),
    ("generate_content_request", Guard::CountedRequest),
];

/// Longer keys are none of these in any reading.
const MAX_KEY_BYTES: usize = 64;

impl Guard {
    pub(super) fn bit(self) -> u64 {
        1 << (self as u8)
    }

    pub(super) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, guard)| *guard == self).map_or("", |(name, _)| name)
    }
}

/// The guard of a key, if it has one. A key that only resembles a guarded one is an error.
pub(super) fn of(key: &str) -> Result<Option<Guard>, ScanError> {
    if let Some((_, guard)) = NAMES.iter().find(|(name, _)| *name == key) {
        return Ok(Some(*guard));
    }
    let alike = folded(key);
    match NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&alike)) {
        Some((_, guard)) => Err(ScanError::Ambiguous { key: guard.name() }),
        None => Ok(None),
    }
}

/// The key as the most lenient server would read it: without case, blanks and control characters at its ends. The two
/// letters outside ASCII that fold onto ASCII ones are folded as Go's JSON package does.
pub(in crate::dialect) fn folded(key: &str) -> String {
    let invisible = |c: char| matches!(c, '\u{200B}'..='\u{200F}' | '\u{FEFF}');
    let key = key.trim_matches(|c: char| c.is_whitespace() || c.is_control() || invisible(c));
    if key.len() > MAX_KEY_BYTES {
        return String::new();
    }
    key.chars()
        .map(|c| match c {
            '\u{17F}' => 's',
            '\u{212A}' => 'k',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}
