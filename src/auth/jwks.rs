//! JWK sets (RFC 7517, RFC 7518 §6, RFC 8037): text to public keys.
//!
//! Owns which keys of a set are taken: public signature keys whose `kty`, `use`, `key_ops` and `alg` agree. Must not
//! know where the text came from.

use serde_json::{Map, Value};

use super::keys::VerifyingKey;
use super::settings::Algorithm;
use super::{base64url, json};

/// The longest JWK set that is read, in bytes.
pub(super) const JWKS_BYTES_MAX: usize = 1_024 * 1_024;
/// Keys in one set: providers publish two to ten.
const KEYS_MAX: usize = 100;
/// Coordinates are of full length, leading zeros included (RFC 7518 §6.2.1.2), in bytes.
const P256_COORDINATE_BYTES: usize = 32;
const P384_COORDINATE_BYTES: usize = 48;
const UNCOMPRESSED_POINT: u8 = 4;

/// What a JWK set holds.
pub(super) struct Jwks {
    pub(super) keys: Vec<VerifyingKey>,
    /// For each key that was left out, why; without key material.
    pub(super) skipped: Vec<String>,
}

/// Reads a JWK set. Keys that are not for us are skipped; a set that is none, or that has no key for `algorithms`, is
/// an error.
pub(super) fn parse(bytes: &[u8], algorithms: &[Algorithm]) -> Result<Jwks, String> {
    if bytes.len() > JWKS_BYTES_MAX {
        return Err(format!("more than {JWKS_BYTES_MAX} bytes"));
    }
    let set = json::parse_object(bytes).map_err(|error| format!("not a JWK set: {error}"))?;
    let Some(Value::Array(list)) = set.get("keys") else {
        return Err("not a JWK set: no list `keys`".to_owned());
    };
    if list.len() > KEYS_MAX {
        return Err(format!("{} keys, allowed are {KEYS_MAX}", list.len()));
    }
    let (mut keys, mut skipped) = (Vec::new(), Vec::new());
    for (index, jwk) in list.iter().enumerate() {
        match verifying_key(jwk) {
            Ok(key) if algorithms.iter().any(|algorithm| key.serves(*algorithm)) => keys.push(key),
            Ok(_) => skipped.push(format!("key {index}: for none of the configured algorithms")),
            Err(reason) => skipped.push(format!("key {index}: {reason}")),
        }
    }
    if keys.is_empty() {
        let reasons = if skipped.is_empty() { "the list is empty".to_owned() } else { skipped.join("; ") };
        return Err(format!("no usable key: {reasons}"));
    }
    Ok(Jwks { keys, skipped })
}

fn verifying_key(jwk: &Value) -> Result<VerifyingKey, String> {
    let jwk = jwk.as_object().ok_or("not an object")?;
    if text(jwk, "use")?.is_some_and(|usage| usage != "sig") {
        return Err("`use` is not `sig`".to_owned());
    }
    match jwk.get("key_ops") {
        None => {}
        Some(Value::Array(operations)) if operations.iter().any(|op| op == "verify") => {}
        Some(_) => return Err("`key_ops` has no `verify`".to_owned()),
    }
    if jwk.contains_key("d") {
        return Err("a private key, which has no place in a published set".to_owned());
    }
    let declared = text(jwk, "alg")?.map(declared_algorithm).transpose()?;
    let key = match text(jwk, "kty")? {
        Some("RSA") => VerifyingKey::rsa(&bytes(jwk, "n")?, &bytes(jwk, "e")?)?,
        Some("EC") => VerifyingKey::elliptic(&point(jwk)?)?,
        Some("OKP") if text(jwk, "crv")? == Some("Ed25519") => VerifyingKey::ed25519(&bytes(jwk, "x")?)?,
        Some("oct") => {
            return Err("a shared secret (`oct`), which has no place in a published set".to_owned());
        }
        _ => return Err("a key type that is not supported".to_owned()),
    };
    let key_id = text(jwk, "kid")?.map(str::to_owned);
    let key = key.described(key_id, declared);
    match declared {
        Some(algorithm) if !key.serves(algorithm) => Err("`alg` does not fit the key".to_owned()),
        _ => Ok(key),
    }
}

fn declared_algorithm(name: &str) -> Result<Algorithm, String> {
    // RFC 9864 names the curve where RFC 8037 named the family.
    let name = if name == "Ed25519" { "EdDSA" } else { name };
    name.parse().map_err(|_| "`alg` is not supported".to_owned())
}

fn point(jwk: &Map<String, Value>) -> Result<Vec<u8>, String> {
    let coordinate_bytes = match text(jwk, "crv")? {
        Some("P-256") => P256_COORDINATE_BYTES,
        Some("P-384") => P384_COORDINATE_BYTES,
        _ => return Err("a curve that is not supported".to_owned()),
    };
    let mut point = vec![UNCOMPRESSED_POINT];
    for name in ["x", "y"] {
        let coordinate = bytes(jwk, name)?;
        if coordinate.len() != coordinate_bytes {
            return Err(format!("`{name}` is not {coordinate_bytes} bytes long"));
        }
        point.extend(coordinate);
    }
    Ok(point)
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    text(jwk, name)?
        .and_then(base64url::decode)
        .ok_or_else(|| format!("`{name}` is missing or not base64url"))
}

fn text<'j>(jwk: &'j Map<String, Value>, name: &str) -> Result<Option<&'j str>, String> {
    json::text(jwk, name).map_err(|_| format!("`{name}` is not a string"))
}
