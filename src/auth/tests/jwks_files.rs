//! JWK sets: which of their keys are taken, and which token each may vouch for.

use std::path::PathBuf;

use jsonwebtoken::jwk::Jwk;
use serde_json::{Value, json};

use super::{encoding_key, key_name, one, signed_by, signed_by_key};
use crate::auth::jwks;
use crate::auth::settings::{Algorithm, IssuerSettings, KeySource};
use crate::auth::{AuthError, Authenticator};

/// The algorithms whose keys can be published.
pub(super) const PUBLIC: [Algorithm; 5] =
    [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa];

/// The public half of a key file as a JWK, with changes laid over it (`null` takes a member away).
pub(super) fn jwk_of(algorithm: Algorithm, key: &str, changes: &Value) -> Value {
    let jwk = Jwk::from_encoding_key(&encoding_key(algorithm, key), algorithm.library()).unwrap();
    let mut jwk = serde_json::to_value(jwk).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(jwk.as_object_mut().unwrap().remove(name)),
            _ => jwk[name] = value.clone(),
        }
    }
    jwk
}

pub(super) fn jwk(algorithm: Algorithm, changes: &Value) -> Value {
    jwk_of(algorithm, key_name(algorithm), changes)
}

pub(super) fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn parsed(keys: &[Value]) -> Result<usize, String> {
    jwks::parse(set(keys).as_bytes(), &PUBLIC).map(|jwks| jwks.keys.len())
}

/// A file that every run of the tests writes anew with the same content; moved into place whole, so that two runs at
/// once do not see half of it.
pub(super) fn file(name: &str, content: &str) -> PathBuf {
    let folder = std::env::temp_dir().join("tollgate-auth-tests");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    let unfinished = folder.join(format!("{name}.{}", std::process::id()));
    std::fs::write(&unfinished, content).unwrap();
    std::fs::rename(&unfinished, &path).unwrap();
    path
}

fn file_issuer(name: &str, keys: &[Value]) -> IssuerSettings {
    IssuerSettings::new(name, PUBLIC.to_vec(), KeySource::JwksFile(file(name, &set(keys))))
}

#[tokio::test]
async fn each_kind_of_key_vouches_for_its_algorithm() {
    let keys: Vec<Value> =
        PUBLIC.iter().map(|a| jwk(*a, &json!({ "kid": a.name(), "use": "sig" }))).collect();
    let issuer = file_issuer("each-kind", &keys);
    for algorithm in PUBLIC {
        let token = signed_by(algorithm, Some(algorithm.name()), &json!({}));
        assert!(one(issuer.clone(), &token).await.is_ok(), "{algorithm:?}");
        // The right key under another key's id.
        let other = PUBLIC.into_iter().find(|other| *other != algorithm).unwrap();
        let token = signed_by(algorithm, Some(other.name()), &json!({}));
        assert_eq!(one(issuer.clone(), &token).await, Err(AuthError::Signature), "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_key_bound_to_an_algorithm_serves_no_other_of_its_family() {
    let bound = file_issuer("bound", &[jwk(Algorithm::Rs256, &json!({ "kid": "a", "alg": "RS256" }))]);
    assert!(one(bound.clone(), &signed_by(Algorithm::Rs256, Some("a"), &json!({}))).await.is_ok());
    let token = signed_by(Algorithm::Ps256, Some("a"), &json!({}));
    assert_eq!(one(bound, &token).await, Err(AuthError::Signature));
    let free = file_issuer("free", &[jwk(Algorithm::Rs256, &json!({ "kid": "a", "alg": null }))]);
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256] {
        assert!(one(free.clone(), &signed_by(algorithm, Some("a"), &json!({}))).await.is_ok());
    }
}

#[tokio::test]
async fn a_kid_is_nothing_but_an_exact_name() {
    let issuer = file_issuer("exact", &[jwk(Algorithm::Es256, &json!({ "kid": "key-1" }))]);
    assert!(one(issuer.clone(), &signed_by(Algorithm::Es256, Some("key-1"), &json!({}))).await.is_ok());
    for kid in ["../../dev/null", "' OR 1=1 --", "KEY-1", "key-1 ", "key-", "kеy-1", ""] {
        let token = signed_by(Algorithm::Es256, Some(kid), &json!({}));
        assert_eq!(one(issuer.clone(), &token).await, Err(AuthError::Signature), "{kid}");
    }
    let without = signed_by(Algorithm::Es256, None, &json!({}));
    assert_eq!(one(issuer, &without).await, Err(AuthError::Signature));

    // A key without a name serves tokens without one, and no others.
    let nameless = file_issuer("nameless", &[jwk(Algorithm::Es256, &json!({ "kid": null }))]);
    assert!(one(nameless.clone(), &without).await.is_ok());
    let named = signed_by(Algorithm::Es256, Some("key-1"), &json!({}));
    assert_eq!(one(nameless, &named).await, Err(AuthError::Signature));
}

#[tokio::test]
async fn two_keys_of_one_name_vouch_for_nothing_and_harm_no_other() {
    let twice = file_issuer(
        "twice",
        &[
            jwk_of(Algorithm::Rs256, "rsa2048", &json!({ "kid": "a" })),
            jwk_of(Algorithm::Rs256, "rsa2048_other", &json!({ "kid": "a" })),
            jwk(Algorithm::Es256, &json!({ "kid": "a" })),
        ],
    );
    for key in ["rsa2048", "rsa2048_other"] {
        let token = signed_by_key(Algorithm::Rs256, key, Some("a"), &json!({}));
        assert_eq!(one(twice.clone(), &token).await, Err(AuthError::Signature));
    }
    assert!(one(twice, &signed_by(Algorithm::Es256, Some("a"), &json!({}))).await.is_ok());
}

#[tokio::test]
async fn the_same_kid_of_another_issuer_is_another_key() {
    let mut a = file_issuer("issuer-a", &[jwk_of(Algorithm::Rs256, "rsa2048", &json!({ "kid": "k" }))]);
    let mut b = file_issuer("issuer-b", &[jwk_of(Algorithm::Rs256, "rsa2048_other", &json!({ "kid": "k" }))]);
    a.issuer = Some("a".to_owned());
    b.issuer = Some("b".to_owned());
    let authenticator: Authenticator = super::authenticator(vec![a, b]);
    for (key, iss, good) in [
        ("rsa2048", "a", true),
        ("rsa2048_other", "b", true),
        ("rsa2048_other", "a", false),
        ("rsa2048", "b", false),
    ] {
        let token = signed_by_key(Algorithm::Rs256, key, Some("k"), &json!({ "iss": iss }));
        assert_eq!(super::verdict(&authenticator, &token).await.is_ok(), good, "{key} for {iss}");
    }
}

#[test]
fn keys_that_are_not_for_us_are_left_out() {
    let good = jwk(Algorithm::Es256, &json!({ "kid": "good" }));
    let modulus_of = |bytes: usize| crate::auth::base64url::encode(&vec![0xff; bytes]);
    let bad = [
        json!({ "kty": "oct", "kid": "x", "k": "c2VjcmV0" }),
        json!({ "kty": "oct", "kid": "x", "k": "c2VjcmV0", "alg": "HS256" }),
        json!({ "kty": "AKP", "kid": "x", "alg": "ML-DSA-44", "pub": "AA" }),
        json!({ "kid": "x" }),
        json!("text"),
        json!(null),
        jwk_of(Algorithm::Rs256, "rsa1024", &json!({})),
        jwk(Algorithm::Rs256, &json!({ "n": modulus_of(64) })),
        jwk(Algorithm::Rs256, &json!({ "n": modulus_of(513) })),
        jwk(Algorithm::Rs256, &json!({ "n": "" })),
        jwk(Algorithm::Rs256, &json!({ "n": null })),
        jwk(Algorithm::Rs256, &json!({ "e": "AQ" })),
        jwk(Algorithm::Rs256, &json!({ "e": "AAAB" })),
        jwk(Algorithm::Rs256, &json!({ "e": "Ag" })),
        jwk(Algorithm::Rs256, &json!({ "e": "" })),
        jwk(Algorithm::Rs256, &json!({ "e": "_________w" })),
        jwk(Algorithm::Rs256, &json!({ "use": "enc" })),
        jwk(Algorithm::Rs256, &json!({ "use": 1 })),
        jwk(Algorithm::Rs256, &json!({ "key_ops": ["encrypt"] })),
        jwk(Algorithm::Rs256, &json!({ "key_ops": "verify" })),
        jwk(Algorithm::Rs256, &json!({ "alg": "RSA-OAEP" })),
        jwk(Algorithm::Rs256, &json!({ "alg": "RS512" })),
        jwk(Algorithm::Rs256, &json!({ "alg": "ES256" })),
        jwk(Algorithm::Rs256, &json!({ "d": "AA" })),
        jwk(Algorithm::Rs256, &json!({ "kid": 7 })),
        jwk(Algorithm::Es256, &json!({ "crv": "P-384" })),
        jwk(Algorithm::Es256, &json!({ "crv": "secp256k1" })),
        jwk(Algorithm::Es256, &json!({ "alg": "ES384" })),
        jwk(Algorithm::Es256, &json!({ "x": "AA" })),
        jwk(Algorithm::Es256, &json!({ "y": crate::auth::base64url::encode(&[1; 32]) })),
        jwk(Algorithm::EdDsa, &json!({ "crv": "Ed448" })),
        jwk(Algorithm::EdDsa, &json!({ "x": "AA" })),
        jwk(Algorithm::EdDsa, &json!({ "x": "" })),
    ];
    for key in bad {
        assert_eq!(parsed(&[key.clone(), good.clone()]), Ok(1), "{key}");
        assert!(parsed(std::slice::from_ref(&key)).is_err_and(|reason| reason.contains("key 0: ")), "{key}");
    }
}

#[test]
fn keys_in_usual_spellings_are_taken() {
    for key in [
        jwk(Algorithm::Rs256, &json!({ "key_ops": ["verify"], "use": "sig", "x5c": ["ignored"] })),
        jwk(Algorithm::EdDsa, &json!({ "alg": "Ed25519" })),
        jwk(Algorithm::Ps256, &json!({ "alg": "PS256" })),
    ] {
        assert_eq!(parsed(std::slice::from_ref(&key)), Ok(1), "{key}");
    }
}

#[test]
fn texts_that_are_no_set_are_refused() {
    let many: Vec<Value> = vec![jwk(Algorithm::EdDsa, &json!({})); 101];
    let double = r#"{"keys":[],"keys":[]}"#.to_owned();
    let huge = format!("{}{}", " ".repeat(1_024 * 1_024), set(&[jwk(Algorithm::EdDsa, &json!({}))]));
    for text in
        ["", "<html></html>", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]}"#, &double, &set(&many), &huge]
    {
        let shown = &text[..text.len().min(60)];
        assert!(jwks::parse(text.as_bytes(), &PUBLIC).is_err(), "{shown}");
    }
}
