//! `[[upstreams]]`: the servers that requests go to.
//!
//! Owns how the values of that table are read; those that name models otherwise are in `routing`. Must not know how a request is sent.

use std::collections::BTreeMap;

use super::file;
use super::keys::{DIALECTS, DISCONNECT_WORDS};
use super::nearest::did_you_mean;
use super::reading::{Reported, all, gather, listed, quoted};
use super::setting::Setting;
use super::url;
use super::value::{self, Names};
use crate::upstream::{BaseUrl, Check, Drain, OnDisconnect, UpstreamSettings};

/// Reads `[[upstreams]]`; at least one.
pub(super) fn read(root: &Setting<'_>) -> Result<Vec<UpstreamSettings>, Reported> {
    let sections = root.sections("upstreams")?;
    if sections.is_empty() {
        let hint = "add `[[upstreams]]` with `name`, `base_url`, `models` and `serves`".to_owned();
        return Err(root.missing("upstreams", "at least one server that requests go to", Some(hint)));
    }
    let mut names = Names::new(value::is_label);
    all(sections.iter().map(|section| upstream(section, &mut names)))
}

fn upstream(section: &Setting<'_>, names: &mut Names) -> Result<UpstreamSettings, Reported> {
    let timeouts = section.section("timeouts");
    let timeout = |key| timeouts.as_ref().map_err(|told| *told)?.read(key, Setting::ms);
    gather!(UpstreamSettings {
        name: names.take(section),
        base_url: section.read("base_url", base_url),
        api_key: api_key(section),
        models: section.read("models", value::patterns),
        serves: serves(section, base_url.as_ref().ok()),
        connect_timeout_ms: timeout("connect"),
        first_byte_timeout_ms: timeout("first_byte"),
        idle_timeout_ms: timeout("idle"),
        weight: section.read("weight", count),
        priority: section.read("priority", count),
        max_concurrent: section.optional("max_concurrent", count),
        on_disconnect: on_disconnect(section),
        ca: {
            let without_tls = base_url.as_ref().is_ok_and(|url| !url.tls);
            let needs_tls = without_tls.then_some(("base_url", "is `http://`", "https://"));
            file::certificates(section, "ca_file", needs_tls)
        },
        check: section.optional("health_check", health_check),
    })
}

fn base_url(setting: &Setting<'_>) -> Result<BaseUrl, Reported> {
    url::base_url(&setting.text()?).map_err(|error| {
        let is_key = matches!(error, url::UrlError::User | url::UrlError::Query);
        setting.refused(error.to_string(), is_key.then(|| "the key belongs into `api_key`".to_owned()))
    })
}

/// The key that is sent upstream. It becomes the value of a header: visible ASCII only.
fn api_key(section: &Setting<'_>) -> Result<Option<String>, Reported> {
    value::secret(section, "api_key", |key| {
        let found = "a key with a space, a line break or a letter beyond ASCII";
        let sound = key.bytes().all(|byte| byte.is_ascii_graphic());
        if sound { Ok(key) } else { Err((found.to_owned(), None)) }
    })
}

/// Dialect to path prefix; at least one.
fn serves(section: &Setting<'_>, base_url: Option<&BaseUrl>) -> Result<BTreeMap<String, String>, Reported> {
    let allowed = format!("prefixes by dialect ({}), such as {{ openai = \"/v1\" }}", listed(DIALECTS));
    let Some(setting) = section.get("serves") else {
        return Err(section.missing("serves", &allowed, None));
    };
    let settings: Vec<Setting<'_>> = setting.as_section()?.settings().collect();
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
        let found = format!("{} although `base_url` ends in it", quoted(&text));
        return Err(setting.wrong(found, "a prefix that is not there twice", Some(hint)));
    }
    Ok(prefix.to_owned())
}

fn count(setting: &Setting<'_>) -> Result<u32, Reported> {
    // the bounds of the keys are far below
    setting.whole().map(|count| u32::try_from(count).unwrap_or(u32::MAX))
}

/// `on_disconnect`, with the bounds of `drain`.
fn on_disconnect(section: &Setting<'_>) -> Result<OnDisconnect, Reported> {
    let drains = section.read("on_disconnect", |setting| setting.word(&DISCONNECT_WORDS));
    let bounds = section.section("drain").and_then(|section| {
        gather!(Drain {
            max_bytes: section.read("max_bytes", Setting::bytes),
            max_time_ms: section.read("max_time", Setting::ms),
        })
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

fn health_check(setting: &Setting<'_>) -> Result<Check, Reported> {
    let section = setting.as_section()?;
    let path = |setting: &Setting<'_>| {
        let text = setting.text()?;
        if is_path(&text) { Ok(text) } else { Err(setting.refused(quoted(&text), None)) }
    };
    gather!(Check { path: section.read("path", path), every_ms: section.read("every", Setting::ms) })
}
