//! `[[issuers]]`: who signs the users' tokens.
//!
//! Owns how the values of that table are read, and which algorithm goes with which kind of key. Must not know how a key file is read
//! or a token is checked.

use super::presets::IssuerPreset;
use super::reading::{Reported, listed, quoted};
use super::section::Section;
use super::setting::{Setting, all};
use super::url::http_url;
use super::value::{self, Names};
use super::words::KEY_SOURCES;
use crate::auth::{Algorithm, ClaimPaths, IssuerSettings, JwksUrl, KeySource, Secret};

/// HS256 needs a key as long as its hash (RFC 7518 §3.2), in bytes.
const SECRET_BYTES_MIN: usize = 32;
/// Reads `[[issuers]]`.
pub(super) fn read(root: &Section<'_>) -> Result<Vec<IssuerSettings>, Reported> {
    let mut names = Names::new(value::is_name);
    all(root.sections("issuers")?.iter().map(|section| issuer(section, &mut names)))
}

fn issuer(section: &Section<'_>, names: &mut Names) -> Result<IssuerSettings, Reported> {
    let name = names.take(section);
    let settings = of_section(section, String::new(), None);
    let name = name?;
    Ok(IssuerSettings { name, ..settings? })
}

/// The issuer that a table describes, in `[[issuers]]` or in `[[apps]]`, which has defaults.
pub(super) fn of_section(
    section: &Section<'_>,
    name: String,
    defaults: Option<IssuerPreset>,
) -> Result<IssuerSettings, Reported> {
    let algorithms = match (section.get("algorithms"), defaults) {
        (None, Some(_)) => Ok(vec![usual_algorithm(section)]),
        _ => algorithms(section),
    };
    let keys = keys(section);
    let issuer = section.optional_text("issuer");
    let audience = section.optional_text("audience");
    let header = header(section);
    let token_type = section.optional_text("token_type");
    let claims = claims(section);
    let leeway_s = section.read("leeway").and_then(|setting| setting.seconds());
    let max_lifetime_s = section.optional("max_lifetime", Setting::seconds);
    let settings = IssuerSettings::new(name, algorithms?, keys?);
    let defaults = defaults.unwrap_or_default();
    Ok(IssuerSettings {
        issuer: issuer?.or(defaults.issuer.map(str::to_owned)),
        audience: audience?,
        header: header?.or(defaults.header.map(str::to_owned)),
        token_type: token_type?,
        claims: claims?,
        leeway_s: leeway_s?,
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
    let has_secret = section.get("secret").or_else(|| section.get("secret_file")).is_some();
    let has_public_key = KEY_SOURCES[2..].iter().any(|key| section.get(key).is_some());
    section.read("algorithms")?.texts(|element, text| {
        let Ok(algorithm) = text.parse::<Algorithm>() else {
            return Err(element.no_word(text, Algorithm::ALL.map(Algorithm::name)));
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
    let sources: Vec<Setting<'_>> = KEY_SOURCES.iter().filter_map(|key| section.get(key)).collect();
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
        "public_key_file" => source.some_text().map(|path| KeySource::PublicKeyFile(path.into())),
        "jwks_file" => source.some_text().map(|path| KeySource::JwksFile(path.into())),
        "jwks_url" => jwks_url(section, source).map(KeySource::JwksUrl),
        _ => secret(section, source).map(KeySource::Secret),
    };
    unused?;
    keys
}

fn secret(section: &Section<'_>, source: &Setting<'_>) -> Result<Secret, Reported> {
    let found = |bytes: usize| {
        (format!("a secret of {bytes} bytes"), Some("make one with `openssl rand -hex 32`".to_owned()))
    };
    let secret = value::secret(section, "secret", |secret| {
        if secret.len() >= SECRET_BYTES_MIN { Ok(Secret::new(secret)) } else { Err(found(secret.len())) }
    })?;
    let (none, hint) = found(0);
    secret.ok_or_else(|| source.refused(none, hint))
}

fn jwks_url(section: &Section<'_>, source: &Setting<'_>) -> Result<JwksUrl, Reported> {
    let url = source.text().and_then(|text| match http_url(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            let hint = "the provider's discovery page names it as `jwks_uri`".to_owned();
            Err(source.refused(error.to_string(), Some(hint)))
        }
    });
    let refresh_s = section.read("jwks_refresh").and_then(|setting| setting.seconds());
    let stale_limit_s = section.read("jwks_stale_limit").and_then(|setting| setting.seconds());
    let (url, refresh_s, stale_limit_s) = (url?, refresh_s?, stale_limit_s?);
    if stale_limit_s < refresh_s {
        let hint = "or the keys go out of use before they are fetched again".to_owned();
        let found = format!("{stale_limit_s} s");
        let allowed = format!("at least `jwks_refresh`, {refresh_s} s");
        let setting = section.get("jwks_stale_limit").or_else(|| section.get("jwks_refresh"));
        return Err(setting.as_ref().unwrap_or(source).wrong(found, allowed, Some(hint)));
    }
    Ok(JwksUrl { url, refresh_s, stale_limit_s })
}

/// A key that would have no effect is refused.
fn jwks_times_unused(section: &Section<'_>, source: &Setting<'_>) -> Result<(), Reported> {
    if source.name == "jwks_url" {
        return Ok(());
    }
    let unused = ["jwks_refresh", "jwks_stale_limit"].into_iter().filter_map(|key| section.get(key));
    let told = |setting: Setting<'_>| {
        let found = format!("`{}` beside `{}`", setting.name, source.name);
        Err::<(), _>(setting.wrong(found, "beside `jwks_url` only", None))
    };
    all(unused.map(told)).map(|_| ())
}

fn header(section: &Section<'_>) -> Result<Option<String>, Reported> {
    let written = section.optional_text("header")?.zip(section.get("header"));
    written.map(|(text, setting)| value::header_name(&setting, &text).map(|_| text)).transpose()
}

fn claims(section: &Section<'_>) -> Result<ClaimPaths, Reported> {
    let section = section.section("claims")?;
    let claim = |key| section.read(key).and_then(|setting| setting.some_text());
    let (user, plan, team, role) = (claim("user"), claim("plan"), claim("team"), claim("role"));
    Ok(ClaimPaths { user: user?, plan: plan?, team: team?, role: role? })
}
