//! Settings to issuers: everything that can be wrong is found before the first request.
//!
//! Owns the checks between settings, the reading of key files and the HTTP client for JWKS URLs. Must not know tokens.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderName};

use super::{Issuer, Keys};
use crate::auth::error::AuthSetupError;
use crate::auth::jwks;
use crate::auth::keys::{KeySet, VerifyingKey};
use crate::auth::remote::RemoteKeys;
use crate::auth::settings::{Algorithm, IssuerSettings, JwksUrl, KeySource, LEEWAY_MAX_S, SECRET_BYTES_MIN};

/// Issuers without `issuer`: a token that names none of the others is tried with each of them.
pub(super) const ISSUERS_WITHOUT_NAME_MAX: usize = 8;
/// From the first byte sent to the last one read.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Fetching more often than this would only load the provider, in seconds.
const REFRESH_MIN_S: u32 = 60;

pub(super) fn issuers(settings: Vec<IssuerSettings>) -> Result<Vec<Issuer>, AuthSetupError> {
    let mut issuers: Vec<Issuer> = Vec::with_capacity(settings.len());
    let mut client = None;
    for settings in settings {
        if issuers.iter().any(|known| *known.name == *settings.name) {
            return Err(setting(
                &settings,
                "the name stands twice".to_owned(),
                "give each issuer its own `name`",
            ));
        }
        issuers.push(issuer(settings, &mut client)?);
    }
    let unnamed = issuers.iter().filter(|issuer| issuer.settings.issuer.is_none());
    match unnamed.clone().nth(ISSUERS_WITHOUT_NAME_MAX) {
        None => Ok(issuers),
        Some(one_too_many) => Err(setting(
            &one_too_many.settings,
            format!("{} issuers have no `issuer`, allowed are {ISSUERS_WITHOUT_NAME_MAX}", unnamed.count()),
            "set `issuer` to the `iss` of its tokens",
        )),
    }
}

fn issuer(settings: IssuerSettings, client: &mut Option<reqwest::Client>) -> Result<Issuer, AuthSetupError> {
    check(&settings)?;
    let keys = match &settings.keys {
        KeySource::Secret(secret) => Keys::Fixed(KeySet::Single(
            VerifyingKey::secret(secret.bytes())
                .map_err(|reason| setting(&settings, reason, "set another `secret`"))?,
        )),
        KeySource::PublicKeyFile(path) => Keys::Fixed(KeySet::Single(pem(&settings, path)?)),
        KeySource::JwksFile(path) => Keys::Fixed(KeySet::ByKeyId(jwks_file(&settings, path)?)),
        KeySource::JwksUrl(source) => {
            check_url(&settings, source)?;
            let client = match client {
                Some(client) => client.clone(),
                None => client.insert(http_client()?).clone(),
            };
            Keys::Remote(Arc::new(RemoteKeys::new(&settings.name, source, &settings.algorithms, client)))
        }
    };
    Ok(Issuer { header: header(&settings)?, name: settings.name.as_str().into(), keys, settings })
}

fn check(settings: &IssuerSettings) -> Result<(), AuthSetupError> {
    let refuse = |reason: String, hint| Err(setting(settings, reason, hint));
    let symmetric = |algorithm: &Algorithm| *algorithm == Algorithm::Hs256;
    if settings.algorithms.is_empty() {
        return refuse(
            "`algorithms` is empty".to_owned(),
            "name what the tokens are signed with, such as `RS256`",
        );
    }
    match &settings.keys {
        KeySource::Secret(_) if !settings.algorithms.iter().all(symmetric) => {
            return refuse("a `secret` serves `HS256` only".to_owned(), "split it into two issuers");
        }
        KeySource::Secret(secret) if secret.bytes().len() < SECRET_BYTES_MIN => {
            return refuse(
                format!(
                    "the `secret` has {} bytes, at least {SECRET_BYTES_MIN} are needed",
                    secret.bytes().len()
                ),
                "make one with `openssl rand -hex 32`",
            );
        }
        KeySource::Secret(_) => {}
        _ if settings.algorithms.iter().any(symmetric) => {
            return refuse("`HS256` needs a `secret`, not a public key".to_owned(), "remove `HS256`");
        }
        _ => {}
    }
    if settings.leeway_s > LEEWAY_MAX_S {
        return refuse(
            format!("a leeway of {} s, allowed are {LEEWAY_MAX_S} s", settings.leeway_s),
            "lower it",
        );
    }
    let paths = [&settings.claims.user, &settings.claims.plan, &settings.claims.team, &settings.claims.role];
    if settings.name.is_empty() || paths.iter().any(|path| path.is_empty()) {
        return refuse("an empty name or claim path".to_owned(), "name it");
    }
    Ok(())
}

fn pem(settings: &IssuerSettings, path: &Path) -> Result<VerifyingKey, AuthSetupError> {
    let text = read(settings, path)?;
    let refuse = |reason, hint| key_file(settings, path, reason, hint);
    if text.windows(b"PRIVATE KEY".len()).any(|part| part == b"PRIVATE KEY") {
        let hint = "give the public half: `openssl pkey -in KEY -pubout`";
        return Err(refuse("it holds a private key".to_owned(), hint));
    }
    if text.windows(b"CERTIFICATE".len()).any(|part| part == b"CERTIFICATE") {
        let hint = "take the key out: `openssl x509 -in CERT -noout -pubkey`";
        return Err(refuse("it holds a certificate".to_owned(), hint));
    }
    let key = VerifyingKey::pem(&text).map_err(|reason| {
        refuse(reason, "give one RSA (2048 to 4096 bits), P-256, P-384 or Ed25519 public key in PEM")
    })?;
    match settings.algorithms.iter().find(|algorithm| !key.serves(**algorithm)) {
        None => Ok(key),
        Some(other) => {
            let reason = format!("the key cannot verify `{}`", other.name());
            Err(refuse(reason, "make `algorithms` fit the key"))
        }
    }
}

fn jwks_file(settings: &IssuerSettings, path: &Path) -> Result<Vec<VerifyingKey>, AuthSetupError> {
    let text = read(settings, path)?;
    let jwks::Jwks { keys, skipped } = jwks::parse(&text, &settings.algorithms).map_err(|reason| {
        key_file(
            settings,
            path,
            reason,
            "give a JWK set (`{\"keys\": […]}`) with a key for each of `algorithms`",
        )
    })?;
    if !skipped.is_empty() {
        tracing::warn!(issuer = settings.name, skipped = skipped.join("; "), "keys left out");
    }
    Ok(keys)
}

fn read(settings: &IssuerSettings, path: &Path) -> Result<Vec<u8>, AuthSetupError> {
    std::fs::read(path).map_err(|source| AuthSetupError::Unreadable {
        issuer: settings.name.clone(),
        path: path.to_owned(),
        source,
    })
}

fn check_url(settings: &IssuerSettings, source: &JwksUrl) -> Result<(), AuthSetupError> {
    let url = reqwest::Url::parse(&source.url).map_err(|error| {
        setting(settings, format!("`jwks_url` is no URL: {error}"), "give one that begins with `https://`")
    })?;
    if !matches!(url.scheme(), "https" | "http") || url.password().is_some() || !url.username().is_empty() {
        let reason = "`jwks_url` must be `https://…` (or `http://…`) without user and password".to_owned();
        return Err(setting(
            settings,
            reason,
            "JWK sets are public: take the URL from the provider's discovery page",
        ));
    }
    if source.refresh_s < REFRESH_MIN_S || source.stale_limit_s < source.refresh_s {
        let reason = format!(
            "keys are refreshed every {} s and serve for {} s",
            source.refresh_s, source.stale_limit_s
        );
        return Err(setting(
            settings,
            reason,
            "refresh at most once a minute, and let keys serve at least that long",
        ));
    }
    if url.scheme() == "http" {
        tracing::warn!(
            issuer = settings.name,
            "`jwks_url` is not encrypted: whoever can change the answer signs tokens"
        );
    }
    Ok(())
}

/// Answers never redirect: a key set that moved is a change of configuration.
fn http_client() -> Result<reqwest::Client, AuthSetupError> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err(AuthSetupError::HttpClient {
            reason: "no TLS provider is installed".to_owned(),
            hint: "install one (`rustls::crypto::ring`) before the issuers are set up",
        });
    }
    reqwest::Client::builder()
        .timeout(FETCH_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| AuthSetupError::HttpClient {
            reason: error.to_string(),
            hint: "check that the machine has CA certificates (`ca-certificates`)",
        })
}

/// The header that carries the tokens; `authorization` is where they are looked for anyway.
fn header(settings: &IssuerSettings) -> Result<Option<HeaderName>, AuthSetupError> {
    let Some(name) = &settings.header else { return Ok(None) };
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        setting(settings, format!("`{name}` is no header name"), "such as `x-openwebui-user-jwt`")
    })?;
    Ok((name != AUTHORIZATION).then_some(name))
}

fn setting(settings: &IssuerSettings, reason: String, hint: &'static str) -> AuthSetupError {
    AuthSetupError::Setting { issuer: settings.name.clone(), reason, hint }
}

fn key_file(settings: &IssuerSettings, path: &Path, reason: String, hint: &'static str) -> AuthSetupError {
    AuthSetupError::KeyFile { issuer: settings.name.clone(), path: path.to_owned(), reason, hint }
}
