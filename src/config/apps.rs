//! `[[apps]]`: chat apps and other clients that mark their calls, or speak for their users. A preset fills what the app
//! is known to send; each key of the file replaces one of the preset's.
//!
//! Owns the presets and the keys of that table; those of the issuer in it are read by `issuers`. Must not know headers'
//! meaning.

use super::entry::{Entry, all};
use super::issuers::{self, Defaults};
use super::nearest::did_you_mean;
use super::reading::{Reported, listed, quoted};
use super::section::{Keys, Section};
use super::server::networks;
use super::settings::AppSettings;
use super::value;
use crate::auth::{ClientRules, IssuerSettings, Secret, ServiceSettings};

/// Beside those of an issuer.
const KEYS: Keys = Keys {
    known: &[
        "preset",
        "callers",
        "task_headers",
        "background",
        "message_id_header",
        "trusted",
        "key",
        "key_file",
        "peers",
        "user_header",
        "plan_header",
        "team_header",
    ],
    later: &[],
};

/// Keys that only mean something beside `key`.
const SERVICE_KEYS: [&str; 4] = ["peers", "user_header", "plan_header", "team_header"];

/// A shorter key could be guessed, in bytes.
const KEY_BYTES_MIN: usize = 24;
/// Each call is looked at by each app.
const APPS_MAX: usize = 32;

/// What an app is known to send.
struct Preset {
    name: &'static str,
    task_headers: &'static [&'static str],
    background: &'static [&'static str],
    message_id_header: Option<&'static str>,
    user_header: Option<&'static str>,
    issuer: Defaults,
}

const PRESETS: [Preset; 3] = [
    Preset {
        name: "open-webui",
        task_headers: &["x-tollgate-task"],
        // `TASKS` in Open WebUI's constants.py, without what makes an answer of its own (`moa_response_generation`)
        background: &[
            "title_generation",
            "follow_up_generation",
            "tags_generation",
            "emoji_generation",
            "query_generation",
            "image_prompt_generation",
            "autocomplete_generation",
            "function_calling",
        ],
        message_id_header: Some("x-tollgate-message-id"),
        user_header: Some("x-openwebui-user-id"),
        // it signs for 5 minutes, and sends no `aud`
        issuer: Defaults {
            issuer: Some("open-webui"),
            header: Some("x-openwebui-user-jwt"),
            max_lifetime_s: Some(600),
        },
    },
    Preset {
        name: "librechat",
        task_headers: &["x-tollgate-task"],
        // LibreChat marks no call by itself; an endpoint of its own for titles can: `X-Tollgate-Task: title`
        background: &["title"],
        message_id_header: Some("x-tollgate-message-id"),
        user_header: Some("x-tollgate-user"),
        issuer: Defaults { issuer: None, header: None, max_lifetime_s: None },
    },
    Preset {
        name: "claude-code",
        task_headers: &["x-claude-code-request-class"],
        background: &["auxiliary", "compaction"],
        message_id_header: None,
        user_header: None,
        issuer: Defaults { issuer: None, header: None, max_lifetime_s: None },
    },
];

/// What one table says.
struct App {
    rules: ClientRules,
    issuer: Option<IssuerSettings>,
    service: Option<ServiceSettings>,
}

/// Reads `[[apps]]`. `issuers` are those of `[[issuers]]`; those that apps make are added.
pub(super) fn read(root: &Section<'_>, issuers: &mut Vec<IssuerSettings>) -> Result<AppSettings, Reported> {
    let sections = root.sections("apps")?;
    if let Some(entry) = root.get("apps").filter(|_| sections.len() > APPS_MAX) {
        return Err(entry.wrong(format!("{} apps", sections.len()), format!("at most {APPS_MAX}"), None));
    }
    let mut taken: Vec<String> = issuers.iter().map(|issuer| issuer.name.clone()).collect();
    let apps = all(sections.iter().map(|section| app(section, &mut taken, issuers)))?;
    let mut settings = AppSettings::default();
    for App { rules, issuer, service } in apps {
        settings.rules.push(rules);
        settings.services.extend(service);
        issuers.extend(issuer);
    }
    Ok(settings)
}

fn app(section: &Section<'_>, taken: &mut Vec<String>, issuers: &[IssuerSettings]) -> Result<App, Reported> {
    let known = section.only_of(&[issuers::KEYS, KEYS]);
    let preset = preset(section)?;
    let name = name(section, preset, taken)?;
    let issuer = issuer(section, &name, preset);
    let service = service(section, &name, preset);
    let rules = rules(section, &name, preset, issuers);
    known?;
    let (issuer, service, rules) = (issuer?, service?, rules?);
    let callers = rules.callers.clone();
    let own = (issuer.is_some() || service.is_some()).then(|| vec![name]);
    let rules = ClientRules { callers: callers.or(own), ..rules };
    if let Some(entry) = section.get("trusted").filter(|_| rules.trusted && rules.callers.is_none()) {
        let hint = "else any client could name the message that its call repeats".to_owned();
        let allowed = "beside `callers`, `key`, `secret` or `jwks_url`, which say whose calls the app makes";
        return Err(entry.wrong("true", allowed, Some(hint)));
    }
    Ok(App { rules, issuer, service })
}

fn preset(section: &Section<'_>) -> Result<Option<&'static Preset>, Reported> {
    let Some(entry) = section.get("preset") else { return Ok(None) };
    let text = entry.text()?;
    let names = || PRESETS.iter().map(|preset| preset.name);
    match PRESETS.iter().find(|preset| preset.name == text) {
        Some(preset) => Ok(Some(preset)),
        None => Err(entry.wrong(quoted(&text), listed(names()), did_you_mean(&text, names()))),
    }
}

/// The name, by default the preset's; unlike those of the issuers, because callers are told apart by it.
fn name(
    section: &Section<'_>,
    preset: Option<&'static Preset>,
    taken: &mut Vec<String>,
) -> Result<String, Reported> {
    let (entry, name) = match (section.get("name"), preset) {
        (Some(entry), _) => (Some(entry.clone()), entry.text()?),
        (None, Some(preset)) => (section.get("preset"), preset.name.to_owned()),
        (None, None) => return Err(section.missing("name", value::NAME_ALLOWED, None)),
    };
    let wrong = |found: String, allowed: &str| {
        let hint = "give the app a `name` of its own".to_owned();
        entry.as_ref().map_or_else(
            || section.missing("name", value::NAME_ALLOWED, None),
            |entry| entry.wrong(found, allowed, Some(hint)),
        )
    };
    if !value::is_name(&name) {
        return Err(wrong(quoted(&name), value::NAME_ALLOWED));
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
    if issuers::KEY_SOURCES.iter().any(|key| section.get(key).is_some()) {
        let defaults = preset.map(|preset| preset.issuer).unwrap_or_default();
        return issuers::of_section(section, name.to_owned(), Some(defaults)).map(Some);
    }
    // its other keys only mean something beside a source of keys; the name is the app's
    let others: Vec<&str> = issuers::KEYS.known.iter().copied().filter(|key| *key != "name").collect();
    alone(section, &others, &listed(issuers::KEY_SOURCES)).map(|()| None)
}

fn service(
    section: &Section<'_>,
    name: &str,
    preset: Option<&'static Preset>,
) -> Result<Option<ServiceSettings>, Reported> {
    let Some(entry) = section.get("key").or_else(|| section.get("key_file")) else {
        return alone(section, &SERVICE_KEYS, "key, key_file").map(|()| None);
    };
    let key = key(section, &entry);
    let peers = section
        .require("peers", "the networks that the app connects from, such as [\"10.0.0.7/32\"]")
        .and_then(|entry| match networks(&entry)? {
            none if none.is_empty() => Err(entry.wrong("an empty list", "at least one network", None)),
            some => Ok(some),
        });
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

fn key(section: &Section<'_>, entry: &Entry<'_>) -> Result<Secret, Reported> {
    let key = value::secret(section, "key")?.unwrap_or_default();
    let sound = key.len() >= KEY_BYTES_MIN && key.bytes().all(|byte| byte.is_ascii_graphic());
    if sound {
        return Ok(Secret::new(key));
    }
    let hint = "make one with `openssl rand -hex 32`".to_owned();
    let found = format!("a key of {} bytes", key.len());
    let allowed = format!("at least {KEY_BYTES_MIN} bytes of visible ASCII");
    Err(entry.wrong(found, allowed, Some(hint)))
}

fn rules(
    section: &Section<'_>,
    name: &str,
    preset: Option<&'static Preset>,
    issuers: &[IssuerSettings],
) -> Result<ClientRules, Reported> {
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    let task_headers = match section.get("task_headers") {
        Some(entry) => entry.texts(header_name),
        None => Ok(preset.map(|preset| names(preset.task_headers)).unwrap_or_default()),
    };
    let background = match section.get("background") {
        Some(entry) => entry.texts(|element, text| match text.trim() {
            "" => Err(element.wrong(quoted(text), "the name of a class of calls", None)),
            class => Ok(class.to_owned()),
        }),
        None => Ok(preset.map(|preset| names(preset.background)).unwrap_or_default()),
    };
    let callers = section.get("callers").map(|entry| callers(&entry, name, issuers)).transpose();
    let message_id_header = header(section, "message_id_header");
    let trusted = section.get("trusted").map_or(Ok(false), |entry| entry.boolean());
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

fn callers(entry: &Entry<'_>, own: &str, issuers: &[IssuerSettings]) -> Result<Vec<String>, Reported> {
    let names = || issuers.iter().map(|issuer| issuer.name.as_str()).chain([own]);
    entry.some_texts("at least one name of an issuer", |element, text| {
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
    let told = |entry: Entry<'_>| {
        let found = format!("`{}` without what it goes with", entry.name);
        Err::<(), _>(entry.wrong(found, format!("beside one of {beside}"), None))
    };
    all(useless.map(told)).map(|_| ())
}

fn header(section: &Section<'_>, key: &str) -> Result<Option<String>, Reported> {
    let Some((text, entry)) = value::optional_text(section, key)?.zip(section.get(key)) else {
        return Ok(None);
    };
    header_name(&entry, &text).map(Some)
}

fn header_name(entry: &Entry<'_>, text: &str) -> Result<String, Reported> {
    match http::HeaderName::try_from(text) {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(_) => Err(entry.wrong(quoted(text), "the name of a header, such as \"x-tollgate-task\"", None)),
    }
}
