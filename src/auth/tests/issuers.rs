//! Several issuers: whose key may vouch for which token.

use jsonwebtoken::EncodingKey;
use serde_json::json;

use super::{
    HEADER, NOW_S, authenticator, claims, forge_with, key_text, pem_issuer, secret_issuer, signed_by, token,
    verdict,
};
use crate::auth::settings::{Algorithm, IssuerSettings, KeySource, Secret};
use crate::auth::{AuthError, Credential, CredentialSource, base64url};

const OTHER_SECRET: &[u8] = b"the other secret of thirty-two bytes";

fn other_issuer() -> IssuerSettings {
    IssuerSettings::new("other", vec![Algorithm::Hs256], KeySource::Secret(Secret::new(OTHER_SECRET)))
}

fn other_token(changes: &serde_json::Value) -> String {
    let key = EncodingKey::from_secret(OTHER_SECRET);
    forge_with(Algorithm::Hs256, &key, HEADER, &claims(changes).to_string())
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    // The issuer verifies RS256; the attacker signs HS256 with its public key in every spelling.
    let authenticator = authenticator(vec![pem_issuer("rsa", Algorithm::Rs256), secret_issuer()]);
    let pem = key_text("rsa2048.public");
    let text = String::from_utf8(pem.clone()).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = body.trim_end_matches('=').replace('+', "-").replace('/', "_");
    let der = base64url::decode(&der).unwrap();
    let keys = [pem.clone(), text.trim().as_bytes().to_vec(), body.into_bytes(), der];
    for key in keys {
        let key = EncodingKey::from_secret(&key);
        let token = forge_with(Algorithm::Hs256, &key, HEADER, &claims(&json!({})).to_string());
        assert_eq!(verdict(&authenticator, &token).await, Err(AuthError::Signature));
    }
    assert!(verdict(&authenticator, &signed_by(Algorithm::Rs256, None, &json!({}))).await.is_ok());
}

#[tokio::test]
async fn a_named_issuer_answers_alone_for_its_name() {
    let (mut a, mut b) = (secret_issuer(), other_issuer());
    a.issuer = Some("a".to_owned());
    b.issuer = Some("b".to_owned());
    let authenticator = authenticator(vec![a, b]);
    let issuer_of = async |token: String| verdict(&authenticator, &token).await.map(|caller| caller.issuer);
    assert_eq!(issuer_of(token(&json!({ "iss": "a" }))).await, Ok(Some("chat".into())));
    assert_eq!(issuer_of(other_token(&json!({ "iss": "b" }))).await, Ok(Some("other".into())));
    assert_eq!(issuer_of(token(&json!({ "iss": "b" }))).await, Err(AuthError::Signature));
    assert_eq!(issuer_of(other_token(&json!({ "iss": "a" }))).await, Err(AuthError::Signature));
    assert_eq!(issuer_of(token(&json!({}))).await, Err(AuthError::NotAccepted));
}

#[tokio::test]
async fn issuers_without_a_name_are_tried_in_turn() {
    let mut named = secret_issuer();
    named.name = "named".to_owned();
    named.issuer = Some("named".to_owned());
    let authenticator = authenticator(vec![secret_issuer(), other_issuer(), named]);
    let issuer_of = async |token: String| verdict(&authenticator, &token).await.map(|caller| caller.issuer);
    assert_eq!(issuer_of(token(&json!({}))).await, Ok(Some("chat".into())));
    assert_eq!(issuer_of(other_token(&json!({}))).await, Ok(Some("other".into())));
    assert_eq!(issuer_of(token(&json!({ "iss": "named" }))).await, Ok(Some("named".into())));
    // The name is taken: the issuers without one are not asked.
    assert_eq!(issuer_of(other_token(&json!({ "iss": "named" }))).await, Err(AuthError::Signature));
}

#[tokio::test]
async fn the_refusal_of_the_issuer_that_signed_is_the_answer() {
    let authenticator = authenticator(vec![secret_issuer(), other_issuer()]);
    for token in [token(&json!({ "exp": NOW_S - 60 })), other_token(&json!({ "exp": NOW_S - 60 }))] {
        assert_eq!(verdict(&authenticator, &token).await, Err(AuthError::Expired));
    }
}

#[tokio::test]
async fn an_issuer_with_a_header_reads_that_header_only() {
    let mut forwarded = other_issuer();
    forwarded.header = Some("X-OpenWebUI-User-Jwt".to_owned());
    let authenticator = authenticator(vec![secret_issuer(), forwarded]);
    let named = CredentialSource::Named("x-openwebui-user-jwt".parse().unwrap());
    let table = [
        (token(&json!({})), CredentialSource::Standard, true),
        (token(&json!({})), named.clone(), false),
        (other_token(&json!({})), named.clone(), true),
        (other_token(&json!({})), CredentialSource::Standard, false),
    ];
    for (token, source, good) in table {
        let credential = Credential::new(token, source.clone());
        assert_eq!(authenticator.authenticate(&credential).await.is_ok(), good, "{source:?}");
    }
    // What was verified from one place is not found in the cache from another.
    let token = other_token(&json!({}));
    assert!(authenticator.cached(&Credential::new(token.clone(), named)).is_some());
    assert!(authenticator.cached(&Credential::new(token, CredentialSource::Standard)).is_none());
}
