//! `[[apps]]`: chat apps and other clients that mark their calls, or speak for their users. A preset fills what the app
//! is known to send; each key of the file replaces one of the preset's.
//!
//! Owns how the values of that table are read; those of the issuer in it are read by `issuers`. Must not know headers'
//! meaning.

use super::issuers;
use super::keys::{ISSUER_KEYS, NAME_ALLOWED};
use super::nearest::did_you_mean;
use super::presets::{PRESETS, Preset};
use super::reading::{Reported, listed, quoted};
use super::section::Section;
use super::server::networks;
use super::setting::{Setting, all};
use super::settings::AppSettings;
use super::value::{self, header_name};
use super::words::KEY_SOURCES;
use crate::auth::{ClientRules, IssuerSettings, Secret, ServiceSettings};

/// Keys that only mean something beside `key`.
const SERVICE_KEYS: [&str; 4] = ["peers", "user_header", "plan_header", "team_header"];

/// A shorter key could be guessed, in bytes.
const KEY_BYTES_MIN: usize = 24;
/// Each call is looked at by each app.
const APPS_MAX: usize = 32;

/// What one table says.
struct AppTable {
    rules: ClientRules,
    issuer: Option<IssuerSettings>,
    service: Option<ServiceSettings>,
}

/// Reads `[[apps]]`. `issuers` are those of `[[issuers]]`; those that apps make are added.
pub(super) fn read(root: &Section<'_>, issuers: &mut Vec<IssuerSettings>) -> Result<AppSettings, Reported> {
    let sections = value::at_most(root, "apps", APPS_MAX)?;
    let mut taken: Vec<String> = issuers.iter().map(|issuer| issuer.name.clone()).collect();
    let apps = all(sections.iter().map(|section| app(section, &mut taken, issuers)))?;
    let mut settings = AppSettings::default();
    for AppTable { rules, issuer, service } in apps {
        settings.rules.push(rules);
        settings.services.extend(service);
        issuers.extend(issuer);
    }
    Ok(settings)
}

fn app(
    section: &Section<'_>,
    taken: &mut Vec<String>,
    issuers: &[IssuerSettings],
) -> Result<AppTable, Reported> {
    let preset = preset(section)?;
    let name = name(section, preset, taken)?;
    let issuer = issuer(section, &name, preset);
    let service = service(section, &name, preset);
    let rules = rules(section, &name, preset, issuers);
    let (issuer, service, rules) = (issuer?, service?, rules?);
    let callers = rules.callers.clone();
    let own = (issuer.is_some() || service.is_some()).then(|| vec![name]);
    let rules = ClientRules { callers: callers.or(own), ..rules };
    if let Some(setting) = section.get("trusted").filter(|_| rules.trusted && rules.callers.is_none()) {
        let hint = "else any client could name the message that its call repeats".to_owned();
        let allowed = "beside `callers`, `key`, `secret` or `jwks_url`, which say whose calls the app makes";
        return Err(setting.wrong("true", allowed, Some(hint)));
    }
    Ok(AppTable { rules, issuer, service })
}

fn preset(section: &Section<'_>) -> Result<Option<&'static Preset>, Reported> {
    section.optional("preset", |setting| {
        let text = setting.text()?;
        let names = PRESETS.iter().map(|preset| preset.name);
        PRESETS.iter().find(|preset| preset.name == text).ok_or_else(|| setting.no_word(&text, names))
    })
}

/// The name, by default the preset's; unlike those of the issuers, because callers are told apart by it.
fn name(
    section: &Section<'_>,
    preset: Option<&'static Preset>,
    taken: &mut Vec<String>,
) -> Result<String, Reported> {
    let (setting, name) = match (section.get("name"), preset) {
        (Some(setting), _) => (Some(setting.clone()), setting.text()?),
        (None, Some(preset)) => (section.get("preset"), preset.name.to_owned()),
        (None, None) => return Err(section.missing("name", NAME_ALLOWED, None)),
    };
    let wrong = |found: String, allowed: &str| {
        let hint = "give the app a `name` of its own".to_owned();
        setting.as_ref().map_or_else(
            || section.missing("name", NAME_ALLOWED, None),
            |setting| setting.wrong(found, allowed, Some(hint)),
        )
    };
    if !value::is_name(&name) {
        return Err(wrong(quoted(&name), NAME_ALLOWED));
    }
    if taken.contains(&name) {
        return Err(wrong(format!("{} again", quoted(&name)), "a name that no other app and no issuer has"));
    }
    taken.push(name.clone());
    Ok(name)
}

fn issuer(
    section: &Section<'_>,
    name: &str,
    preset: Option<&'static Preset>,
) -> Result<Option<IssuerSettings>, Reported> {
    if KEY_SOURCES.iter().any(|key| section.get(key).is_some()) {
        let defaults = preset.map(|preset| preset.issuer).unwrap_or_default();
        return issuers::of_section(section, name.to_owned(), Some(defaults)).map(Some);
    }
    // its other keys only mean something beside a source of keys; the name is the app's
    let others: Vec<&str> = ISSUER_KEYS.iter().map(|key| key.name).filter(|key| *key != "name").collect();
    alone(section, &others, &listed(KEY_SOURCES)).map(|()| None)
}

fn service(
    section: &Section<'_>,
    name: &str,
    preset: Option<&'static Preset>,
) -> Result<Option<ServiceSettings>, Reported> {
    let Some(source) = section.get("key").or_else(|| section.get("key_file")) else {
        return alone(section, &SERVICE_KEYS, "key, key_file").map(|()| None);
    };
    let key = key(section, &source);
    let peers = section.read("peers").and_then(|setting| networks(&setting));
    let user_header = match (header(section, "user_header")?, preset.and_then(|preset| preset.user_header)) {
        (Some(header), _) => Ok(header),
        (None, Some(header)) => Ok(header.to_owned()),
        (None, None) => Err(section.missing("user_header", "the header that names the user", None)),
    };
    let plan_header = header(section, "plan_header");
    let team_header = header(section, "team_header");
    Ok(Some(ServiceSettings {
        name: name.to_owned(),
        key: key?,
        peers: peers?,
        user_header: user_header?,
        plan_header: plan_header?,
        team_header: team_header?,
    }))
}

fn key(section: &Section<'_>, source: &Setting<'_>) -> Result<Secret, Reported> {
    let found = |bytes: usize| {
        (format!("a key of {bytes} bytes"), Some("make one with `openssl rand -hex 32`".to_owned()))
    };
    let key = value::secret(section, "key", |key| {
        let sound = key.len() >= KEY_BYTES_MIN && key.bytes().all(|byte| byte.is_ascii_graphic());
        if sound { Ok(Secret::new(key)) } else { Err(found(key.len())) }
    })?;
    let (none, hint) = found(0);
    key.ok_or_else(|| source.refused(none, hint))
}

fn rules(
    section: &Section<'_>,
    name: &str,
    preset: Option<&'static Preset>,
    issuers: &[IssuerSettings],
) -> Result<ClientRules, Reported> {
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    let task_headers = match section.get("task_headers") {
        Some(setting) => setting.texts(header_name),
        None => Ok(preset.map(|preset| names(preset.task_headers)).unwrap_or_default()),
    };
    let background = match section.get("background") {
        Some(setting) => setting.texts(|element, text| match text.trim() {
            "" => Err(element.refused(quoted(text), None)),
            class => Ok(class.to_owned()),
        }),
        None => Ok(preset.map(|preset| names(preset.background)).unwrap_or_default()),
    };
    let callers = section.optional("callers", |setting| callers(setting, name, issuers));
    let message_id_header = header(section, "message_id_header");
    let trusted = section.read("trusted").and_then(|setting| setting.flag());
    let known = preset.and_then(|preset| preset.message_id_header).map(str::to_owned);
    Ok(ClientRules {
        name: name.to_owned(),
        callers: callers?,
        task_headers: task_headers?,
        background: background?,
        message_id_header: message_id_header?.or(known),
        trusted: trusted?,
    })
}

fn callers(setting: &Setting<'_>, own: &str, issuers: &[IssuerSettings]) -> Result<Vec<String>, Reported> {
    let names = || issuers.iter().map(|issuer| issuer.name.as_str()).chain([own]);
    setting.texts(|element, text| {
        if names().any(|name| name == text) {
            return Ok(text.to_owned());
        }
        let allowed = format!("the name of one of the `[[issuers]]`, or the app's own: {}", listed(names()));
        Err(element.wrong(quoted(text), allowed, did_you_mean(text, names())))
    })
}

/// Keys that would have no effect are refused.
fn alone(section: &Section<'_>, keys: &[&str], beside: &str) -> Result<(), Reported> {
    let useless = keys.iter().filter_map(|key| section.get(key));
    let told = |setting: Setting<'_>| {
        let found = format!("`{}` without what it goes with", setting.name);
        Err::<(), _>(setting.wrong(found, format!("beside one of {beside}"), None))
    };
    all(useless.map(told)).map(|_| ())
}

fn header(section: &Section<'_>, key: &str) -> Result<Option<String>, Reported> {
    let written = section.optional_text(key)?.zip(section.get(key));
    written.map(|(text, setting)| header_name(&setting, &text)).transpose()
}
