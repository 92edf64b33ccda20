//! What is changed in a body before it is sent, and that all else stays byte for byte.

use http::{HeaderMap, Method};
use proptest::prelude::*;

use super::{needs_usage, rewrite};
use crate::dialect::{Route, route, scan};

fn at(path: &str) -> Route {
    route(&Method::POST, path, &HeaderMap::new()).unwrap().unwrap()
}

fn changed(path: &str, body: &str, model: Option<&str>, want_usage: bool) -> Option<String> {
    let route = at(path);
    let ask = scan(&route, None, body.as_bytes()).unwrap();
    let out = rewrite(&route, &ask, body.as_bytes(), model, want_usage)?;
    // the result is read as meant
    let again = scan(&route, None, &out).unwrap();
    let in_path = route.model_in_path.is_some();
    assert_eq!(again.model, if in_path { &ask.model } else { model.unwrap_or(&ask.model) });
    assert!(!want_usage || !needs_usage(&route, &again));
    Some(String::from_utf8(out).unwrap())
}

const CHAT: &str = "/v1/chat/completions";

#[test]
fn the_model_is_replaced_in_place() {
    let body = r#"{ "messages" : [ {"model":"a"} ], "model" :  "a" , "x":1.0}"#;
    assert_eq!(changed(CHAT, body, Some("a"), false), None);
    assert_eq!(changed(CHAT, body, None, false), None);
    assert_eq!(
        changed(CHAT, body, Some("b/c"), false).unwrap(),
        r#"{ "messages" : [ {"model":"a"} ], "model" :  "b/c" , "x":1.0}"#
    );
    assert_eq!(
        changed(CHAT, r#"{"mod\u0065l":"\u0061"}"#, Some("b"), false).unwrap(),
        r#"{"mod\u0065l":"b"}"#
    );
}

#[test]
fn usage_is_asked_for_in_streams_that_need_it() {
    let cases = [
        (r#"{"model":"a"}"#, None),
        (r#"{"model":"a","stream":false}"#, None),
        (r#"{"model":"a","stream":true,"stream_options":{"include_usage":true}}"#, None),
        (
            r#"{ "model":"a","stream":true}"#,
            Some(r#"{"stream_options":{"include_usage":true}, "model":"a","stream":true}"#),
        ),
        (
            r#"{"model":"a","stream":true,"stream_options":null}"#,
            Some(r#"{"model":"a","stream":true,"stream_options":{"include_usage":true}}"#),
        ),
        (
            r#"{"model":"a","stream":true,"stream_options": { } }"#,
            Some(r#"{"model":"a","stream":true,"stream_options": {"include_usage":true } }"#),
        ),
        (
            r#"{"stream_options":{"x":1},"model":"a","stream":true}"#,
            Some(r#"{"stream_options":{"include_usage":true,"x":1},"model":"a","stream":true}"#),
        ),
        (
            r#"{"stream_options":{"include_usage": false},"model":"a","stream":true}"#,
            Some(r#"{"stream_options":{"include_usage": true},"model":"a","stream":true}"#),
        ),
        (
            r#"{"stream_options":{"include_usage":null},"model":"a","stream":true}"#,
            Some(r#"{"stream_options":{"include_usage":true},"model":"a","stream":true}"#),
        ),
    ];
    for (body, wanted) in cases {
        assert_eq!(changed(CHAT, body, None, true).as_deref(), wanted, "{body}");
        assert_eq!(changed(CHAT, body, None, false), None);
    }
    assert_eq!(changed("/v1/responses", r#"{"model":"a","stream":true}"#, None, true), None);
    assert_eq!(changed("/v1/messages", r#"{"model":"a","stream":true}"#, None, true), None);
    let both = changed(CHAT, r#"{"model":"a","stream":true,"stream_options":null}"#, Some("b"), true);
    assert_eq!(both.unwrap(), r#"{"model":"b","stream":true,"stream_options":{"include_usage":true}}"#);
}

#[test]
fn every_model_of_a_gemini_batch_is_replaced() {
    let path = "/v1beta/models/e:batchEmbedContents";
    let body = r#"{"requests":[{"model":"models/e","content":{}},{"model":"e"}]}"#;
    let (route, body) = (at(path), body.as_bytes());
    let ask = scan(&route, None, body).unwrap();
    let out = rewrite(&route, &ask, body, Some("f"), false).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"requests":[{"model":"models/f","content":{}},{"model":"f"}]}"#
    );
    let plain = at("/v1/models/e:generateContent");
    let ask = scan(&plain, None, b"{}").unwrap();
    assert_eq!(rewrite(&plain, &ask, b"{}", Some("f"), true), None);
}

proptest! {
    /// Only the model's value differs afterwards, whatever stands around it.
    #[test]
    fn nothing_else_changes(before in "[ -~]{0,40}", after in "\\PC{0,40}", model in "[!-~]{1,40}") {
        let body = serde_json::json!({"a": before, "model": "old", "z": {"model": after}}).to_string();
        let route = at(CHAT);
        let ask = scan(&route, None, body.as_bytes()).unwrap();
        let Some(out) = rewrite(&route, &ask, body.as_bytes(), Some(&model), false) else {
            prop_assert_eq!(model, "old");
            return Ok(());
        };
        let mut wanted: serde_json::Value = serde_json::from_str(&body).unwrap();
        wanted["model"] = model.into();
        prop_assert_eq!(String::from_utf8(out).unwrap(), wanted.to_string());
    }
}
