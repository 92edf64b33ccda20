//! `[[upstreams]]`: the servers that requests go to.
//!
//! Owns how the values of that table are read; those that name models otherwise are in `routing`. Must not know how a request is sent.

use std::collections::BTreeMap;

use super::certificates;
use super::nearest::did_you_mean;
use super::reading::{Reported, listed, quoted};
use super::section::Section;
use super::setting::{Setting, all};
use super::url;
use super::value::{self, Names};
use super::words::{DIALECTS, DISCONNECT_WORDS};
use crate::upstream::{BaseUrl, Check, Drain, OnDisconnect, UpstreamSettings};

/// Reads `[[upstreams]]`; at least one.
pub(super) fn read(root: &Section<'_>) -> Result<Vec<UpstreamSettings>, Reported> {
    let sections = root.sections("upstreams")?;
    if sections.is_empty() {
        let hint = "add `[[upstreams]]` with `name`, `base_url`, `models` and `serves`".to_owned();
        return Err(root.missing("upstreams", "at least one server that requests go to", Some(hint)));
    }
    let mut names = Names::new(value::is_label);
    all(sections.iter().map(|section| upstream(section, &mut names)))
}

fn upstream(section: &Section<'_>, names: &mut Names) -> Result<UpstreamSettings, Reported> {
    let name = names.take(section);
    let base_url = base_url(section);
    let api_key = api_key(section);
    let models = section.read("models").and_then(|setting| value::patterns(&setting));
    let serves = serves(section, base_url.as_ref().ok());
    let timeouts = section.section("timeouts").and_then(|section| timeouts(&section));
    let weight = section.read("weight").and_then(|setting| count(&setting));
    let priority = section.read("priority").and_then(|setting| count(&setting));
    let max_concurrent = section.optional("max_concurrent", count);
    let on_disconnect = on_disconnect(section);
    let without_tls = base_url.as_ref().is_ok_and(|url| !url.tls);
    let needs_tls = without_tls.then_some(("base_url", "is `http://`", "https://"));
    let ca = certificates::read(section, "ca_file", needs_tls);
    let check = section.optional("health_check", |setting| health_check(&setting.section()?));
    let timeouts = timeouts?;
    Ok(UpstreamSettings {
        api_key: api_key?,
        connect_timeout_ms: timeouts.connect_ms,
        first_byte_timeout_ms: timeouts.first_byte_ms,
        idle_timeout_ms: timeouts.idle_ms,
        weight: weight?,
        priority: priority?,
        max_concurrent: max_concurrent?,
        on_disconnect: on_disconnect?,
        ca: ca?,
        check: check?,
        ..UpstreamSettings::new(&name?, base_url?, models?, serves?)
    })
}

fn base_url(section: &Section<'_>) -> Result<BaseUrl, Reported> {
    let setting = section.read("base_url")?;
    url::base_url(&setting.text()?).map_err(|error| {
        let is_key = matches!(error, url::UrlError::User | url::UrlError::Query);
        setting.refused(error.to_string(), is_key.then(|| "the key belongs into `api_key`".to_owned()))
    })
}

/// The key that is sent upstream. It becomes the value of a header: visible ASCII only.
fn api_key(section: &Section<'_>) -> Result<Option<String>, Reported> {
    value::secret(section, "api_key", |key| {
        let found = "a key with a space, a line break or a letter beyond ASCII";
        let sound = key.bytes().all(|byte| byte.is_ascii_graphic());
        if sound { Ok(key) } else { Err((found.to_owned(), None)) }
    })
}

/// Dialect to path prefix; at least one.
fn serves(section: &Section<'_>, base_url: Option<&BaseUrl>) -> Result<BTreeMap<String, String>, Reported> {
    let allowed = format!("prefixes by dialect ({}), such as {{ openai = \"/v1\" }}", listed(DIALECTS));
    let Some(setting) = section.get("serves") else {
        return Err(section.missing("serves", &allowed, None));
    };
    let settings: Vec<Setting<'_>> = setting.section()?.settings().collect();
    if settings.is_empty() {
        return Err(setting.wrong("an empty table", allowed, None));
    }
    let serves = all(settings.iter().map(|setting| {
        if !DIALECTS.contains(&setting.name) {
            return Err(setting.wrong_key(&listed(DIALECTS), did_you_mean(setting.name, DIALECTS)));
        }
        prefix(setting, base_url).map(|prefix| (setting.name.to_owned(), prefix))
    }))?;
    Ok(serves.into_iter().collect())
}

fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%\\\"<>".contains(&byte))
        && !text.contains("//")
}

/// The path prefix of a dialect, without a slash at its end.
fn prefix(setting: &Setting<'_>, base_url: Option<&BaseUrl>) -> Result<String, Reported> {
    let text = setting.text()?;
    if !is_path(&text) {
        let hint = (text.is_empty()).then(|| "write `/` for no prefix".to_owned());
        return Err(setting.refused(quoted(&text), hint));
    }
    let prefix = text.trim_end_matches('/');
    // the commonest slip: `…/v1` in both places asks for `/v1/v1/…`, which no server has
    if !prefix.is_empty() && base_url.is_some_and(|base| base.path.ends_with(prefix)) {
        let hint = format!("remove `{prefix}` from `base_url`");
        return Err(setting.wrong(
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
    let ms = |key| section.read(key).and_then(|setting| setting.ms());
    let (connect_ms, first_byte_ms, idle_ms) = (ms("connect"), ms("first_byte"), ms("idle"));
    Ok(Timeouts { connect_ms: connect_ms?, first_byte_ms: first_byte_ms?, idle_ms: idle_ms? })
}

fn count(setting: &Setting<'_>) -> Result<u32, Reported> {
    // the bounds of the keys are far below
    setting.whole().map(|count| u32::try_from(count).unwrap_or(u32::MAX))
}

/// `on_disconnect`, with the bounds of `drain`.
fn on_disconnect(section: &Section<'_>) -> Result<OnDisconnect, Reported> {
    let drains = section.read("on_disconnect").and_then(|setting| setting.word(&DISCONNECT_WORDS));
    let bounds = section.section("drain").and_then(|section| {
        let max_bytes = section.read("max_bytes").and_then(|setting| setting.bytes());
        let max_time_ms = section.read("max_time").and_then(|setting| setting.ms());
        Ok(Drain { max_bytes: max_bytes?, max_time_ms: max_time_ms? })
    });
    match (drains?, section.get("drain")) {
        (true, _) => Ok(OnDisconnect::Drain(bounds?)),
        (false, None) => Ok(OnDisconnect::Stop),
        (false, Some(setting)) => {
            let hint = "add `on_disconnect = \"drain\"`, or remove the key".to_owned();
            Err(setting.wrong("bounds that never apply", "it beside `on_disconnect = \"drain\"`", Some(hint)))
        }
    }
}

fn health_check(section: &Section<'_>) -> Result<Check, Reported> {
    let path = section.read("path").and_then(|setting| {
        let text = setting.text()?;
        if is_path(&text) { Ok(text) } else { Err(setting.refused(quoted(&text), None)) }
    });
    let every_ms = section.read("every").and_then(|setting| setting.ms());
    Ok(Check { path: path?, every_ms: every_ms? })
}
