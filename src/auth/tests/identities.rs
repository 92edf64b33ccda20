//! Users, teams, plans, roles, issuers, audiences, token types.

use serde_json::{Value, json};

use super::{claims, forge, one, secret_issuer, token};
use crate::auth::{AuthError, Identity, Role};

#[tokio::test]
async fn claims_become_a_caller() {
    let token = token(&json!({ "sub": "u1", "plan": "pro", "team": "t1", "role": "admin" }));
    let caller = one(secret_issuer(), &token).await.unwrap();
    assert_eq!(caller.identity, Identity::User);
    assert_eq!(caller.user.as_deref(), Some("u1"));
    assert_eq!(caller.plan.as_deref(), Some("pro"));
    assert_eq!(caller.team.as_deref(), Some("t1"));
    assert!(caller.is_admin());

    let caller = one(secret_issuer(), &super::token(&json!({}))).await.unwrap();
    assert_eq!((caller.plan.clone(), caller.team.clone(), caller.role.clone()), (None, None, Role::User));
    assert!(!caller.is_admin());
}

#[tokio::test]
async fn ids_that_break_a_line_or_a_bound_are_refused() {
    let refused = [
        String::new(),
        "x".repeat(257),
        "x".repeat(1_024),
        "a\0b".to_owned(),
        "a\nb".to_owned(),
        "a\rb".to_owned(),
        "a\u{1b}[31m".to_owned(),
        "a\u{7f}".to_owned(),
        "a\u{85}b".to_owned(),
        "a\u{2028}b".to_owned(),
        "a\u{202e}b".to_owned(),
        "a\u{200f}b".to_owned(),
        "a\u{2066}b".to_owned(),
    ];
    for id in refused {
        for claim in ["sub", "plan", "team", "role"] {
            let verdict = one(secret_issuer(), &token(&json!({ claim: id }))).await;
            assert_eq!(verdict, Err(AuthError::Identity), "{claim} = {id:?}");
        }
    }
    for id in ["x", "a|b{c}:d", "Zoë", "用户", "auth0|5f7c", "a b", &"x".repeat(256)] {
        let caller = one(secret_issuer(), &token(&json!({ "sub": id }))).await.unwrap();
        assert_eq!(caller.user.as_deref(), Some(id));
    }
}

#[tokio::test]
async fn ids_of_the_wrong_kind_are_refused_not_ignored() {
    for value in [json!(1.5), json!(true), json!(["a"]), json!({ "a": 1 })] {
        for claim in ["sub", "plan", "team"] {
            let verdict = one(secret_issuer(), &token(&json!({ claim: value }))).await;
            assert_eq!(verdict, Err(AuthError::Identity), "{claim} = {value}");
        }
    }
    let without = token(&json!({ "sub": Value::Null }));
    assert_eq!(one(secret_issuer(), &without).await, Err(AuthError::Identity));
    let mut null = claims(&json!({}));
    null["sub"] = Value::Null;
    assert_eq!(
        one(secret_issuer(), &forge(super::HEADER, &null.to_string())).await,
        Err(AuthError::Identity)
    );
    let number = one(secret_issuer(), &token(&json!({ "sub": 42 }))).await.unwrap();
    assert_eq!(number.user.as_deref(), Some("42"));
}

#[tokio::test]
async fn a_list_of_roles_grants_the_highest_of_ours() {
    let table = [
        (json!(["member", "admin"]), Some(Role::Admin)),
        (json!(["member", "user"]), Some(Role::Other("member".to_owned()))),
        (json!([]), Some(Role::User)),
        (json!("Admin"), Some(Role::Other("Admin".to_owned()))),
        (json!("team_admin"), Some(Role::Other("team_admin".to_owned()))),
        (json!(["admin", 1]), None),
        (json!(["admin", "a\nb"]), None),
        (json!(true), None),
        (json!({ "admin": true }), None),
    ];
    for (value, expected) in table {
        let seen = one(secret_issuer(), &token(&json!({ "role": value }))).await.ok();
        assert_eq!(seen.map(|caller| caller.role), expected, "{value}");
    }
}

#[tokio::test]
async fn dotted_paths_reach_into_claims_and_urls_stay_whole() {
    let mut issuer = secret_issuer();
    issuer.claims.user = "user.id".to_owned();
    issuer.claims.plan = "https://example.org/plan".to_owned();
    issuer.claims.role = "realm_access.roles".to_owned();
    issuer.claims.team = "a.b.c".to_owned();
    let token = token(&json!({
        "user": { "id": "u1" },
        "https://example.org/plan": "pro",
        "realm_access": { "roles": ["offline", "admin"] },
        "a": { "b.c": "t1" },
    }));
    let caller = one(issuer.clone(), &token).await.unwrap();
    assert_eq!(caller.user.as_deref(), Some("u1"));
    assert_eq!(caller.plan.as_deref(), Some("pro"));
    assert_eq!(caller.team.as_deref(), Some("t1"));
    assert!(caller.is_admin());

    // `sub` is there, but it is not the user of this issuer.
    assert_eq!(one(issuer, &super::token(&json!({ "user": "u1" }))).await, Err(AuthError::Identity));
}

#[tokio::test]
async fn iss_must_be_exactly_ours() {
    let mut issuer = secret_issuer();
    issuer.issuer = Some("https://id.example.org".to_owned());
    let table = [
        (json!("https://id.example.org"), Ok(())),
        (json!("https://id.example.org/"), Err(AuthError::NotAccepted)),
        (json!("https://ID.example.org"), Err(AuthError::NotAccepted)),
        (json!(""), Err(AuthError::NotAccepted)),
        (Value::Null, Err(AuthError::NotAccepted)),
        (json!(["https://id.example.org"]), Err(AuthError::Malformed)),
        (json!(1), Err(AuthError::Malformed)),
    ];
    for (iss, expected) in table {
        let seen = one(issuer.clone(), &token(&json!({ "iss": iss }))).await.map(drop);
        assert_eq!(seen, expected, "{iss}");
    }
    // A list is refused even where no `iss` is asked for.
    assert_eq!(one(secret_issuer(), &token(&json!({ "iss": ["a"] }))).await, Err(AuthError::Malformed));
    assert!(one(secret_issuer(), &token(&json!({ "iss": "anybody" }))).await.is_ok());
}

#[tokio::test]
async fn aud_must_be_or_contain_exactly_ours() {
    let mut issuer = secret_issuer();
    issuer.audience = Some("tollgate".to_owned());
    let no = Err(AuthError::NotAccepted);
    let table = [
        (json!("tollgate"), Ok(())),
        (json!(["other", "tollgate"]), Ok(())),
        (json!("tollgate/"), no),
        (json!("Tollgate"), no),
        (json!(["other"]), no),
        (json!([]), no),
        (json!(["tollgate", 1]), no),
        (json!([["tollgate"]]), no),
        (json!({ "tollgate": true }), no),
        (Value::Null, no),
    ];
    for (aud, expected) in table {
        let seen = one(issuer.clone(), &token(&json!({ "aud": aud }))).await.map(drop);
        assert_eq!(seen, expected, "{aud}");
    }
    assert!(one(secret_issuer(), &token(&json!({ "aud": "anybody" }))).await.is_ok());
}

#[tokio::test]
async fn typ_must_be_ours_where_one_is_asked_for() {
    let mut issuer = secret_issuer();
    issuer.token_type = Some("at+jwt".to_owned());
    let table = [
        (json!({ "alg": "HS256", "typ": "at+jwt" }), Ok(())),
        (json!({ "alg": "HS256", "typ": "application/AT+JWT" }), Ok(())),
        (json!({ "alg": "HS256", "typ": "JWT" }), Err(AuthError::NotAccepted)),
        (json!({ "alg": "HS256", "typ": "" }), Err(AuthError::NotAccepted)),
        (json!({ "alg": "HS256" }), Err(AuthError::NotAccepted)),
    ];
    for (header, expected) in table {
        let token = forge(&header.to_string(), &claims(&json!({})).to_string());
        assert_eq!(one(issuer.clone(), &token).await.map(drop), expected, "{header}");
    }
}
