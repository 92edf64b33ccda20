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
use crate::auth::settings::{
    Algorithm, ClaimPaths, IssuerSettings, JwksUrl, KeySource, LEEWAY_MAX_S, SECRET_BYTES_MIN,
};

/// Issuers without `issuer`: a token that names none of the others is tried with each of them.
pub(super) const ISSUERS_WITHOUT_NAME_MAX: usize = 8;
/// From the first byte sent to the last one read.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Fetching more often than this would only load the provider, in seconds.
const REFRESH_MIN_S: u32 = 60;

/// What is wrong with an issuer, and what to do.
type Fault = (String, &'static str);

pub(super) fn issuers(settings: Vec<IssuerSettings>) -> Result<Vec<Issuer>, AuthSetupError> {
    let mut issuers: Vec<Issuer> = Vec::with_capacity(settings.len());
    let mut client = None;
    let refused =
        |issuer: &str, (found, hint): Fault| AuthSetupError { issuer: issuer.to_owned(), found, hint };
    for settings in settings {
        let name = settings.name.clone();
        if issuers.iter().any(|known| *known.name == *name) {
            let fault = ("the name stands twice".to_owned(), "give each issuer its own `name`");
            return Err(refused(&name, fault));
        }
        issuers.push(issuer(settings, &mut client).map_err(|fault| refused(&name, fault))?);
    }
    let unnamed = issuers.iter().filter(|issuer| issuer.settings.issuer.is_none());
    let Some(one_too_many) = unnamed.clone().nth(ISSUERS_WITHOUT_NAME_MAX) else { return Ok(issuers) };
    let found =
        format!("{} issuers have no `issuer`, allowed are {ISSUERS_WITHOUT_NAME_MAX}", unnamed.count());
    Err(refused(&one_too_many.name, (found, "set `issuer` to the `iss` of its tokens")))
}

fn issuer(settings: IssuerSettings, client: &mut Option<reqwest::Client>) -> Result<Issuer, Fault> {
    check(&settings)?;
    let keys = match &settings.keys {
        KeySource::Secret(secret) => {
            let key =
                VerifyingKey::secret(secret.bytes()).map_err(|reason| (reason, "set another `secret`"))?;
            Keys::Fixed(KeySet::Single(key))
        }
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

fn check(settings: &IssuerSettings) -> Result<(), Fault> {
    let symmetric = |algorithm: &Algorithm| *algorithm == Algorithm::Hs256;
    let (found, hint) = match &settings.keys {
        _ if settings.algorithms.is_empty() => {
            ("`algorithms` is empty".to_owned(), "name what the tokens are signed with, such as `RS256`")
        }
        KeySource::Secret(_) if !settings.algorithms.iter().all(symmetric) => {
            ("a `secret` serves `HS256` only".to_owned(), "split it into two issuers")
        }
        KeySource::Secret(secret) if secret.bytes().len() < SECRET_BYTES_MIN => {
            let length = secret.bytes().len();
            let found = format!("the `secret` has {length} bytes, at least {SECRET_BYTES_MIN} are needed");
            (found, "make one with `openssl rand -hex 32`")
        }
        KeySource::PublicKeyFile(_) | KeySource::JwksFile(_) | KeySource::JwksUrl(_)
            if settings.algorithms.iter().any(symmetric) =>
        {
            ("`HS256` needs a `secret`, not a public key".to_owned(), "remove `HS256`")
        }
        _ if settings.leeway_s > LEEWAY_MAX_S => {
            (format!("a leeway of {} s, allowed are {LEEWAY_MAX_S} s", settings.leeway_s), "lower it")
        }
        _ => {
            let ClaimPaths { user, plan, team, role } = &settings.claims;
            if [&settings.name, user, plan, team, role].iter().all(|name| !name.is_empty()) {
                return Ok(());
            }
            ("an empty name or claim path".to_owned(), "name it")
        }
    };
    Err((found, hint))
}

fn pem(settings: &IssuerSettings, path: &Path) -> Result<VerifyingKey, Fault> {
    let text = read(path)?;
    let holds = |word| memchr::memmem::find(&text, word).is_some();
    if holds(&b"PRIVATE KEY"[..]) {
        let hint = "give the public half: `openssl pkey -in KEY -pubout`";
        return Err((unusable(path, "it holds a private key"), hint));
    }
    if holds(&b"CERTIFICATE"[..]) {
        let hint = "take the key out: `openssl x509 -in CERT -noout -pubkey`";
        return Err((unusable(path, "it holds a certificate"), hint));
    }
    let hint = "give one RSA (2048 to 4096 bits), P-256, P-384 or Ed25519 public key in PEM";
    let key = VerifyingKey::pem(&text).map_err(|reason| (unusable(path, &reason), hint))?;
    match settings.algorithms.iter().find(|algorithm| !key.serves(**algorithm)) {
        None => Ok(key),
        Some(other) => {
            let reason = format!("the key cannot verify `{}`", other.name());
            Err((unusable(path, &reason), "make `algorithms` fit the key"))
        }
    }
}

fn jwks_file(settings: &IssuerSettings, path: &Path) -> Result<Vec<VerifyingKey>, Fault> {
    let text = read(path)?;
    let hint = "give a JWK set (`{\"keys\": […]}`) with a key for each of `algorithms`";
    let jwks::Jwks { keys, skipped } =
        jwks::parse(&text, &settings.algorithms).map_err(|reason| (unusable(path, &reason), hint))?;
    if !skipped.is_empty() {
        tracing::warn!(issuer = settings.name, skipped = skipped.join("; "), "keys left out");
    }
    Ok(keys)
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let hint = "check the path and that the gateway's user may read it";
    std::fs::read(path).map_err(|error| (format!("cannot read `{}`: {error}", path.display()), hint))
}

fn unusable(path: &Path, reason: &str) -> String {
    format!("no usable key in `{}`: {reason}", path.display())
}

fn check_url(settings: &IssuerSettings, source: &JwksUrl) -> Result<(), Fault> {
    let url = reqwest::Url::parse(&source.url).map_err(|error| {
        (format!("`jwks_url` is no URL: {error}"), "give one that begins with `https://`")
    })?;
    if !matches!(url.scheme(), "https" | "http") || url.password().is_some() || !url.username().is_empty() {
        let found = "`jwks_url` must be `https://…` (or `http://…`) without user and password".to_owned();
        return Err((found, "JWK sets are public: take the URL from the provider's discovery page"));
    }
    let JwksUrl { refresh_s, stale_limit_s, .. } = source;
    if *refresh_s < REFRESH_MIN_S || stale_limit_s < refresh_s {
        let found = format!("keys are refreshed every {refresh_s} s and serve for {stale_limit_s} s");
        return Err((found, "refresh at most once a minute, and let keys serve at least that long"));
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
fn http_client() -> Result<reqwest::Client, Fault> {
    let fault =
        |reason, hint| (format!("cannot build the HTTP client that fetches `jwks_url`: {reason}"), hint);
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let hint = "install one (`rustls::crypto::ring`) before the issuers are set up";
        return Err(fault("no TLS provider is installed".to_owned(), hint));
    }
    let hint = "check that the machine has CA certificates (`ca-certificates`)";
    reqwest::Client::builder()
        .timeout(FETCH_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| fault(error.to_string(), hint))
}

/// The header that carries the tokens; `authorization` is where they are looked for anyway.
fn header(settings: &IssuerSettings) -> Result<Option<HeaderName>, Fault> {
    let Some(name) = &settings.header else { return Ok(None) };
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| (format!("`{name}` is no header name"), "such as `x-openwebui-user-jwt`"))?;
    Ok((name != AUTHORIZATION).then_some(name))
}
