//! Settings that are refused before the first request, each with what to do.

use super::jwks_files::file;
use super::{clock, key_path, pem_issuer, secret_issuer};
use crate::auth::Authenticator;
use crate::auth::settings::{
    Algorithm, AuthOptions, IssuerSettings, JwksUrl, KeySource, Secret, UnknownAlgorithm,
};

fn refusal(issuers: Vec<IssuerSettings>) -> String {
    match Authenticator::new(issuers, AuthOptions::default(), clock()) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string().replace(&key_path("").display().to_string(), "keys/"),
    }
}

fn with_keys(algorithms: &[Algorithm], keys: KeySource) -> String {
    refusal(vec![IssuerSettings::new("chat", algorithms.to_vec(), keys)])
}

fn pem(algorithm: Algorithm, name: &str) -> String {
    let folder = key_path("x").parent().unwrap().display().to_string();
    with_keys(&[algorithm], KeySource::PublicKeyFile(key_path(name))).replace(&folder, "keys")
}

#[test]
fn a_short_secret_is_refused_and_not_shown() {
    let with_secret = |length: usize| {
        with_keys(&[Algorithm::Hs256], KeySource::Secret(Secret::new("s".repeat(length).into_bytes())))
    };
    assert_eq!(with_secret(32), "accepted");
    insta::assert_snapshot!(with_secret(31), @r"
    issuer `chat`: the `secret` has 31 bytes, at least 32 are needed
    hint: make one with `openssl rand -hex 32`
    ");
    let shown = format!("{:?}", secret_issuer());
    assert!(shown.contains("Secret([redacted])") && !shown.contains("thirty"), "{shown}");
}

#[test]
fn algorithms_must_fit_the_keys() {
    let secret = || KeySource::Secret(Secret::new([7; 32]));
    insta::assert_snapshot!(with_keys(&[Algorithm::Hs256, Algorithm::Rs256], secret()), @r"
    issuer `chat`: a `secret` serves `HS256` only
    hint: split it into two issuers
    ");
    insta::assert_snapshot!(with_keys(&[], secret()), @r"
    issuer `chat`: `algorithms` is empty
    hint: name what the tokens are signed with, such as `RS256`
    ");
    insta::assert_snapshot!(pem(Algorithm::Hs256, "rsa2048.public"), @r"
    issuer `chat`: `HS256` needs a `secret`, not a public key
    hint: remove `HS256`
    ");
    insta::assert_snapshot!(pem(Algorithm::Es384, "p256.public"), @r"
    issuer `chat`: no usable key in `keys/p256.public.pem`: the key cannot verify `ES384`
    hint: make `algorithms` fit the key
    ");
    assert_eq!("RS256".parse(), Ok(Algorithm::Rs256));
    for name in ["none", "hs256", "RS512", ""] {
        assert_eq!(name.parse::<Algorithm>(), Err(UnknownAlgorithm), "{name}");
    }
}

#[test]
fn key_files_must_hold_one_good_public_key() {
    insta::assert_snapshot!(pem(Algorithm::Rs256, "nowhere"), @r"
    issuer `chat`: cannot read `keys/nowhere.pem`: No such file or directory (os error 2)
    hint: check the path and that the gateway's user may read it
    ");
    insta::assert_snapshot!(pem(Algorithm::Rs256, "rsa1024.public"), @r"
    issuer `chat`: no usable key in `keys/rsa1024.public.pem`: an RSA key of 1024 bits, allowed are 2048 to 4096
    hint: give one RSA (2048 to 4096 bits), P-256, P-384 or Ed25519 public key in PEM
    ");
    insta::assert_snapshot!(pem(Algorithm::Es256, "p256.private"), @r"
    issuer `chat`: no usable key in `keys/p256.private.pem`: it holds a private key
    hint: give the public half: `openssl pkey -in KEY -pubout`
    ");
    for (name, text) in [
        ("empty", ""),
        ("certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ("noise", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
    ] {
        let refusal = with_keys(&[Algorithm::Es256], KeySource::PublicKeyFile(file(name, text)));
        assert!(refusal.starts_with("issuer `chat`: no usable key in"), "{refusal}");
    }
    let set = file("noise-set", r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#);
    let refusal = with_keys(&[Algorithm::Es256], KeySource::JwksFile(set));
    assert!(refusal.contains("no usable key: key 0: a shared secret (`oct`)"), "{refusal}");
}

#[test]
fn bounds_names_and_urls() {
    rustls_provider();
    let accepts = |change: fn(&mut IssuerSettings)| {
        let mut issuer = secret_issuer();
        change(&mut issuer);
        refusal(vec![issuer]) == "accepted"
    };
    assert!(accepts(|issuer| issuer.leeway_s = 600));
    assert!(!accepts(|issuer| issuer.leeway_s = 601));
    assert!(accepts(|issuer| issuer.header = Some("Authorization".to_owned())));
    assert!(!accepts(|issuer| issuer.header = Some("no header".to_owned())));
    assert!(!accepts(|issuer| issuer.claims.user = String::new()));
    assert!(!accepts(|issuer| issuer.name = String::new()));
    assert!(refusal(vec![secret_issuer(), secret_issuer()]).contains("the name stands twice"));

    let unnamed = |count: usize| (0..count).map(|n| pem_issuer(&n.to_string(), Algorithm::Es256)).collect();
    assert_eq!(refusal(unnamed(8)), "accepted");
    assert!(refusal(unnamed(9)).contains("9 issuers have no `issuer`, allowed are 8"));

    let url = |url: &str| with_keys(&[Algorithm::Rs256], KeySource::JwksUrl(JwksUrl::new(url)));
    assert_eq!(url("https://id.example.org/keys"), "accepted");
    for bad in ["", "id.example.org/keys", "file:///etc/passwd", "ftp://a/b", "https://user:pass@a/b"] {
        assert!(url(bad).contains("`jwks_url`"), "{bad}");
    }
    for (refresh_s, stale_limit_s) in [(59, 3_600), (600, 599)] {
        let source = JwksUrl { url: "https://a/b".to_owned(), refresh_s, stale_limit_s };
        assert_ne!(with_keys(&[Algorithm::Rs256], KeySource::JwksUrl(source)), "accepted");
    }
}

/// Installs the TLS provider that the composition root installs; each test process does it once.
pub(super) fn rustls_provider() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            rustls::crypto::ring::default_provider().install_default().unwrap();
        }
    });
}
