//! Tests of the room: a workshop that makes tokens, good and bad, and one file a subject.
//!
//! Keys are fixed files under `keys/`; the clock stands still.

mod addresses;
mod clients;
mod credentials;
mod encodings;
mod identities;
mod issuers;
mod jwks_files;
mod remote_keys;
mod setup_errors;
mod shapes;
mod signing;
mod times;

use std::path::PathBuf;

use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use serde_json::{Value, json};

use super::settings::{Algorithm, AuthOptions, IssuerSettings, KeySource, Secret};
use super::{AuthError, Authenticator, Caller, Credential, CredentialSource, base64url};
use crate::clock::{Clock, Timestamp};

/// 2026-11-24T07:00:00Z.
const NOW_S: i64 = 1_795_503_600;
const SECRET: &[u8] = b"a secret of thirty-two bytes, or more";

fn clock() -> Clock {
    clock_at(NOW_S)
}

fn clock_at(seconds: i64) -> Clock {
    Clock::manual(Timestamp::from_second(seconds))
}

fn key_path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/auth/tests/keys")).join(format!("{name}.pem"))
}

fn key_text(name: &str) -> Vec<u8> {
    match name {
        "rsa2048.private" => include_bytes!("keys/rsa2048.private.pem").to_vec(),
        "rsa2048.public" => include_bytes!("keys/rsa2048.public.pem").to_vec(),
        "rsa2048_other.private" => include_bytes!("keys/rsa2048_other.private.pem").to_vec(),
        "rsa2048_other.public" => include_bytes!("keys/rsa2048_other.public.pem").to_vec(),
        "rsa1024.private" => include_bytes!("keys/rsa1024.private.pem").to_vec(),
        "rsa1024.public" => include_bytes!("keys/rsa1024.public.pem").to_vec(),
        "p256.private" => include_bytes!("keys/p256.private.pem").to_vec(),
        "p256.public" => include_bytes!("keys/p256.public.pem").to_vec(),
        "p384.private" => include_bytes!("keys/p384.private.pem").to_vec(),
        "p384.public" => include_bytes!("keys/p384.public.pem").to_vec(),
        "ed25519.private" => include_bytes!("keys/ed25519.private.pem").to_vec(),
        "ed25519.public" => include_bytes!("keys/ed25519.public.pem").to_vec(),
        other => panic!("no key `{other}`"),
    }
}

fn encoding_key(algorithm: Algorithm, name: &str) -> EncodingKey {
    let pem = key_text(&format!("{name}.private"));
    match algorithm {
        Algorithm::Hs256 => EncodingKey::from_secret(SECRET),
        Algorithm::Rs256 | Algorithm::Ps256 => EncodingKey::from_rsa_pem(&pem).unwrap(),
        Algorithm::Es256 | Algorithm::Es384 => EncodingKey::from_ec_pem(&pem).unwrap(),
        Algorithm::EdDsa => EncodingKey::from_ed_pem(&pem).unwrap(),
    }
}

/// The key file that goes with an algorithm.
fn key_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Rs256 | Algorithm::Ps256 => "rsa2048",
        Algorithm::Es256 => "p256",
        Algorithm::Es384 => "p384",
        Algorithm::EdDsa => "ed25519",
    }
}

/// Signs any header and payload text, however wrong they are.
fn forge_with(algorithm: Algorithm, key: &EncodingKey, header: &str, payload: &str) -> String {
    let message =
        format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(payload.as_bytes()));
    let signer = (DEFAULT_PROVIDER.signer_factory)(&algorithm.library(), key).unwrap();
    format!("{message}.{}", base64url::encode(&signer.try_sign(message.as_bytes()).unwrap()))
}

/// Signs with the shared secret.
fn forge(header: &str, payload: &str) -> String {
    forge_with(Algorithm::Hs256, &EncodingKey::from_secret(SECRET), header, payload)
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// A well-formed token of the shared secret whose claims are the usual ones, with `changes` laid over them (a `null`
/// takes a claim away).
fn token(changes: &Value) -> String {
    forge(HEADER, &claims(changes).to_string())
}

fn claims(changes: &Value) -> Value {
    let mut claims = json!({ "sub": "user_123", "iat": NOW_S, "exp": NOW_S + 3_600 });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            _ => claims[name] = value.clone(),
        }
    }
    claims
}

/// A token of an algorithm's key, with a `kid` if given.
fn signed_by(algorithm: Algorithm, key_id: Option<&str>, changes: &Value) -> String {
    signed_by_key(algorithm, key_name(algorithm), key_id, changes)
}

fn signed_by_key(algorithm: Algorithm, key: &str, key_id: Option<&str>, changes: &Value) -> String {
    let mut header = json!({ "alg": algorithm.name(), "typ": "JWT" });
    if let Some(key_id) = key_id {
        header["kid"] = key_id.into();
    }
    let key = encoding_key(algorithm, key);
    forge_with(algorithm, &key, &header.to_string(), &claims(changes).to_string())
}

fn secret_issuer() -> IssuerSettings {
    IssuerSettings::new("chat", vec![Algorithm::Hs256], KeySource::Secret(Secret::new(SECRET)))
}

fn pem_issuer(name: &str, algorithm: Algorithm) -> IssuerSettings {
    let path = key_path(&format!("{}.public", key_name(algorithm)));
    IssuerSettings::new(name, vec![algorithm], KeySource::PublicKeyFile(path))
}

fn authenticator(issuers: Vec<IssuerSettings>) -> Authenticator {
    authenticator_at(issuers, clock())
}

fn authenticator_at(issuers: Vec<IssuerSettings>, clock: Clock) -> Authenticator {
    Authenticator::new(issuers, AuthOptions::default(), clock).unwrap()
}

fn standard(token: &str) -> Credential {
    Credential::new(token, CredentialSource::Standard)
}

async fn verdict(authenticator: &Authenticator, token: &str) -> Result<Caller, AuthError> {
    authenticator.authenticate(&standard(token)).await.map(|verified| verified.caller().clone())
}

/// Runs one token past one issuer.
async fn one(issuer: IssuerSettings, token: &str) -> Result<Caller, AuthError> {
    verdict(&authenticator(vec![issuer]), token).await
}
