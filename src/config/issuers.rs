//! `[[issuers]]`: who signs the users' tokens.
//!
//! Owns the keys of that table, and which algorithm goes with which kind of key. Must not know how a key file is read
//! or a token is checked.

use super::entry::{Entry, all};
use super::nearest::did_you_mean;
use super::reading::{Reported, listed, quoted};
use super::section::{Keys, Section};
use super::url::http_url;
use super::value::{self, Names, optional_text};
use crate::auth::{Algorithm, ClaimPaths, IssuerSettings, JwksUrl, KeySource, Secret};

/// `name` and [`KEY_SOURCES`] among them.
pub(super) const KEYS: Keys = Keys {
    known: &[
        "name",
        "algorithms",
        "secret",
        "secret_file",
        "public_key_file",
        "jwks_file",
        "jwks_url",
        "jwks_refresh",
        "jwks_stale_limit",
        "issuer",
        "audience",
        "header",
        "claims",
        "leeway",
        "max_lifetime",
        "token_type",
    ],
    later: &[],
};
const CLAIM_KEYS: Keys = Keys { known: &["user", "plan", "team", "role"], later: &[] };

/// Where keys may come from: exactly one of them stands in an issuer.
pub(super) const KEY_SOURCES: [&str; 5] =
    ["secret", "secret_file", "public_key_file", "jwks_file", "jwks_url"];

/// HS256 needs a key as long as its hash (RFC 7518 §3.2), in bytes.
const SECRET_BYTES_MIN: usize = 32;
/// More would make `exp` meaningless, in milliseconds.
const LEEWAY_MS: (u64, u64) = (0, 600_000);
/// From a second, below which no token can be used, to a year, above which the bound guards nothing, in milliseconds.
const LIFETIME_MS: (u64, u64) = (1_000, 31_557_600_000);
/// Fetching more often only loads the provider; more seldom, a new key is found by its `kid` alone, in milliseconds.
const REFRESH_MS: (u64, u64) = (60_000, 24 * 3_600_000);
/// A key that the provider withdrew must not serve for longer, in milliseconds.
const STALE_LIMIT_MS: (u64, u64) = (60_000, 30 * 24 * 3_600_000);

/// What a preset says of the issuer that an app makes; its algorithm follows from the kind of key.
#[derive(Clone, Copy, Default)]
pub(super) struct Defaults {
    pub(super) issuer: Option<&'static str>,
    pub(super) header: Option<&'static str>,
    pub(super) max_lifetime_s: Option<u32>,
}

/// Reads `[[issuers]]`.
pub(super) fn read(root: &Section<'_>) -> Result<Vec<IssuerSettings>, Reported> {
    let mut names = Names::new(value::is_name, value::NAME_ALLOWED);
    all(root.sections("issuers")?.iter().map(|section| issuer(section, &mut names)))
}

fn issuer(section: &Section<'_>, names: &mut Names) -> Result<IssuerSettings, Reported> {
    let known = section.only(KEYS);
    let name = names.take(section);
    let settings = of_section(section, String::new(), None);
    known?;
    let name = name?;
    Ok(IssuerSettings { name, ..settings? })
}

/// The issuer that a table describes, in `[[issuers]]` or in `[[apps]]`, which has defaults.
pub(super) fn of_section(
    section: &Section<'_>,
    name: String,
    defaults: Option<Defaults>,
) -> Result<IssuerSettings, Reported> {
    let algorithms = match (section.get("algorithms"), defaults) {
        (None, Some(_)) => Ok(vec![usual_algorithm(section)]),
        _ => algorithms(section),
    };
    let keys = keys(section);
    let issuer = optional_text(section, "issuer");
    let audience = optional_text(section, "audience");
    let header = header(section);
    let token_type = optional_text(section, "token_type");
    let claims = claims(section);
    let leeway_s = optional_seconds(section, "leeway", LEEWAY_MS);
    let max_lifetime_s = optional_seconds(section, "max_lifetime", LIFETIME_MS);
    let settings = IssuerSettings::new(name, algorithms?, keys?);
    let defaults = defaults.unwrap_or_default();
    Ok(IssuerSettings {
        issuer: issuer?.or(defaults.issuer.map(str::to_owned)),
        audience: audience?,
        header: header?.or(defaults.header.map(str::to_owned)),
        token_type: token_type?,
        claims: claims?,
        leeway_s: leeway_s?.unwrap_or(settings.leeway_s),
        max_lifetime_s: max_lifetime_s?.or(defaults.max_lifetime_s),
        ..settings
    })
}

/// What nearly all sign with, by the kind of key.
fn usual_algorithm(section: &Section<'_>) -> Algorithm {
    let has_secret = section.get("secret").or_else(|| section.get("secret_file")).is_some();
    if has_secret { Algorithm::Hs256 } else { Algorithm::Rs256 }
}

/// The algorithms: each known, each for the kind of key that the issuer has.
fn algorithms(section: &Section<'_>) -> Result<Vec<Algorithm>, Reported> {
    let allowed = listed(Algorithm::ALL.map(Algorithm::name));
    let entry = section.require("algorithms", &allowed)?;
    let has_secret = section.get("secret").or_else(|| section.get("secret_file")).is_some();
    let has_public_key = KEY_SOURCES[2..].iter().any(|key| section.get(key).is_some());
    entry.some_texts(&allowed, |element, text| {
        let Ok(algorithm) = text.parse::<Algorithm>() else {
            let hint = did_you_mean(text, Algorithm::ALL.map(Algorithm::name));
            return Err(element.wrong(quoted(text), allowed.clone(), hint));
        };
        let symmetric = algorithm == Algorithm::Hs256;
        if symmetric && has_public_key && !has_secret {
            let hint = "a public key that is taken for a secret lets anybody sign tokens".to_owned();
            return Err(element.wrong(
                quoted(text),
                "an algorithm for public keys, such as RS256",
                Some(hint),
            ));
        }
        if !symmetric && has_secret && !has_public_key {
            let hint = "for a public key, give `public_key_file`, `jwks_file` or `jwks_url`".to_owned();
            return Err(element.wrong(quoted(text), "HS256 beside a secret", Some(hint)));
        }
        Ok(algorithm)
    })
}

/// The one source of keys.
fn keys(section: &Section<'_>) -> Result<KeySource, Reported> {
    let sources: Vec<Entry<'_>> = KEY_SOURCES.iter().filter_map(|key| section.get(key)).collect();
    let allowed = format!("exactly one of {}", listed(KEY_SOURCES));
    let source = match sources.as_slice() {
        [] => return Err(section.missing("secret", &allowed, None)),
        [source] => source,
        [_, .., last] => {
            let names = sources.iter().map(|source| format!("`{}`", source.name)).collect::<Vec<_>>();
            return Err(last.wrong(names.join(" and "), allowed, None));
        }
    };
    let unused = jwks_times_unused(section, source);
    let keys = match source.name {
        "public_key_file" => path(source).map(KeySource::PublicKeyFile),
        "jwks_file" => path(source).map(KeySource::JwksFile),
        "jwks_url" => jwks_url(section, source).map(KeySource::JwksUrl),
        _ => secret(section, source).map(KeySource::Secret),
    };
    unused?;
    keys
}

fn secret(section: &Section<'_>, source: &Entry<'_>) -> Result<Secret, Reported> {
    let secret = value::secret(section, "secret")?.unwrap_or_default();
    if secret.len() >= SECRET_BYTES_MIN {
        return Ok(Secret::new(secret));
    }
    let hint = "make one with `openssl rand -hex 32`".to_owned();
    let found = format!("a secret of {} bytes", secret.len());
    Err(source.wrong(found, format!("at least {SECRET_BYTES_MIN} bytes"), Some(hint)))
}

fn path(source: &Entry<'_>) -> Result<std::path::PathBuf, Reported> {
    let text = source.text()?;
    if text.is_empty() { Err(source.wrong("\"\"", "the path of a file", None)) } else { Ok(text.into()) }
}

fn jwks_url(section: &Section<'_>, source: &Entry<'_>) -> Result<JwksUrl, Reported> {
    let url = source.text().and_then(|text| match http_url(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(source.wrong(
            error.to_string(),
            "an `https://` (or `http://`) URL with a host and no user name",
            Some("the provider's discovery page names it as `jwks_uri`".to_owned()),
        )),
    });
    let refresh_s = optional_seconds(section, "jwks_refresh", REFRESH_MS);
    let stale_limit_s = optional_seconds(section, "jwks_stale_limit", STALE_LIMIT_MS);
    let default = JwksUrl::new(url?);
    let refresh_s = refresh_s?.unwrap_or(default.refresh_s);
    let stale_limit_s = stale_limit_s?.unwrap_or(default.stale_limit_s);
    if stale_limit_s < refresh_s {
        let hint = "or the keys go out of use before they are fetched again".to_owned();
        let found = format!("{stale_limit_s} s");
        let allowed = format!("at least `jwks_refresh`, {refresh_s} s");
        let entry = section.get("jwks_stale_limit").or_else(|| section.get("jwks_refresh"));
        return Err(entry.as_ref().unwrap_or(source).wrong(found, allowed, Some(hint)));
    }
    Ok(JwksUrl { refresh_s, stale_limit_s, ..default })
}

/// A key that would have no effect is refused.
fn jwks_times_unused(section: &Section<'_>, source: &Entry<'_>) -> Result<(), Reported> {
    if source.name == "jwks_url" {
        return Ok(());
    }
    let unused = ["jwks_refresh", "jwks_stale_limit"].into_iter().filter_map(|key| section.get(key));
    let told = |entry: Entry<'_>| {
        let found = format!("`{}` beside `{}`", entry.name, source.name);
        Err::<(), _>(entry.wrong(found, "beside `jwks_url` only", None))
    };
    all(unused.map(told)).map(|_| ())
}

fn header(section: &Section<'_>) -> Result<Option<String>, Reported> {
    let Some((text, entry)) = optional_text(section, "header")?.zip(section.get("header")) else {
        return Ok(None);
    };
    match http::HeaderName::try_from(text.as_str()) {
        Ok(_) => Ok(Some(text)),
        Err(_) => Err(entry.wrong(quoted(&text), "the name of a header, such as \"authorization\"", None)),
    }
}

fn claims(section: &Section<'_>) -> Result<ClaimPaths, Reported> {
    let section = section.section("claims")?;
    let known = section.only(CLAIM_KEYS);
    let default = ClaimPaths::default();
    let user = claim(&section, "user", default.user);
    let plan = claim(&section, "plan", default.plan);
    let team = claim(&section, "team", default.team);
    let role = claim(&section, "role", default.role);
    known?;
    Ok(ClaimPaths { user: user?, plan: plan?, team: team?, role: role? })
}

fn claim(section: &Section<'_>, key: &str, default: String) -> Result<String, Reported> {
    let Some(entry) = section.get(key) else { return Ok(default) };
    let text = entry.text()?;
    if text.is_empty() {
        return Err(entry.wrong("\"\"", "the dotted path of a claim, such as \"sub\"", None));
    }
    Ok(text)
}

/// A time in whole seconds, at a key that may be left out.
fn optional_seconds(
    section: &Section<'_>,
    key: &str,
    bounds_ms: (u64, u64),
) -> Result<Option<u32>, Reported> {
    let Some(entry) = section.get(key) else { return Ok(None) };
    let ms = value::duration_ms(&entry, bounds_ms)?;
    match u32::try_from(ms / 1_000) {
        Ok(seconds) if ms % 1_000 == 0 => Ok(Some(seconds)),
        _ => Err(entry.wrong(format!("{ms} ms"), "a time in whole seconds", None)),
    }
}
