//! The credential of a request: found in its headers, not yet believed.
//!
//! Owns where credentials may stand and what two of them mean (`x-api-key`, `x-goog-api-key`, `Authorization: Bearer`,
//! a query key). Must not know what a credential says.

use std::fmt;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};
use sha2::{Digest, Sha256};

use super::error::AuthError;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const GOOGLE_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// A credential as it was sent. Its `Debug` shows where it stood, never what it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    token: String,
    digest: [u8; 32],
    source: CredentialSource,
}

/// Where a credential stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// In one of the places that every client uses.
    Standard,
    /// In a header that some issuer names for its tokens.
    Named(HeaderName),
}

impl Credential {
    /// Takes a token as text.
    pub fn new(token: impl Into<String>, source: CredentialSource) -> Self {
        let token = token.into();
        Self { digest: Sha256::digest(token.as_bytes()).into(), token, source }
    }

    /// The text itself: never log it.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// SHA-256 of the text: what caches and key tables go by.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Where it stood.
    pub fn source(&self) -> &CredentialSource {
        &self.source
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credential").field("source", &self.source).finish_non_exhaustive()
    }
}

/// The one credential of a request: from `Authorization: Bearer`, `x-api-key`, `x-goog-api-key` and, on paths that
/// allow it, the decoded `key` of the query.
///
/// An empty value, or one of `anonymous_keys`, counts as none. Two that differ, or one header twice, are
/// [`AuthError::Conflict`]; another scheme than `Bearer` is [`AuthError::Scheme`].
pub fn credential(
    headers: &HeaderMap,
    query_key: Option<&str>,
    anonymous_keys: &[String],
) -> Result<Option<Credential>, AuthError> {
    let candidates = [
        single(headers, &AUTHORIZATION)?.map(bearer).transpose()?,
        single(headers, &API_KEY)?,
        single(headers, &GOOGLE_API_KEY)?,
        query_key,
    ];
    let states = |key: &&str| !key.is_empty() && !anonymous_keys.iter().any(|anonymous| anonymous == key);
    let agreed =
        candidates.into_iter().flatten().filter(states).try_fold(None, |agreed, key| match agreed {
            Some(other) if other != key => Err(AuthError::Conflict),
            _ => Ok(Some(key)),
        })?;
    Ok(agreed.map(|token| Credential::new(token, CredentialSource::Standard)))
}

/// The credential in one of the headers that issuers name. Such a header speaks for itself: the standard places may
/// then carry something else, such as the service key of the app that asserts the user.
pub(super) fn named_credential(
    headers: &HeaderMap,
    names: &[HeaderName],
) -> Result<Option<Credential>, AuthError> {
    let mut found: Option<(&HeaderName, &str)> = None;
    for name in names {
        let Some(value) = single(headers, name)? else { continue };
        let token = scheme_and_rest(value)
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map_or(value, |(_, rest)| rest);
        match found {
            _ if token.is_empty() => {}
            None => found = Some((name, token)),
            // Even if they agree: each header has its own issuer, and only one of them can be meant.
            Some(_) => return Err(AuthError::Conflict),
        }
    }
    Ok(found.map(|(name, token)| Credential::new(token, CredentialSource::Named(name.clone()))))
}

/// The only value of a header, trimmed.
pub(super) fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(AuthError::Conflict);
    }
    value.to_str().map(|text| Some(text.trim())).map_err(|_| AuthError::Malformed)
}

/// The token of an `Authorization` value (RFC 6750 §2.1; the scheme in any case, RFC 9110 §11.1).
fn bearer(value: &str) -> Result<&str, AuthError> {
    match scheme_and_rest(value) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token),
        None if value.is_empty() || value.eq_ignore_ascii_case("bearer") => Ok(""),
        _ => Err(AuthError::Scheme),
    }
}

fn scheme_and_rest(value: &str) -> Option<(&str, &str)> {
    value.split_once(' ').map(|(scheme, rest)| (scheme, rest.trim_start()))
}
