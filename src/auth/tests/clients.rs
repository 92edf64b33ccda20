//! Which claims are heard, from whom.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::auth::client::{ClientClaims, ClientRules, MESSAGE_ID_BYTES_MAX, client_claims};

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn app() -> ClientRules {
    ClientRules {
        name: "chat".to_owned(),
        callers: Some(vec!["chat".to_owned()]),
        task_headers: vec!["x-tollgate-task".to_owned(), "x-class".to_owned()],
        background: vec!["title_generation".to_owned()],
        message_id_header: Some("x-tollgate-message-id".to_owned()),
        trusted: true,
    }
}

#[test]
fn a_configured_class_is_background_and_any_other_a_message() {
    let rules = [app()];
    let task = |pairs: &[_]| client_claims(&rules, &headers(pairs), Some("chat")).task;
    assert_eq!(task(&[("x-tollgate-task", "Title_Generation")]), "title_generation");
    assert_eq!(task(&[("x-tollgate-task", " "), ("x-class", "title_generation")]), "title_generation");
    for other in ["", "main", "title", "title_generation_2"] {
        assert_eq!(task(&[("x-tollgate-task", other)]), "", "{other}");
    }
    assert_eq!(task(&[("x-tollgate-task", "main"), ("x-class", "title_generation")]), "");
    let twice = [("x-tollgate-task", "title_generation"), ("x-tollgate-task", "title_generation")];
    assert_eq!(task(&twice), "", "a header that stands twice says nothing");
}

#[test]
fn an_app_speaks_for_its_own_callers_alone() {
    let sent = headers(&[("x-tollgate-task", "title_generation"), ("x-tollgate-message-id", "m1")]);
    let rules = [app()];
    for stranger in [None, Some("other"), Some("Chat")] {
        assert_eq!(client_claims(&rules, &sent, stranger), ClientClaims::default(), "{stranger:?}");
    }
    let heard = ClientClaims { task: "title_generation".to_owned(), message_id: Some("m1".to_owned()) };
    assert_eq!(client_claims(&rules, &sent, Some("chat")), heard);
}

#[test]
fn message_ids_are_heard_from_trusted_apps_alone() {
    let sent = headers(&[("x-tollgate-message-id", "m1")]);
    for deaf in [ClientRules { trusted: false, ..app() }, ClientRules { callers: None, ..app() }] {
        assert_eq!(client_claims(&[deaf], &sent, Some("chat")).message_id, None);
    }
    let long = "m".repeat(MESSAGE_ID_BYTES_MAX + 1);
    for id in ["", "{{USER_MESSAGE_ID}}", &long] {
        let sent = headers(&[("x-tollgate-message-id", id)]);
        assert_eq!(client_claims(&[app()], &sent, Some("chat")).message_id, None, "{id}");
    }
}
