//! What a well-signed token says: its times, whom it is for, who the caller is (RFC 7519 §4.1).
//!
//! Owns the reading of claims. Must not know keys or signatures; the time is an argument.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::caller::{Caller, Identity, Role, checked_id};
use super::error::AuthError;
use super::json;
use super::settings::{ClaimPaths, IssuerSettings};

/// The last second of the year 9999: a later time is no date but a mistake.
pub(super) const DATE_MAX_S: i64 = 253_402_300_799;
const US_PER_S: i64 = 1_000_000;

/// Checks times, issuer, audience and type.
///
/// `now_us` is in microseconds since 1970. Returns when the token stops being accepted, in the same unit (`exp` and
/// the leeway).
pub(super) fn check(
    claims: &Map<String, Value>,
    token_type: Option<&str>,
    settings: &IssuerSettings,
    now_us: i64,
) -> Result<i64, AuthError> {
    let expires_s = date(claims, "exp")?.ok_or(AuthError::Malformed)?;
    let not_before_s = date(claims, "nbf")?;
    let issued_s = date(claims, "iat")?;
    let issuer = issuer(claims)?;
    let leeway_s = i64::from(settings.leeway_s);

    if settings.issuer.is_some() && settings.issuer.as_deref() != issuer {
        return Err(AuthError::NotAccepted);
    }
    if settings.audience.as_deref().is_some_and(|audience| !is_for(claims, audience)) {
        return Err(AuthError::NotAccepted);
    }
    if settings.token_type.as_deref().is_some_and(|wanted| !is_type(token_type, wanted)) {
        return Err(AuthError::NotAccepted);
    }
    let accepted_until_us = (expires_s + leeway_s) * US_PER_S;
    if now_us >= accepted_until_us {
        return Err(AuthError::Expired);
    }
    let latest_us = now_us.saturating_add(leeway_s * US_PER_S);
    if [not_before_s, issued_s].into_iter().flatten().any(|begins_s| begins_s * US_PER_S > latest_us) {
        return Err(AuthError::NotYetValid);
    }
    if let Some(max_s) = settings.max_lifetime_s.map(i64::from) {
        let too_far = expires_s * US_PER_S > latest_us.saturating_add(max_s * US_PER_S);
        if too_far || issued_s.is_some_and(|issued_s| expires_s - issued_s > max_s) {
            return Err(AuthError::NotAccepted);
        }
    }
    Ok(accepted_until_us)
}

/// The caller that the claims name.
pub(super) fn caller(
    claims: &Map<String, Value>,
    paths: &ClaimPaths,
    issuer: Arc<str>,
) -> Result<Caller, AuthError> {
    let user = id(claims, &paths.user)?.ok_or(AuthError::Identity)?;
    Ok(Caller {
        identity: Identity::User,
        user: Some(user),
        team: id(claims, &paths.team)?,
        plan: id(claims, &paths.plan)?,
        role: role(claims, &paths.role)?,
        issuer: Some(issuer),
    })
}

/// The `iss` of a token: a string if it is there at all; a list of issuers is refused.
pub(super) fn issuer(claims: &Map<String, Value>) -> Result<Option<&str>, AuthError> {
    json::text(claims, "iss")
}

/// A `NumericDate` in whole seconds, rounded down. A text, `null`, a negative number or one past the year 9999 is
/// malformed, never "absent".
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, AuthError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let Value::Number(number) = value else { return Err(AuthError::Malformed) };
    let seconds = match (number.as_i64(), number.as_f64()) {
        (Some(seconds), _) => seconds,
        #[expect(clippy::cast_possible_truncation, reason = "the value lies between 0 and DATE_MAX_S")]
        (None, Some(seconds)) if (0.0..=253_402_300_799.0).contains(&seconds) => seconds as i64,
        _ => return Err(AuthError::Malformed),
    };
    if (0..=DATE_MAX_S).contains(&seconds) { Ok(Some(seconds)) } else { Err(AuthError::Malformed) }
}

/// Whether `aud` is, or contains, exactly `audience`. A list with anything but strings is not.
fn is_for(claims: &Map<String, Value>, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(named)) => named == audience,
        Some(Value::Array(list)) => {
            list.iter().all(Value::is_string) && list.iter().any(|named| named.as_str() == Some(audience))
        }
        _ => false,
    }
}

/// Whether the header's `typ` is `wanted`: case does not count, nor a leading `application/` (RFC 7515 §4.1.9).
fn is_type(token_type: Option<&str>, wanted: &str) -> bool {
    let bare = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.strip_prefix("application/").map(str::to_owned).unwrap_or(text)
    };
    token_type.is_some_and(|token_type| bare(token_type) == bare(wanted))
}

/// An id at a path: a string, or a whole number as some user tables have it. `null` counts as absent.
fn id(claims: &Map<String, Value>, path: &str) -> Result<Option<String>, AuthError> {
    match at_path(claims, path) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => checked_id(text).map(Some),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(Some(number.to_string())),
        Some(_) => Err(AuthError::Identity),
    }
}

/// The role at a path: a string, or a list in which `admin` wins over all others, and the first over the rest.
fn role(claims: &Map<String, Value>, path: &str) -> Result<Role, AuthError> {
    let Some(Value::Array(list)) = at_path(claims, path) else {
        return Ok(id(claims, path)?.map(Role::from).unwrap_or_default());
    };
    let mut roles = Vec::with_capacity(list.len());
    for role in list {
        roles.push(Role::from(checked_id(role.as_str().ok_or(AuthError::Identity)?)?));
    }
    if roles.contains(&Role::Admin) {
        return Ok(Role::Admin);
    }
    Ok(roles.into_iter().next().unwrap_or_default())
}

fn at_path<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (outer, rest) = path.split_once('.')?;
    at_path(claims.get(outer)?.as_object()?, rest)
}
