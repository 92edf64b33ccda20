//! Values that several sections share: names, models, patterns, secrets.
//!
//! Owns their forms. Must not know in which section a key stands.

use std::path::Path;

use super::file;
use super::kind::shown_size;
use super::reading::{Reported, all, listed, quoted};
use super::setting::Setting;
use crate::auth::Secret;
use crate::quota::Pattern;

/// Names become parts of counters' keys, metric labels and columns of the ledger, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// No provider names its models longer, in bytes.
const PATTERN_BYTES_MAX: usize = 256;
/// A file that holds one secret is small; a larger one is some other file, in bytes.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1_024;

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
    taken: Vec<String>,
}

impl Names {
    pub(super) fn new(is_sound: fn(&str) -> bool) -> Self {
        Self { is_sound, taken: Vec::new() }
    }

    /// The name of one of the tables, at its key `name`.
    pub(super) fn take(&mut self, section: &Setting<'_>) -> Result<String, Reported> {
        section.read("name", |setting| {
            let name = setting.text()?;
            if !(self.is_sound)(&name) {
                return Err(setting.refused(quoted(&name), None));
            }
            if self.taken.contains(&name) {
                let found = format!("{} again", quoted(&name));
                return Err(setting.wrong(found, "a name that stands once in the list", None));
            }
            self.taken.push(name.clone());
            Ok(name)
        })
    }
}

/// What a key that names one of several things, such as plans, may hold.
pub(super) fn one_of<'k>(what: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    match listed(known).as_str() {
        "" => format!("the name of a {what}, of which there is none yet"),
        known => format!("the name of a {what}: {known}"),
    }
}

/// The tables of a list that has at most `max`, `what` by name.
pub(super) fn at_most<'a>(root: &Setting<'a>, what: &str, max: usize) -> Result<Vec<Setting<'a>>, Reported> {
    let sections = root.sections(what)?;
    match root.get(what).filter(|_| sections.len() > max) {
        Some(list) => Err(list.wrong(format!("{} {what}", sections.len()), format!("at most {max}"), None)),
        None => Ok(sections),
    }
}

/// A pattern over model names, from configuration only.
pub(super) fn pattern(setting: &Setting<'_>, text: &str, hint: Option<String>) -> Result<Pattern, Reported> {
    let sound = (1..=PATTERN_BYTES_MAX).contains(&text.len())
        && !text.starts_with('@')
        && !text.chars().any(|character| character.is_control() || character.is_whitespace());
    if sound { Ok(Pattern::new(text)) } else { Err(setting.refused(quoted(text), hint)) }
}

/// A list of patterns.
pub(super) fn patterns(setting: &Setting<'_>) -> Result<Vec<Pattern>, Reported> {
    setting.texts(|element, text| {
        let hint = text.starts_with('@').then(|| "only plans and limits can name groups".to_owned());
        pattern(element, text, hint)
    })
}

/// Refuses keys of a table that would have no effect, `beside` what they stand; `allowed` says where they may.
pub(super) fn refuse_useless(
    section: &Setting<'_>,
    keys: &[&str],
    beside: &str,
    allowed: &str,
) -> Result<(), Reported> {
    let useless = keys.iter().filter_map(|key| section.get(key));
    let told = useless.map(|key| Err::<(), _>(key.wrong(format!("`{}` {beside}", key.name), allowed, None)));
    all(told).map(|_| ())
}

/// The name of a header, in lower case.
pub(super) fn header_name(setting: &Setting<'_>, text: &str) -> Result<String, Reported> {
    let name = http::HeaderName::try_from(text).map_err(|_| setting.refused(quoted(text), None))?;
    Ok(name.as_str().to_owned())
}

/// A secret, from the key itself or from the file that `<key>_file` names; `None` if both are absent or empty.
/// `read` makes of it what is wanted, or says what was found instead, and a hint.
pub(super) fn secret<T>(
    section: &Setting<'_>,
    key: &str,
    read: impl FnOnce(String) -> Result<T, (String, Option<String>)>,
) -> Result<Option<T>, Reported> {
    let file_key = format!("{key}_file");
    let (text, file) = (section.filled(key), section.filled(&file_key));
    let (text, setting) = match (text?, file?) {
        (Some(_), Some(file)) => {
            return Err(file.wrong("both", format!("one of `{key}`, `{file_key}`"), None));
        }
        (None, Some(file)) => (secret_of_file(&file.text()?, &file)?, file),
        (Some(setting), None) => (setting.text()?, setting),
        (None, None) => return Ok(None),
    };
    read(text).map(Some).map_err(|(found, hint)| setting.refused(found, hint))
}

/// A secret that must be there once `source`, the key or its `_file`, is, and that is made at random: bytes that
/// `is_sound` finds long enough.
pub(super) fn secret_bytes(
    section: &Setting<'_>,
    source: &Setting<'_>,
    key: &'static str,
    is_sound: impl FnOnce(&str) -> bool,
) -> Result<Secret, Reported> {
    let found = |bytes: usize| {
        (format!("a {key} of {bytes} bytes"), Some("make one with `openssl rand -hex 32`".to_owned()))
    };
    let read = |text: String| if is_sound(&text) { Ok(Secret::new(text)) } else { Err(found(text.len())) };
    let secret = secret(section, key, read)?;
    let (none, hint) = found(0);
    secret.ok_or_else(|| source.refused(none, hint))
}

fn secret_of_file(path: &str, setting: &Setting<'_>) -> Result<String, Reported> {
    read_secret(Path::new(path)).map_err(|reason| {
        let hint = "check the path and that the gateway's user may read it".to_owned();
        let found = format!("{}: {reason}", quoted(path));
        setting.wrong(found, "a readable file that holds the secret alone", Some(hint))
    })
}

/// The text of a secret's file without the line break that editors add.
fn read_secret(path: &Path) -> Result<String, String> {
    let bytes = file::bytes(path, SECRET_FILE_BYTES_MAX).map_err(|error| error.to_string())?;
    let bytes = bytes.ok_or_else(|| format!("more than {}", shown_size(SECRET_FILE_BYTES_MAX)))?;
    let text = String::from_utf8(bytes).map_err(|_| "stream did not contain valid UTF-8")?;
    let secret =
        text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if secret.is_empty() { Err("nothing in it".to_owned()) } else { Ok(secret.to_owned()) }
}
