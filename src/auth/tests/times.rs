//! `exp`, `nbf`, `iat`, lifetimes, and the cache that must not outlive them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    HEADER, NOW_S, authenticator_at, claims, clock, clock_at, forge, one, secret_issuer, standard, token,
    verdict,
};
use crate::auth::AuthError;

#[tokio::test]
async fn dates_of_the_wrong_kind_are_never_taken_as_absent() {
    let wrong = [
        r#""9999999999""#,
        "-1",
        "-9999999999",
        "1e300",
        "-1e300",
        "253402300800",
        "18446744073709551615",
        "null",
        "[9999999999]",
        "{}",
        "true",
        r#""NaN""#,
        r#""""#,
    ];
    for name in ["exp", "nbf", "iat"] {
        for value in wrong {
            let mut usual = claims(&json!({}));
            usual.as_object_mut().unwrap().remove(name);
            let usual = usual.to_string();
            let payload = format!(r#"{},"{name}":{value}}}"#, usual.strip_suffix('}').unwrap());
            let refused = one(secret_issuer(), &forge(HEADER, &payload)).await;
            assert_eq!(refused, Err(AuthError::Malformed), "{name} = {value}");
        }
    }
    let without_exp = token(&json!({ "exp": Value::Null }));
    assert_eq!(one(secret_issuer(), &without_exp).await, Err(AuthError::Malformed));
}

#[tokio::test]
async fn a_fraction_of_a_second_is_a_date() {
    let exp = 1_795_503_600.5 + 60.0;
    assert!(one(secret_issuer(), &token(&json!({ "exp": exp }))).await.is_ok());
}

#[tokio::test]
async fn times_are_checked_to_the_second_with_a_leeway_of_30() {
    let expired = Err(AuthError::Expired);
    let early = Err(AuthError::NotYetValid);
    let table = [
        (json!({ "exp": NOW_S - 31 }), expired),
        (json!({ "exp": NOW_S - 30 }), expired),
        (json!({ "exp": NOW_S - 29 }), Ok(())),
        (json!({ "exp": 0 }), expired),
        (json!({ "nbf": NOW_S + 30 }), Ok(())),
        (json!({ "nbf": NOW_S + 31 }), early),
        (json!({ "iat": NOW_S + 30 }), Ok(())),
        (json!({ "iat": NOW_S + 31 }), early),
        (json!({ "iat": Value::Null }), Ok(())),
        (json!({ "exp": NOW_S - 31, "nbf": NOW_S + 31 }), expired),
    ];
    for (changes, expected) in table {
        let seen = one(secret_issuer(), &token(&changes)).await.map(drop);
        assert_eq!(seen, expected, "{changes}");
    }
}

#[tokio::test]
async fn a_longer_life_than_allowed_is_refused() {
    let mut issuer = secret_issuer();
    issuer.max_lifetime_s = Some(86_400);
    let no = Err(AuthError::NotAccepted);
    let table = [
        (json!({ "exp": NOW_S + 86_400 }), Ok(())),
        (json!({ "exp": NOW_S + 86_401 }), no),
        (json!({ "exp": NOW_S + 3_600, "iat": NOW_S - 86_400 }), no),
        (json!({ "exp": NOW_S + 86_430, "iat": Value::Null }), Ok(())),
        (json!({ "exp": NOW_S + 86_431, "iat": Value::Null }), no),
    ];
    for (changes, expected) in table {
        let seen = one(issuer.clone(), &token(&changes)).await.map(drop);
        assert_eq!(seen, expected, "{changes}");
    }
}

#[tokio::test]
async fn a_clock_far_off_does_not_panic() {
    for seconds in [-62_000_000_000, -1, 0, 10, 253_402_207_200] {
        let authenticator = authenticator_at(vec![secret_issuer()], clock_at(seconds));
        let verdict = verdict(&authenticator, &token(&json!({ "iat": Value::Null }))).await;
        assert_eq!(verdict.is_ok(), seconds < NOW_S, "{seconds}");
    }
}

#[tokio::test]
async fn a_cached_token_is_good_until_it_expires() {
    let clock = clock();
    let authenticator = authenticator_at(vec![secret_issuer()], clock.clone());
    let credential = standard(&token(&json!({ "exp": NOW_S + 60 })));
    assert_eq!(authenticator.cached(&credential), None);
    let verified = authenticator.authenticate(&credential).await.unwrap();
    assert_eq!(verified.expires_us, (NOW_S + 90) * 1_000_000);
    assert_eq!(authenticator.cached(&credential), Some(verified));
    assert_eq!(authenticator.cached(&standard(&token(&json!({ "exp": NOW_S + 61 })))), None);

    clock.advance(Duration::from_secs(89));
    assert!(authenticator.cached(&credential).is_some());
    clock.advance(Duration::from_secs(1));
    assert_eq!(authenticator.cached(&credential), None);
    assert_eq!(authenticator.authenticate(&credential).await, Err(AuthError::Expired));
}
