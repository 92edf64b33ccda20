//! A token taken apart, before any signature is looked at.
//!
//! Owns the shape: three parts, sizes, strict base64url and JSON, the header's members (RFC 7515 §4, RFC 8725). Must
//! not know issuers, keys or claims. Key material or addresses in a header (`jwk`, `jku`, `x5u`, `x5c`) are never read.

use serde_json::{Map, Value};

use super::caller::bends_a_line;
use super::error::AuthError;
use super::settings::Algorithm;
use super::{base64url, json};

/// The longest token, in bytes; the largest that common providers hand out is about 8 kB.
pub(super) const TOKEN_BYTES_MAX: usize = 16 * 1_024;
/// The longest encoded header, in bytes.
const HEADER_BYTES_MAX: usize = 4 * 1_024;
/// The longest `kid`, in bytes.
const KEY_ID_BYTES_MAX: usize = 256;
/// Members that change how a token is read; none is supported, so their presence alone refuses the token
/// (`crit` and `b64`: RFC 7515 §4.1.11, RFC 7797; `zip`, `enc` and `p2c`: encrypted tokens, RFC 7516, RFC 7518).
const REFUSED_MEMBERS: [&str; 5] = ["crit", "b64", "zip", "enc", "p2c"];

/// A well-formed token that nobody has vouched for yet.
pub(super) struct Unverified<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    pub(super) token_type: Option<String>,
    pub(super) claims: Map<String, Value>,
    /// What the signature is over: the first two parts with their dot.
    pub(super) message: &'t str,
    pub(super) signature: Vec<u8>,
}

/// Takes a token apart. An algorithm that is not ours, `none` above all, is [`AuthError::Signature`]; all else that is
/// wrong is [`AuthError::Malformed`].
pub(super) fn parse(token: &str) -> Result<Unverified<'_>, AuthError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(AuthError::Malformed);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(AuthError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(AuthError::Malformed)?;
    if header.len() > HEADER_BYTES_MAX || header.is_empty() || payload.is_empty() || signature.is_empty() {
        return Err(AuthError::Malformed);
    }
    // A fourth part would stand in `payload`, whose decoder knows no dot.
    let header = object(header)?;
    let claims = object(payload)?;
    let signature = base64url::decode(signature).ok_or(AuthError::Malformed)?;
    if REFUSED_MEMBERS.iter().any(|member| header.contains_key(*member)) {
        return Err(AuthError::Malformed);
    }
    let algorithm = json::text(&header, "alg")?.ok_or(AuthError::Malformed)?;
    let algorithm = algorithm.parse().map_err(|_| AuthError::Signature)?;
    let key_id = json::text(&header, "kid")?;
    if key_id.is_some_and(|kid| kid.len() > KEY_ID_BYTES_MAX || kid.chars().any(bends_a_line)) {
        return Err(AuthError::Malformed);
    }
    Ok(Unverified {
        algorithm,
        key_id: key_id.map(str::to_owned),
        token_type: json::text(&header, "typ")?.map(str::to_owned),
        claims,
        message,
        signature,
    })
}

fn object(part: &str) -> Result<Map<String, Value>, AuthError> {
    let bytes = base64url::decode(part).ok_or(AuthError::Malformed)?;
    json::parse_object(&bytes).map_err(|_| AuthError::Malformed)
}
