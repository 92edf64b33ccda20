//! `[[issuers]]`: who signs the users' tokens.
//!
//! Owns how the values of that table are read, and which algorithm goes with which kind of key. Must not know how a
//! key file is read or a token is checked.

use super::keys::KEY_SOURCES;
use super::reading::{Reported, all, gather, listed, quoted};
use super::setting::Setting;
use super::url::http_url;
use super::value::{self, Names};
use crate::auth::{Algorithm, ClaimPaths, IssuerSettings, JwksUrl, KeySource};

/// HS256 needs a key as long as its hash (RFC 7518 §3.2), in bytes.
const SECRET_BYTES_MIN: usize = 32;

/// Reads `[[issuers]]`.
pub(super) fn read(root: &Setting<'_>) -> Result<Vec<IssuerSettings>, Reported> {
    let mut names = Names::new(value::is_name);
    let sections = root.sections("issuers")?;
    all(sections.iter().map(|section| of_section(section, names.take(section), false)))
}

/// The issuer that a table describes, in `[[issuers]]` or of an app, which need not name the algorithms.
pub(super) fn of_section(
    section: &Setting<'_>,
    known_as: Result<String, Reported>,
    is_app: bool,
) -> Result<IssuerSettings, Reported> {
    gather!(IssuerSettings {
        name: known_as,
        algorithms: match section.get("algorithms") {
            None if is_app => Ok(vec![usual_algorithm(section)]),
            _ => section.read("algorithms", |setting| algorithms(section, setting)),
        },
        keys: keys(section),
        issuer: section.optional_text("issuer"),
        audience: section.optional_text("audience"),
        header: header(section),
        token_type: section.optional_text("token_type"),
        claims: claims(section),
        leeway_s: section.read("leeway", Setting::seconds),
        max_lifetime_s: section.optional("max_lifetime", Setting::seconds),
    })
}

fn has_secret(section: &Setting<'_>) -> bool {
    KEY_SOURCES[..2].iter().any(|key| section.get(key).is_some())
}

/// What nearly all sign with, by the kind of key.
fn usual_algorithm(section: &Setting<'_>) -> Algorithm {
    if has_secret(section) { Algorithm::Hs256 } else { Algorithm::Rs256 }
}

/// The algorithms: each known, each for the kind of key that the issuer has.
fn algorithms(section: &Setting<'_>, list: &Setting<'_>) -> Result<Vec<Algorithm>, Reported> {
    let has_secret = has_secret(section);
    let has_public_key = KEY_SOURCES[2..].iter().any(|key| section.get(key).is_some());
    list.texts(|element, text| {
        let Ok(algorithm) = text.parse::<Algorithm>() else {
            return Err(element.no_word(text, Algorithm::ALL.map(Algorithm::name)));
        };
        let symmetric = algorithm == Algorithm::Hs256;
        if symmetric && has_public_key && !has_secret {
            let hint = "a public key that is taken for a secret lets anybody sign tokens".to_owned();
            let allowed = "an algorithm for public keys, such as RS256";
            return Err(element.wrong(quoted(text), allowed, Some(hint)));
        }
        if !symmetric && has_secret && !has_public_key {
            let hint = "for a public key, give `public_key_file`, `jwks_file` or `jwks_url`".to_owned();
            return Err(element.wrong(quoted(text), "HS256 beside a secret", Some(hint)));
        }
        Ok(algorithm)
    })
}

/// The one source of keys.
fn keys(section: &Setting<'_>) -> Result<KeySource, Reported> {
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
    let beside = format!("beside `{}`", source.name);
    let times: &[&str] = if source.name == "jwks_url" { &[] } else { &["jwks_refresh", "jwks_stale_limit"] };
    let unused = value::refuse_useless(section, times, &beside, "beside `jwks_url` only");
    let keys = match source.name {
        "public_key_file" => source.some_text().map(|path| KeySource::PublicKeyFile(path.into())),
        "jwks_file" => source.some_text().map(|path| KeySource::JwksFile(path.into())),
        "jwks_url" => jwks_url(section, source).map(KeySource::JwksUrl),
        _ => value::secret_bytes(section, source, "secret", |secret| secret.len() >= SECRET_BYTES_MIN)
            .map(KeySource::Secret),
    };
    unused?;
    keys
}

fn jwks_url(section: &Setting<'_>, source: &Setting<'_>) -> Result<JwksUrl, Reported> {
    let url = source.text().and_then(|text| match http_url(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            let hint = "the provider's discovery page names it as `jwks_uri`".to_owned();
            Err(source.refused(error.to_string(), Some(hint)))
        }
    });
    let refresh_s = section.read("jwks_refresh", Setting::seconds);
    let stale_limit_s = section.read("jwks_stale_limit", Setting::seconds);
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

fn header(section: &Setting<'_>) -> Result<Option<String>, Reported> {
    let Some(setting) = section.filled("header")? else { return Ok(None) };
    let text = setting.text()?;
    value::header_name(&setting, &text).map(|_| Some(text))
}

fn claims(section: &Setting<'_>) -> Result<ClaimPaths, Reported> {
    let section = section.section("claims")?;
    let claim = |key| section.read(key, Setting::some_text);
    gather!(ClaimPaths { user: claim("user"), plan: claim("plan"), team: claim("team"), role: claim("role") })
}
