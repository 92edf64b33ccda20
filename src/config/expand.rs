//! `${NAME}` and `${NAME:-default}` in strings of the configuration.
//!
//! Owns the syntax. Must not know where variables come from, and shows names only, never values.

/// Why a text cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExpandError {
    /// A variable that is not set and has no default.
    #[error("`${{{0}}}`, a variable that is not set")]
    Missing(String),
    /// `${` without `}`, or with something that is no name before it.
    #[error("`${{` that begins no variable")]
    Malformed,
}

/// The text with all variables replaced. As in a shell, the default of `:-` serves for a variable that is not set or
/// is empty. What is put in is not expanded again.
pub(super) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from_name)) = rest.split_once("${") {
        let (inside, after) = from_name.split_once('}').ok_or(ExpandError::Malformed)?;
        out.push_str(before);
        out.push_str(&value(inside, env)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn value(inside: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    let (name, default) =
        inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
    if !is_name(name) {
        return Err(ExpandError::Malformed);
    }
    let value = env(name).filter(|value| default.is_none() || !value.is_empty());
    value.or_else(|| default.map(str::to_owned)).ok_or_else(|| ExpandError::Missing(name.to_owned()))
}

/// A name as POSIX has it (XBD 3.216): letters, digits and `_`, not beginning with a digit.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
