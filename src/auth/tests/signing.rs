//! Tokens the gateway signs come back as what they were asked to be.

use super::{NOW_S, one, pem_issuer, secret_issuer};
use crate::auth::settings::Algorithm;
use crate::auth::{Role, SignError, TokenRequest, first_with_secret, sign};

fn request() -> TokenRequest {
    TokenRequest {
        user: "u1".to_owned(),
        plan: Some("pro".to_owned()),
        team: Some("t1".to_owned()),
        role: Some("admin".to_owned()),
        ttl_s: 3_600,
    }
}

#[tokio::test]
async fn what_is_signed_is_let_in() {
    let plain = secret_issuer();
    let mut full = secret_issuer();
    full.issuer = Some("https://id.example.org".to_owned());
    full.audience = Some("tollgate".to_owned());
    full.token_type = Some("at+jwt".to_owned());
    full.max_lifetime_s = Some(3_600);
    full.claims.user = "who.id".to_owned();
    full.claims.team = "who.team.id".to_owned();
    full.claims.plan = "https://example.org/v1.0/plan".to_owned();
    for issuer in [plain, full] {
        let token = sign(&issuer, &request(), NOW_S * 1_000_000 + 999_999).unwrap();
        let caller = one(issuer, &token).await.unwrap();
        assert_eq!(caller.user.as_deref(), Some("u1"));
        assert_eq!(caller.plan.as_deref(), Some("pro"));
        assert_eq!(caller.team.as_deref(), Some("t1"));
        assert_eq!(caller.role, Role::Admin);
    }
}

#[test]
fn what_would_be_refused_is_not_signed() {
    let refused = |issuer: &crate::auth::IssuerSettings, change: fn(&mut TokenRequest)| {
        let mut request = request();
        change(&mut request);
        sign(issuer, &request, NOW_S * 1_000_000).unwrap_err()
    };
    let issuer = secret_issuer();
    assert_eq!(refused(&issuer, |request| request.user.clear()), SignError::Id { field: "user" });
    assert_eq!(
        refused(&issuer, |request| request.plan = Some("a\nb".to_owned())),
        SignError::Id { field: "plan" }
    );
    assert_eq!(refused(&issuer, |request| request.ttl_s = 0), SignError::TimeToLive);

    let mut short = secret_issuer();
    short.max_lifetime_s = Some(60);
    assert_eq!(refused(&short, |_| {}), SignError::TimeToLive);

    for (user, plan) in [("a", "a.b"), ("a.b", "a"), ("a", "a"), ("exp", "plan")] {
        let mut colliding = secret_issuer();
        colliding.claims.user = user.to_owned();
        colliding.claims.plan = plan.to_owned();
        assert!(matches!(refused(&colliding, |_| {}), SignError::ClaimPaths { .. }), "{user} {plan}");
    }
    let rsa = pem_issuer("rsa", Algorithm::Rs256);
    assert_eq!(refused(&rsa, |_| {}), SignError::NoSecret { issuer: "rsa".to_owned() });
}

#[test]
fn the_first_secret_signs() {
    let issuers = [pem_issuer("rsa", Algorithm::Rs256), secret_issuer()];
    assert_eq!(first_with_secret(&issuers).map(|issuer| issuer.name.as_str()), Some("chat"));
    assert_eq!(first_with_secret(&issuers[..1]), None);
}
