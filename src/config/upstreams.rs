//! `[[upstreams]]`: the servers that requests go to.
//!
//! Owns the keys of that table; those that name models otherwise are in `routing`. Must not know how a request is sent.

use std::collections::BTreeMap;

use super::certificates;
use super::entry::{Entry, all};
use super::nearest::did_you_mean;
use super::reading::{Reported, listed, quoted};
use super::section::{Keys, Section};
use super::url;
use super::value::{self, Names};
use crate::upstream::{BaseUrl, Check, Drain, OnDisconnect, UpstreamSettings};

const KEYS: Keys = Keys {
    known: &[
        "name",
        "base_url",
        "api_key",
        "api_key_file",
        "models",
        "serves",
        "timeouts",
        "weight",
        "priority",
        "max_concurrent",
        "on_disconnect",
        "drain",
        "ca_file",
        "health_check",
        "rewrite",
    ],
    later: &[],
};
const CHECK_KEYS: Keys = Keys { known: &["path", "every"], later: &[] };
const DRAIN_KEYS: Keys = Keys { known: &["max_bytes", "max_time"], later: &[] };
const TIMEOUT_KEYS: Keys = Keys { known: &["connect", "first_byte", "idle"], later: &[] };

/// The client APIs, by the names that `serves` goes by.
const DIALECTS: [&str; 3] = ["openai", "anthropic", "gemini"];

/// A connection that takes longer is not coming, in milliseconds.
const CONNECT_MS: (u64, u64) = (100, 60_000);
const CONNECT_DEFAULT_MS: u64 = 5_000;
/// No provider thinks longer than an hour before it begins to answer, in milliseconds.
const FIRST_BYTE_MS: (u64, u64) = (1_000, 3_600_000);
const FIRST_BYTE_DEFAULT_MS: u64 = 300_000;
/// Providers send a sign of life at least every minute, in milliseconds.
const IDLE_MS: (u64, u64) = (1_000, 3_600_000);
const IDLE_DEFAULT_MS: u64 = 120_000;

/// A share among others: beyond this, priorities say what is meant.
const WEIGHT_MAX: u64 = 1_000;
const PRIORITY_MAX: u64 = 1_000;
/// More requests at once than one process can hold are no cap.
const CONCURRENT_MAX: u64 = 1_000_000;
/// How often a check asks, in milliseconds.
const CHECK_EVERY_MS: (u64, u64) = (1_000, 3_600_000);
const CHECK_EVERY_DEFAULT_MS: u64 = 10_000;
/// What is read of an answer that nobody waits for, in bytes: a long stream has some hundred KiB, so 1 MiB is enough for
/// all but a runaway; 1 GiB is more than any.
const DRAIN_BYTES: (u64, u64) = (1, 1 << 30);
const DRAIN_BYTES_DEFAULT: u64 = 1 << 20;
/// For how long it is read, in milliseconds: most answers are over in half a minute, and what runs on costs money; an
/// hour is the longest silence that `timeouts` allow.
const DRAIN_TIME_MS: (u64, u64) = (1, 3_600_000);
const DRAIN_TIME_DEFAULT_MS: u64 = 30_000;

/// Reads `[[upstreams]]`; at least one.
pub(super) fn read(root: &Section<'_>) -> Result<Vec<UpstreamSettings>, Reported> {
    let sections = root.sections("upstreams")?;
    if sections.is_empty() {
        let hint = "add `[[upstreams]]` with `name`, `base_url`, `models` and `serves`".to_owned();
        return Err(root.missing("upstreams", "at least one server that requests go to", Some(hint)));
    }
    let mut names = Names::new(value::is_label, value::LABEL_ALLOWED);
    all(sections.iter().map(|section| upstream(section, &mut names)))
}

fn upstream(section: &Section<'_>, names: &mut Names) -> Result<UpstreamSettings, Reported> {
    let known = section.only(KEYS);
    let name = names.take(section);
    let base_url = base_url(section);
    let api_key = api_key(section);
    let models =
        section.require("models", "patterns, such as [\"gpt-*\"]").and_then(|entry| value::patterns(&entry));
    let serves = serves(section, base_url.as_ref().ok());
    let timeouts = section.section("timeouts").and_then(|section| timeouts(&section));
    let weight = count(section, "weight", (1, WEIGHT_MAX));
    let priority = count(section, "priority", (0, PRIORITY_MAX));
    let max_concurrent = count(section, "max_concurrent", (1, CONCURRENT_MAX));
    let on_disconnect = on_disconnect(section);
    let ca = ca(section, base_url.as_ref().ok());
    let check =
        section.get("health_check").map(|entry| entry.section().and_then(|check| health_check(&check)));
    known?;
    let timeouts = timeouts?;
    Ok(UpstreamSettings {
        api_key: api_key?,
        connect_timeout_ms: timeouts.connect_ms,
        first_byte_timeout_ms: timeouts.first_byte_ms,
        idle_timeout_ms: timeouts.idle_ms,
        weight: weight?.unwrap_or(1),
        priority: priority?.unwrap_or(0),
        max_concurrent: max_concurrent?,
        on_disconnect: on_disconnect?,
        ca: ca?,
        check: check.transpose()?,
        ..UpstreamSettings::new(&name?, base_url?, models?, serves?)
    })
}

fn base_url(section: &Section<'_>) -> Result<BaseUrl, Reported> {
    let allowed = "an `http://` or `https://` URL with a host, and no user name, query or fragment";
    let entry = section.require("base_url", allowed)?;
    let text = entry.text()?;
    url::base_url(&text).map_err(|error| {
        let hint = match error {
            url::UrlError::User | url::UrlError::Query => Some("the key belongs into `api_key`".to_owned()),
            _ => None,
        };
        entry.wrong(error.to_string(), allowed, hint)
    })
}

/// The key that is sent upstream. It becomes the value of a header: visible ASCII only.
fn api_key(section: &Section<'_>) -> Result<Option<String>, Reported> {
    let Some(key) = value::secret(section, "api_key")? else { return Ok(None) };
    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Some(key));
    }
    let entry = section.get("api_key_file").or_else(|| section.get("api_key"));
    let (found, allowed) =
        ("a key with a space, a line break or a letter beyond ASCII", "visible ASCII characters");
    Err(match entry {
        Some(entry) => entry.wrong(found, allowed, None),
        None => section.missing("api_key", allowed, None),
    })
}

/// Dialect to path prefix; at least one.
fn serves(section: &Section<'_>, base_url: Option<&BaseUrl>) -> Result<BTreeMap<String, String>, Reported> {
    let allowed = format!("prefixes by dialect ({}), such as {{ openai = \"/v1\" }}", listed(DIALECTS));
    let entry = section.require("serves", &allowed)?;
    let entries: Vec<Entry<'_>> = entry.section()?.entries().collect();
    if entries.is_empty() {
        return Err(entry.wrong("an empty table", allowed, None));
    }
    let serves = all(entries.iter().map(|entry| {
        if !DIALECTS.contains(&entry.name) {
            return Err(entry.wrong_key(&listed(DIALECTS), did_you_mean(entry.name, DIALECTS)));
        }
        prefix(entry, base_url).map(|prefix| (entry.name.to_owned(), prefix))
    }))?;
    Ok(serves.into_iter().collect())
}

const PATH_ALLOWED: &str = "a path that begins with `/`, such as \"/v1\"";

fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%\\\"<>".contains(&byte))
        && !text.contains("//")
}

/// The path prefix of a dialect, without a slash at its end.
fn prefix(entry: &Entry<'_>, base_url: Option<&BaseUrl>) -> Result<String, Reported> {
    let text = entry.text()?;
    if !is_path(&text) {
        let hint = (text.is_empty()).then(|| "write `/` for no prefix".to_owned());
        return Err(entry.wrong(quoted(&text), PATH_ALLOWED, hint));
    }
    let prefix = text.trim_end_matches('/');
    // the commonest slip: `…/v1` in both places asks for `/v1/v1/…`, which no server has
    if !prefix.is_empty() && base_url.is_some_and(|base| base.path.ends_with(prefix)) {
        let hint = format!("remove `{prefix}` from `base_url`");
        return Err(entry.wrong(
            format!("{} although `base_url` ends in it", quoted(&text)),
            "a prefix that is not there twice",
            Some(hint),
        ));
    }
    Ok(prefix.to_owned())
}

#[expect(clippy::struct_field_names, reason = "the unit stands last in a name")]
struct Timeouts {
    connect_ms: u64,
    first_byte_ms: u64,
    idle_ms: u64,
}

fn timeouts(section: &Section<'_>) -> Result<Timeouts, Reported> {
    let known = section.only(TIMEOUT_KEYS);
    let connect_ms = value::duration_ms_or(section, "connect", CONNECT_MS, CONNECT_DEFAULT_MS);
    let first_byte_ms = value::duration_ms_or(section, "first_byte", FIRST_BYTE_MS, FIRST_BYTE_DEFAULT_MS);
    let idle_ms = value::duration_ms_or(section, "idle", IDLE_MS, IDLE_DEFAULT_MS);
    known?;
    Ok(Timeouts { connect_ms: connect_ms?, first_byte_ms: first_byte_ms?, idle_ms: idle_ms? })
}

fn count(section: &Section<'_>, key: &str, (min, max): (u64, u64)) -> Result<Option<u32>, Reported> {
    let count = section.get(key).map(|entry| entry.integer(min, max)).transpose()?;
    Ok(count.map(|count| u32::try_from(count).unwrap_or(u32::MAX)))
}

/// `on_disconnect`, with the bounds of `drain`.
fn on_disconnect(section: &Section<'_>) -> Result<OnDisconnect, Reported> {
    let words = [("stop", false), ("drain", true)];
    let drains = section.get("on_disconnect").map(|entry| entry.choice(&words, &[])).transpose();
    let bounds = section.section("drain").and_then(|section| {
        let known = section.only(DRAIN_KEYS);
        let max_bytes = section
            .get("max_bytes")
            .map_or(Ok(DRAIN_BYTES_DEFAULT), |entry| value::size_bytes(&entry, DRAIN_BYTES));
        let max_time_ms = value::duration_ms_or(&section, "max_time", DRAIN_TIME_MS, DRAIN_TIME_DEFAULT_MS);
        known?;
        Ok(Drain { max_bytes: max_bytes?, max_time_ms: max_time_ms? })
    });
    match (drains?.unwrap_or(false), section.get("drain")) {
        (true, _) => Ok(OnDisconnect::Drain(bounds?)),
        (false, None) => Ok(OnDisconnect::Stop),
        (false, Some(entry)) => {
            let hint = "add `on_disconnect = \"drain\"`, or remove the key".to_owned();
            Err(entry.wrong("bounds that never apply", "it beside `on_disconnect = \"drain\"`", Some(hint)))
        }
    }
}

fn health_check(section: &Section<'_>) -> Result<Check, Reported> {
    let known = section.only(CHECK_KEYS);
    let path = section.require("path", PATH_ALLOWED).and_then(|entry| {
        let text = entry.text()?;
        if is_path(&text) { Ok(text) } else { Err(entry.wrong(quoted(&text), PATH_ALLOWED, None)) }
    });
    let every_ms = value::duration_ms_or(section, "every", CHECK_EVERY_MS, CHECK_EVERY_DEFAULT_MS);
    known?;
    Ok(Check { path: path?, every_ms: every_ms? })
}

/// The certificates in `ca_file`, DER-encoded; empty if there is no such key.
fn ca(section: &Section<'_>, base_url: Option<&BaseUrl>) -> Result<Vec<Vec<u8>>, Reported> {
    let Some(path) = value::optional_text(section, "ca_file")? else { return Ok(Vec::new()) };
    let Some(entry) = section.get("ca_file") else { return Ok(Vec::new()) };
    if base_url.is_some_and(|url| !url.tls) {
        let hint = "write `https://` in `base_url`, or remove the key".to_owned();
        return Err(entry.wrong(
            "a file although `base_url` is `http://`",
            "a file beside `https://`",
            Some(hint),
        ));
    }
    certificates::read(&entry, &path)
}
