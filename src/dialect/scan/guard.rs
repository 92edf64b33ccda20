//! The keys of a request body that decide what is counted. Each may stand once, in exactly its own spelling: servers
//! differ in whether the first or last of two wins, and some match names without regard to case.

use super::fault::ScanError;

/// The keys, each in all its spellings: Google's JSON takes two for some, which then count as the same.
const KEYS: [&[&str]; 19] = [
    &["model"],
    &["stream"],
    &["stream_options"],
    &["n"],
    &["best_of"],
    &["max_tokens"],
    &["max_completion_tokens"],
    &["max_output_tokens"],
    &["tools"],
    &["service_tier"],
    &["reasoning"],
    &["models"],
    &["route"],
    &["provider"],
    &["fallbacks"],
    &["background"],
    &["generationConfig", "generation_config"],
    &["requests"],
    &["generateContentRequest", "generate_content_request"],
];

/// Longer keys are none of these in any reading.
const MAX_KEY_BYTES: usize = 64;

/// The first spelling of a guarded key, and a bit of its own; `None`: the key decides nothing. A key that only resembles
/// a guarded one is an error.
pub(super) fn of(key: &str) -> Result<Option<(&'static str, u64)>, ScanError> {
    let place = |is: &dyn Fn(&str) -> bool| KEYS.iter().position(|all| all.iter().any(|one| is(one)));
    if let Some(at) = place(&|one| one == key) {
        return Ok(Some((KEYS[at][0], 1 << at)));
    }
    let alike = folded(key);
    match place(&|one| one.eq_ignore_ascii_case(&alike)) {
        Some(at) => Err(ScanError::Ambiguous(KEYS[at][0])),
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
