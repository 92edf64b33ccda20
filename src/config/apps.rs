//! `[[apps]]`: chat apps and other clients that mark their calls, or speak for their users. A preset fills what the app
//! is known to send; each key of the file replaces one of the preset's.
//!
//! Owns how the values of that table are read; those of the issuer in it are read by `issuers`. Must not know headers'
//! meaning.

use super::issuers;
use super::keys::{ISSUER_KEYS, KEY_SOURCES, NAME_ALLOWED};
use super::nearest::did_you_mean;
use super::presets::PRESETS;
use super::reading::{Reported, all, gather, listed, quoted};
use super::server::networks;
use super::setting::Setting;
use super::settings::AppSettings;
use super::value::{self, header_name};
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
pub(super) fn read(root: &Setting<'_>, issuers: &mut Vec<IssuerSettings>) -> Result<AppSettings, Reported> {
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
    section: &Setting<'_>,
    taken: &mut Vec<String>,
    issuers: &[IssuerSettings],
) -> Result<AppTable, Reported> {
    let preset = section.optional("preset", |setting| Ok((setting.word(&PRESETS)?, setting.text()?)))?;
    let (preset, known_as) = preset.unzip();
    let section = &Setting { preset: preset.unwrap_or_default(), ..section.clone() };
    let name = name(section, known_as, taken)?;
    let issuer = issuer(section, &name);
    let service = service(section, &name);
    let rules = rules(section, &name, issuers);
    let (issuer, service, rules) = (issuer?, service?, rules?);
    let own = (issuer.is_some() || service.is_some()).then(|| vec![name]);
    let rules = ClientRules { callers: rules.callers.or(own), ..rules };
    if let Some(setting) = section.get("trusted").filter(|_| rules.trusted && rules.callers.is_none()) {
        let hint = "else any client could name the message that its call repeats".to_owned();
        let allowed = "beside `callers`, `key`, `secret` or `jwks_url`, which say whose calls the app makes";
        return Err(setting.wrong("true", allowed, Some(hint)));
    }
    Ok(AppTable { rules, issuer, service })
}

/// The name, by default that of the preset; unlike those of the issuers, because callers are told apart by it.
fn name(
    section: &Setting<'_>,
    known_as: Option<String>,
    taken: &mut Vec<String>,
) -> Result<String, Reported> {
    let setting = section.get("name").or_else(|| section.get("preset"));
    let Some(setting) = setting else { return Err(section.missing("name", NAME_ALLOWED, None)) };
    let name = known_as.filter(|_| setting.name == "preset").map_or_else(|| setting.text(), Ok)?;
    let wrong = |found: String, allowed: &str| {
        Err(setting.wrong(found, allowed, Some("give the app a `name` of its own".to_owned())))
    };
    if !value::is_name(&name) {
        return wrong(quoted(&name), NAME_ALLOWED);
    }
    if taken.contains(&name) {
        return wrong(format!("{} again", quoted(&name)), "a name that no other app and no issuer has");
    }
    taken.push(name.clone());
    Ok(name)
}

fn issuer(section: &Setting<'_>, name: &str) -> Result<Option<IssuerSettings>, Reported> {
    if KEY_SOURCES.iter().any(|key| section.get(key).is_some()) {
        return issuers::of_section(section, Ok(name.to_owned()), true).map(Some);
    }
    // its other keys only mean something beside a source of keys; the name is the app's
    let others: Vec<&str> = ISSUER_KEYS.iter().map(|key| key.name).filter(|key| *key != "name").collect();
    alone(section, &others, &listed(KEY_SOURCES)).map(|()| None)
}

fn service(section: &Setting<'_>, name: &str) -> Result<Option<ServiceSettings>, Reported> {
    let Some(source) = section.get("key").or_else(|| section.get("key_file")) else {
        return alone(section, &SERVICE_KEYS, "key, key_file").map(|()| None);
    };
    let no_user = || section.missing("user_header", "the header that names the user", None);
    let service = gather!(ServiceSettings {
        name: Ok(name.to_owned()),
        key: key(section, &source),
        peers: section.read("peers", networks),
        user_header: header(section, "user_header").and_then(|header| header.ok_or_else(no_user)),
        plan_header: header(section, "plan_header"),
        team_header: header(section, "team_header"),
    });
    service.map(Some)
}

fn key(section: &Setting<'_>, source: &Setting<'_>) -> Result<Secret, Reported> {
    value::secret_bytes(section, source, "key", |key| {
        key.len() >= KEY_BYTES_MIN && key.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

fn rules(section: &Setting<'_>, name: &str, issuers: &[IssuerSettings]) -> Result<ClientRules, Reported> {
    gather!(ClientRules {
        task_headers: section
            .optional("task_headers", |setting| setting.texts(header_name))
            .map(Option::unwrap_or_default),
        background: section
            .optional("background", |setting| setting.texts(class))
            .map(Option::unwrap_or_default),
        callers: section.optional("callers", |setting| callers(setting, name, issuers)),
        message_id_header: header(section, "message_id_header"),
        trusted: section.read("trusted", Setting::flag),
        name: Ok(name.to_owned()),
    })
}

fn class(element: &Setting<'_>, text: &str) -> Result<String, Reported> {
    match text.trim() {
        "" => Err(element.refused(quoted(text), None)),
        class => Ok(class.to_owned()),
    }
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
fn alone(section: &Setting<'_>, keys: &[&str], beside: &str) -> Result<(), Reported> {
    value::refuse_useless(section, keys, "without what it goes with", &format!("beside one of {beside}"))
}

fn header(section: &Setting<'_>, key: &str) -> Result<Option<String>, Reported> {
    section.filled(key)?.map(|setting| header_name(&setting, &setting.text()?)).transpose()
}
