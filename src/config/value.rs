//! Values that several sections share: sizes, times, names, patterns, secrets.
//!
//! Owns their forms and bounds. Must not know in which section a key stands.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use bytesize::ByteSize;

use super::entry::Entry;
use super::reading::{Reported, quoted};
use super::section::Section;
use crate::quota::Pattern;

/// Names become parts of counters' keys, metric labels and columns of the ledger, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// No provider names its models longer, in bytes.
const PATTERN_BYTES_MAX: usize = 256;
/// A file that holds one secret is small; a larger one is some other file, in bytes.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1_024;

/// What a name of a plan, limit, group or issuer may be.
pub(super) const NAME_ALLOWED: &str = "1 to 64 of letters, digits, `_`, `.`, `-`";
/// What the name of an upstream may be: it is also a metric label.
pub(super) const LABEL_ALLOWED: &str = "1 to 64 of lower-case letters, digits, `_`, `-`";

/// Whether a text can name a plan, limit, group or issuer.
pub(super) fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Whether a text can name an upstream.
pub(super) fn is_label(text: &str) -> bool {
    is_name(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'.')
}

/// Whether a text can be the name of one model: what a request may carry, and no pattern.
pub(super) fn is_model(text: &str) -> bool {
    (1..=PATTERN_BYTES_MAX).contains(&text.len())
        && !text.starts_with('@')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*')
}

/// The names in a list of tables: each is well formed and stands once.
pub(super) struct Names {
    is_sound: fn(&str) -> bool,
    allowed: &'static str,
    taken: Vec<String>,
}

impl Names {
    pub(super) fn new(is_sound: fn(&str) -> bool, allowed: &'static str) -> Self {
        Self { is_sound, allowed, taken: Vec::new() }
    }

    /// The name of one of the tables, at its key `name`.
    pub(super) fn take(&mut self, section: &Section<'_>) -> Result<String, Reported> {
        let entry = section.require("name", self.allowed)?;
        let name = entry.text()?;
        if !(self.is_sound)(&name) {
            return Err(entry.wrong(quoted(&name), self.allowed, None));
        }
        if self.taken.contains(&name) {
            return Err(entry.wrong(
                format!("{} again", quoted(&name)),
                "a name that stands once in the list",
                None,
            ));
        }
        self.taken.push(name.clone());
        Ok(name)
    }
}

/// A text that may be left out; an empty one counts as left out, so that `${NAME:-}` can switch a key off.
pub(super) fn optional_text(section: &Section<'_>, key: &str) -> Result<Option<String>, Reported> {
    let Some(entry) = section.get(key) else { return Ok(None) };
    Ok(Some(entry.text()?).filter(|text| !text.is_empty()))
}

/// A span of time such as `15m`, in milliseconds, from `bounds_ms.0` to `bounds_ms.1`.
pub(super) fn duration_ms(entry: &Entry<'_>, bounds_ms: (u64, u64)) -> Result<u64, Reported> {
    let text = entry.text()?;
    let (min, max) = bounds_ms;
    let ms = humantime::parse_duration(&text).ok().and_then(|time| u64::try_from(time.as_millis()).ok());
    ms.filter(|ms| (min..=max).contains(ms)).ok_or_else(|| {
        let shown = |ms| humantime::format_duration(Duration::from_millis(ms));
        let allowed = format!("a time from \"{}\" to \"{}\"", shown(min), shown(max));
        entry.wrong(quoted(&text), allowed, None)
    })
}

/// A span of time at a key that may be left out, in milliseconds.
pub(super) fn duration_ms_or(
    section: &Section<'_>,
    key: &str,
    bounds_ms: (u64, u64),
    default_ms: u64,
) -> Result<u64, Reported> {
    section.get(key).map_or(Ok(default_ms), |entry| duration_ms(&entry, bounds_ms))
}

/// A size such as `32MiB`, in bytes, from `bounds.0` to `bounds.1`.
pub(super) fn size_bytes(entry: &Entry<'_>, bounds: (u64, u64)) -> Result<u64, Reported> {
    let text = entry.text()?;
    let (min, max) = bounds;
    let size = text.parse::<ByteSize>().ok().map(|size| size.as_u64());
    size.filter(|bytes| (min..=max).contains(bytes)).ok_or_else(|| {
        let allowed = format!("a size from \"{}\" to \"{}\"", shown_size(min), shown_size(max));
        entry.wrong(quoted(&text), allowed, None)
    })
}

fn shown_size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string().replace(".0 ", "")
}

/// A pattern over model names, from configuration only.
pub(super) fn pattern(entry: &Entry<'_>, text: &str, hint: Option<String>) -> Result<Pattern, Reported> {
    let sound = (1..=PATTERN_BYTES_MAX).contains(&text.len())
        && !text.starts_with('@')
        && !text.chars().any(|character| character.is_control() || character.is_whitespace());
    if sound {
        return Ok(Pattern::new(text));
    }
    Err(entry.wrong(quoted(text), "a model's name, `*` standing for any run of characters", hint))
}

/// A list of patterns with at least one in it.
pub(super) fn patterns(entry: &Entry<'_>) -> Result<Vec<Pattern>, Reported> {
    entry.some_texts("at least one pattern, such as \"*\"", |element, text| {
        let hint = text.starts_with('@').then(|| "only plans and limits can name groups".to_owned());
        pattern(element, text, hint)
    })
}

/// A secret, from the key itself or from the file that `<key>_file` names; `None` if both are absent or empty.
pub(super) fn secret(section: &Section<'_>, key: &str) -> Result<Option<String>, Reported> {
    let file_key = format!("{key}_file");
    let (text, path) = (optional_text(section, key), optional_text(section, &file_key));
    let (text, path) = (text?, path?);
    let Some((path, entry)) = path.zip(section.get(&file_key)) else { return Ok(text) };
    if text.is_some() {
        let allowed = format!("one of `{key}`, `{file_key}`");
        return Err(entry.wrong("both", allowed, None));
    }
    match read_secret(Path::new(&path)) {
        Ok(secret) => Ok(Some(secret)),
        Err(reason) => {
            let hint = "check the path and that the gateway's user may read it".to_owned();
            Err(entry.wrong(
                format!("{}: {reason}", quoted(&path)),
                "a readable file that holds the secret alone",
                Some(hint),
            ))
        }
    }
}

/// The text of a secret's file without the line break that editors add.
fn read_secret(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    file.take(SECRET_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if u64::try_from(text.len()).is_ok_and(|length| length > SECRET_FILE_BYTES_MAX) {
        return Err(format!("more than {}", shown_size(SECRET_FILE_BYTES_MAX)));
    }
    let secret =
        text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if secret.is_empty() { Err("nothing in it".to_owned()) } else { Ok(secret.to_owned()) }
}
