//! Where a credential stands, and what two of them mean.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{authenticator, secret_issuer};
use crate::auth::{AuthError, Credential, CredentialSource, credential};

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        })
        .fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
}

fn found(list: &[(&str, &str)], query: Option<&str>) -> Result<Option<String>, AuthError> {
    let anonymous = ["anonymous".to_owned(), "dummy".to_owned()];
    credential(&headers(list), query, &anonymous).map(|found| found.map(|found| found.token().to_owned()))
}

#[test]
fn one_credential_is_found_wherever_it_stands() {
    for (name, value) in [
        ("authorization", "Bearer tok"),
        ("authorization", "bearer tok"),
        ("authorization", "BEARER tok"),
        ("authorization", "Bearer   tok  "),
        ("x-api-key", "tok"),
        ("x-goog-api-key", "tok"),
    ] {
        assert_eq!(found(&[(name, value)], None), Ok(Some("tok".to_owned())), "{name}: {value}");
    }
    assert_eq!(found(&[], Some("tok")), Ok(Some("tok".to_owned())));
}

#[test]
fn nothing_empty_and_anonymous_keys_count_as_none() {
    assert_eq!(found(&[], None), Ok(None));
    assert_eq!(found(&[], Some("")), Ok(None));
    for (name, value) in [
        ("authorization", ""),
        ("authorization", "Bearer"),
        ("authorization", "Bearer "),
        ("authorization", "Bearer anonymous"),
        ("x-api-key", ""),
        ("x-api-key", "dummy"),
        ("x-goog-api-key", "anonymous"),
    ] {
        assert_eq!(found(&[(name, value)], None), Ok(None), "{name}: {value}");
    }
    let beside = [("authorization", "Bearer anonymous"), ("x-api-key", "tok")];
    assert_eq!(found(&beside, None), Ok(Some("tok".to_owned())));
    // An anonymous key is matched whole and with its case.
    assert_eq!(found(&[("x-api-key", "Anonymous")], None), Ok(Some("Anonymous".to_owned())));
}

#[test]
fn two_that_agree_are_one_and_two_that_differ_are_none() {
    let same = [("authorization", "Bearer tok"), ("x-api-key", "tok"), ("x-goog-api-key", "tok")];
    assert_eq!(found(&same, Some("tok")), Ok(Some("tok".to_owned())));
    for (list, query) in [
        (vec![("authorization", "Bearer a"), ("x-api-key", "b")], None),
        (vec![("x-api-key", "a"), ("x-goog-api-key", "b")], None),
        (vec![("x-api-key", "a")], Some("b")),
        (vec![("authorization", "Bearer a"), ("authorization", "Bearer b")], None),
        (vec![("authorization", "Bearer a"), ("authorization", "Bearer a")], None),
        (vec![("authorization", "Bearer anonymous"), ("authorization", "Bearer a")], None),
        (vec![("x-api-key", "a"), ("x-api-key", "a")], None),
    ] {
        assert_eq!(found(&list, query), Err(AuthError::Conflict), "{list:?} {query:?}");
    }
}

#[test]
fn other_schemes_and_foreign_bytes_are_errors_never_anonymous() {
    for value in ["Basic dXNlcjpwYXNz", "tok", "Bearertok", "Bearer,tok", "Token tok"] {
        assert_eq!(found(&[("authorization", value)], None), Err(AuthError::Scheme), "{value}");
    }
    assert_eq!(found(&[("x-api-key", "tök")], None), Err(AuthError::Malformed));
}

#[test]
fn a_header_that_an_issuer_names_speaks_for_itself() {
    let mut forwarded = secret_issuer();
    forwarded.header = Some("x-user-jwt".to_owned());
    let authenticator = authenticator(vec![forwarded]);
    let find = |list: &[(&str, &str)]| authenticator.credential(&headers(list), None);
    let named = |token: &str| {
        Ok(Some(Credential::new(token, CredentialSource::Named(HeaderName::from_static("x-user-jwt")))))
    };
    assert_eq!(find(&[("x-user-jwt", "tok"), ("authorization", "Bearer service-key")]), named("tok"));
    assert_eq!(find(&[("x-user-jwt", "Bearer tok")]), named("tok"));
    assert_eq!(find(&[("x-user-jwt", "a"), ("x-user-jwt", "b")]), Err(AuthError::Conflict));
    let standard = Ok(Some(Credential::new("tok", CredentialSource::Standard)));
    assert_eq!(find(&[("x-user-jwt", ""), ("x-api-key", "tok")]), standard);
    assert_eq!(find(&[]), Ok(None));
}

#[test]
fn debug_shows_no_token() {
    let shown = format!("{:?}", Credential::new("canary-token", CredentialSource::Standard));
    assert_eq!(shown, "Credential { source: Standard, .. }");
}
