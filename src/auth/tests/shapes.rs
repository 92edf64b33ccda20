//! What a token may look like: sizes, parts, encodings, header members.

use serde_json::json;

use super::{HEADER, claims, forge, one, secret_issuer, signed_by, token, verdict};
use crate::auth::settings::Algorithm;
use crate::auth::{AuthError, base64url};

fn usual() -> String {
    claims(&json!({})).to_string()
}

#[tokio::test]
async fn a_good_token_is_let_in() {
    let caller = one(secret_issuer(), &token(&json!({}))).await.unwrap();
    assert_eq!(caller.user.as_deref(), Some("user_123"));
    assert_eq!(caller.issuer.as_deref(), Some("chat"));
}

#[tokio::test]
async fn alg_none_and_strangers_are_refused() {
    for name in ["none", "None", "NONE", "nOnE", "HS384", "HS512", "RS512", "hs256", "HS256 ", "", "dir"] {
        let header = json!({ "alg": name }).to_string();
        assert_eq!(
            one(secret_issuer(), &forge(&header, &usual())).await,
            Err(AuthError::Signature),
            "{name}"
        );
    }
    for header in
        [r#"{"typ":"JWT"}"#, r#"{"alg":null}"#, r#"{"alg":["HS256"]}"#, r#"{"alg":1}"#, "[]", "x", "{"]
    {
        assert_eq!(
            one(secret_issuer(), &forge(header, &usual())).await,
            Err(AuthError::Malformed),
            "{header}"
        );
    }
}

#[tokio::test]
async fn parts_missing_empty_or_too_many_are_refused() {
    let good = token(&json!({}));
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    for bad in [
        String::new(),
        "anonymous".to_owned(),
        "sk-proj-0123456789".to_owned(),
        "..".to_owned(),
        "....".to_owned(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#),
    ] {
        assert_eq!(one(secret_issuer(), &bad).await, Err(AuthError::Malformed), "{bad}");
    }
}

#[tokio::test]
async fn another_text_of_a_good_token_is_refused() {
    // 32 bytes of signature end in a sextet with two spare bits: `+1` keeps the bytes and changes the text.
    let good = token(&json!({}));
    let last = good.chars().last().unwrap();
    let spare = char::from(u8::try_from(last).unwrap() + 1);
    let standard_alphabet = good.replace('-', "+").replace('_', "/");
    let mut others = vec![
        format!("{}{spare}", &good[..good.len() - 1]),
        format!("{good}="),
        format!("{good}=="),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        good.replacen('.', "=.", 1),
        good.replacen('.', " .", 1),
    ];
    if standard_alphabet != good {
        others.push(standard_alphabet);
    }
    for other in others {
        assert_eq!(one(secret_issuer(), &other).await, Err(AuthError::Malformed), "{other}");
    }
}

#[tokio::test]
async fn a_changed_payload_or_signature_is_refused() {
    let good = token(&json!({}));
    let other = token(&json!({ "sub": "somebody_else" }));
    let (message, _) = good.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    for bad in [
        format!("{message}.{signature}"),
        format!("{message}.{}", base64url::encode(&[0; 32])),
        format!("{message}.{}", base64url::encode(&[0; 1])),
        format!("{message}.{}", base64url::encode(&[0; 600])),
    ] {
        assert_eq!(one(secret_issuer(), &bad).await, Err(AuthError::Signature), "{bad}");
    }
}

#[tokio::test]
async fn header_members_that_change_the_reading_are_refused() {
    for member in [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""crit":["b64"],"b64":false"#,
        r#""crit":null"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""zip":"DEF""#,
        r#""enc":"A256GCM""#,
        r#""p2c":2147483648"#,
        r#""alg":"HS256""#,
        r#""alg":"none""#,
        r#""typ":"JWT","typ":"JWT""#,
        r#""typ":1"#,
        r#""kid":"a","kid":"a""#,
        r#""kid":["a"]"#,
        r#""kid":null"#,
        r#""kid":1"#,
        r#""kid":"a\u0000b""#,
        r#""kid":"a\nb""#,
        r#""x":{"y":1,"y":2}"#,
    ] {
        let header = format!(r#"{{"alg":"HS256",{member}}}"#);
        let token = forge(&header, &usual());
        assert_eq!(one(secret_issuer(), &token).await, Err(AuthError::Malformed), "{header}");
    }
}

#[tokio::test]
async fn a_kid_of_256_bytes_is_the_longest() {
    for (length, good) in [(256, true), (257, false), (3_000, false), (10_000, false)] {
        let header = json!({ "alg": "HS256", "kid": "k".repeat(length) }).to_string();
        assert_eq!(one(secret_issuer(), &forge(&header, &usual())).await.is_ok(), good, "{length}");
    }
}

#[tokio::test]
async fn a_token_of_16_kib_is_the_longest_and_a_header_of_4_kib() {
    // Lengths grow in steps of one or two: walk over the bound from a size just under it.
    let base = token(&json!({ "filler": "" })).len();
    let filler = (16_384 - base) * 3 / 4 - 10;
    let (mut longest_good, mut shortest_bad) = (0, usize::MAX);
    for extra in filler..filler + 20 {
        let token = token(&json!({ "filler": "x".repeat(extra) }));
        match one(secret_issuer(), &token).await {
            Ok(_) => longest_good = longest_good.max(token.len()),
            Err(error) => {
                assert_eq!(error, AuthError::Malformed);
                shortest_bad = shortest_bad.min(token.len());
            }
        }
    }
    assert!((16_380..=16_384).contains(&longest_good), "{longest_good}");
    assert!((16_385..=16_389).contains(&shortest_bad), "{shortest_bad}");

    let header = json!({ "alg": "HS256", "x": "x".repeat(3_000) }).to_string();
    assert!(one(secret_issuer(), &forge(&header, &usual())).await.is_ok());
    let header = json!({ "alg": "HS256", "x": "x".repeat(3_100) }).to_string();
    assert_eq!(one(secret_issuer(), &forge(&header, &usual())).await, Err(AuthError::Malformed));
}

#[tokio::test]
async fn payloads_that_are_no_plain_object_are_refused() {
    let deep = format!(r#"{{"sub":"a","exp":1e11,"x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    for payload in [
        "null",
        "[]",
        r#""text""#,
        r#"{"sub":"a","sub":"b"}"#,
        r#"{"exp":99999999999,"exp":1,"sub":"a"}"#,
        r#"{"a":{"plan":"free","plan":"pro"}}"#,
        "\u{feff}{}",
        deep.as_str(),
    ] {
        let token = forge(HEADER, payload);
        assert_eq!(one(secret_issuer(), &token).await, Err(AuthError::Malformed), "{payload}");
    }
}

#[tokio::test]
async fn every_algorithm_is_let_in_by_its_own_key_alone() {
    for signer in Algorithm::ALL {
        for checker in Algorithm::ALL {
            let issuer = match checker {
                Algorithm::Hs256 => secret_issuer(),
                _ => super::pem_issuer("pem", checker),
            };
            let token = signed_by(signer, None, &json!({}));
            let let_in = verdict(&super::authenticator(vec![issuer]), &token).await.is_ok();
            assert_eq!(let_in, signer == checker, "{signer:?} by {checker:?}");
        }
    }
}
