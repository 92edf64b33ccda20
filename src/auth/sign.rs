//! Tokens that the gateway signs itself, with an issuer's secret: for trying out and for scripts.
//!
//! Owns the writing of claims at the issuer's paths. Must not know how tokens are checked; the time is an argument.

use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use serde_json::{Map, Value, json};

use super::base64url;
use super::caller::checked_id;
use super::claims::DATE_MAX_S;
use super::error::SignError;
use super::settings::{Algorithm, IssuerSettings, KeySource};

/// What a new token is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRequest {
    /// The user's id.
    pub user: String,
    /// The plan's name.
    pub plan: Option<String>,
    /// The team's id.
    pub team: Option<String>,
    /// The role, such as `admin`.
    pub role: Option<String>,
    /// How long it is valid, in seconds, at least 1.
    pub ttl_s: u32,
}

/// The first issuer that has a secret: the one to sign with.
pub fn first_with_secret(issuers: &[IssuerSettings]) -> Option<&IssuerSettings> {
    issuers.iter().find(|issuer| matches!(issuer.keys, KeySource::Secret(_)))
}

/// Signs a token that the same issuer's settings accept. `now_us` is in microseconds since 1970.
pub fn sign(issuer: &IssuerSettings, request: &TokenRequest, now_us: i64) -> Result<String, SignError> {
    let KeySource::Secret(secret) = &issuer.keys else {
        return Err(SignError::NoSecret { issuer: issuer.name.clone() });
    };
    let claims = claims(issuer, request, now_us.div_euclid(1_000_000))?;
    let token_type = issuer.token_type.as_deref().unwrap_or("JWT");
    let header = json!({ "alg": Algorithm::Hs256.name(), "typ": token_type });
    let header = base64url::encode(header.to_string().as_bytes());
    let message = format!("{header}.{}", base64url::encode(Value::Object(claims).to_string().as_bytes()));
    let key = EncodingKey::from_secret(secret.bytes());
    let signer = (DEFAULT_PROVIDER.signer_factory)(&Algorithm::Hs256.library(), &key)
        .map_err(|_| SignError::Crypto)?;
    let signature = signer.try_sign(message.as_bytes()).map_err(|_| SignError::Crypto)?;
    Ok(format!("{message}.{}", base64url::encode(&signature)))
}

fn claims(
    issuer: &IssuerSettings,
    request: &TokenRequest,
    now_s: i64,
) -> Result<Map<String, Value>, SignError> {
    let expires_s = now_s.saturating_add(i64::from(request.ttl_s));
    let too_long = issuer.max_lifetime_s.is_some_and(|max_s| request.ttl_s > max_s);
    if request.ttl_s == 0 || too_long || !(0..=DATE_MAX_S).contains(&expires_s) {
        return Err(SignError::TimeToLive);
    }
    let mut claims = Map::new();
    claims.insert("iat".to_owned(), now_s.into());
    claims.insert("exp".to_owned(), expires_s.into());
    for (name, value) in [("iss", &issuer.issuer), ("aud", &issuer.audience)] {
        if let Some(value) = value {
            claims.insert(name.to_owned(), value.as_str().into());
        }
    }
    let paths = &issuer.claims;
    let named = [
        ("user", &paths.user, Some(&request.user)),
        ("plan", &paths.plan, request.plan.as_ref()),
        ("team", &paths.team, request.team.as_ref()),
        ("role", &paths.role, request.role.as_ref()),
    ];
    for (field, path, value) in named {
        let Some(value) = value else { continue };
        let value = checked_id(value).map_err(|_| SignError::Id { field })?;
        put(&mut claims, path, value)
            .ok_or_else(|| SignError::ClaimPaths { issuer: issuer.name.clone(), path: path.clone() })?;
    }
    Ok(claims)
}

/// Puts a value at a dotted path; `None` if something else stands there or on the way. A URL is one name, dots and all.
fn put(claims: &mut Map<String, Value>, path: &str, value: String) -> Option<()> {
    match path.split_once('.').filter(|_| !path.contains("://")) {
        None if claims.contains_key(path) => None,
        None => {
            claims.insert(path.to_owned(), value.into());
            Some(())
        }
        Some((outer, rest)) => {
            let inner = claims.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            put(inner.as_object_mut()?, rest, value)
        }
    }
}
