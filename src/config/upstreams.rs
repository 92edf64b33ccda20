//! `[[upstreams]]`: the servers that requests go to.
//!
//! Owns the keys of that table, and that no pattern leads to two servers. Must not know how a request is sent.

use std::collections::BTreeMap;

use super::entry::{Entry, all};
use super::nearest::did_you_mean;
use super::reading::{Reported, listed, quoted};
use super::section::{Keys, Section};
use super::url;
use super::value::{self, Names};
use crate::quota::Pattern;
use crate::upstream::{BaseUrl, UpstreamSettings};

const KEYS: Keys = Keys {
    known: &["name", "base_url", "api_key", "api_key_file", "models", "serves", "timeouts"],
    later: &["weight", "priority", "rewrite"],
};
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

/// Reads `[[upstreams]]`; at least one.
pub(super) fn read(root: &Section<'_>) -> Result<Vec<UpstreamSettings>, Reported> {
    let sections = root.sections("upstreams")?;
    if sections.is_empty() {
        let hint = "add `[[upstreams]]` with `name`, `base_url`, `models` and `serves`".to_owned();
        return Err(root.missing("upstreams", "at least one server that requests go to", Some(hint)));
    }
    let mut names = Names::new(value::is_label, value::LABEL_ALLOWED);
    let mut routes = Routes::default();
    all(sections.iter().map(|section| {
        let upstream = upstream(section, &mut names)?;
        routes.add(section, &upstream)?;
        Ok(upstream)
    }))
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
    known?;
    let timeouts = timeouts?;
    Ok(UpstreamSettings {
        name: name?,
        base_url: base_url?,
        api_key: api_key?,
        models: models?,
        serves: serves?,
        connect_timeout_ms: timeouts.connect_ms,
        first_byte_timeout_ms: timeouts.first_byte_ms,
        idle_timeout_ms: timeouts.idle_ms,
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

/// The path prefix of a dialect, without a slash at its end.
fn prefix(entry: &Entry<'_>, base_url: Option<&BaseUrl>) -> Result<String, Reported> {
    let text = entry.text()?;
    let sound = text.starts_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%\\\"<>".contains(&byte))
        && !text.contains("//");
    if !sound {
        let hint = (text.is_empty()).then(|| "write `/` for no prefix".to_owned());
        return Err(entry.wrong(quoted(&text), "a path that begins with `/`, such as \"/v1\"", hint));
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

/// Which upstream a pattern leads to, by dialect.
#[derive(Default)]
struct Routes(BTreeMap<(String, String), String>);

impl Routes {
    /// Adds an upstream's patterns; one that already leads elsewhere would make every model it names unreachable.
    fn add(&mut self, section: &Section<'_>, upstream: &UpstreamSettings) -> Result<(), Reported> {
        let entries = section.require("models", "patterns")?.elements()?;
        all(upstream.models.iter().zip(&entries).map(|(pattern, entry)| {
            self.clash(pattern, upstream).map_or(Ok(()), |clash| Err(told(entry, pattern, &clash)))
        }))
        .map(|_| ())
    }

    fn clash(&mut self, pattern: &Pattern, upstream: &UpstreamSettings) -> Option<(String, String)> {
        for dialect in upstream.serves.keys() {
            // patterns match without regard to case
            let route = (dialect.clone(), pattern.as_str().to_ascii_lowercase());
            match self.0.get(&route) {
                Some(other) if *other != upstream.name => return Some((dialect.clone(), other.clone())),
                Some(_) => {}
                None => {
                    self.0.insert(route, upstream.name.clone());
                }
            }
        }
        None
    }
}

fn told(entry: &Entry<'_>, pattern: &Pattern, (dialect, other): &(String, String)) -> Reported {
    let found = format!("{}, which upstream `{other}` has too for `{dialect}`", quoted(pattern.as_str()));
    let hint =
        "a model must lead to one upstream: narrow one of the patterns, or take the dialect from `serves`";
    entry.wrong(found, "a pattern that no other upstream has", Some(hint.to_owned()))
}
