//! The strict scan of a request's body: what is read from it, and every way of being refused.

use http::{HeaderMap, Method};
use proptest::prelude::*;

use super::{Ask, ScanError, scan};
use crate::dialect::{Route, route};

fn at(path: &str) -> Route {
    route(&Method::POST, path, &HeaderMap::new()).unwrap().unwrap()
}

fn chat(body: impl AsRef<[u8]>) -> Result<Ask, ScanError> {
    scan(&at("/v1/chat/completions"), Some("application/json"), body.as_ref())
}

fn gemini(body: &str) -> Result<Ask, ScanError> {
    scan(&at("/v1beta/models/gemini-x:generateContent"), None, body.as_bytes())
}

#[test]
fn reads_what_an_estimate_needs() {
    let ask = chat(
        r#"{"messages":[{"role":"user","content":"{\"model\":\"fake\"}","model":"fake"}],
            "model":"gpt-4o","stream":true,"stream_options":{"include_usage":false},
            "n":3,"max_tokens":10,"max_completion_tokens":20,"metadata":{"model":"fake"},"unknown":[1e5]}"#,
    )
    .unwrap();
    assert_eq!((ask.model.as_str(), ask.stream, ask.include_usage), ("gpt-4o", true, Some(false)));
    assert_eq!((ask.max_output, ask.choices), (Some(20), 3));

    let ask = chat(r#" {"model":"m"} "#).unwrap();
    assert_eq!((ask.stream, ask.include_usage, ask.max_output, ask.choices), (false, None, None, 1));
    assert_eq!(ask.input_bytes, 15);

    let nothing =
        r#"{"model":"m","stream":null,"n":null,"max_tokens":null,"stream_options":null,"models":null}"#;
    assert_eq!(chat(nothing).unwrap().choices, 1);
    assert_eq!(chat(r#"{"model":"m","max_tokens":-1}"#).unwrap().max_output, None);
}

#[test]
fn gemini_takes_model_and_stream_from_the_path() {
    let config = r#"{"generationConfig":{"maxOutputTokens":"64","candidateCount":2}}"#;
    let ask = scan(&at("/v1/models/gemini-x:streamGenerateContent"), None, config.as_bytes()).unwrap();
    assert_eq!(
        (ask.model.as_str(), ask.stream, ask.max_output, ask.choices),
        ("gemini-x", true, Some(64), 2)
    );
    let ask = gemini(r#"{"model":"models/gemini-x","generation_config":{"max_output_tokens":5}}"#).unwrap();
    assert_eq!((ask.model.as_str(), ask.stream, ask.max_output), ("gemini-x", false, Some(5)));
    assert_eq!(gemini(r#"{"model":"gemini-pro"}"#), Err(ScanError::ModelsDiffer));
    assert_eq!(
        gemini(r#"{"generationConfig":{"maxOutputTokens":1,"max_output_tokens":9}}"#),
        Err(ScanError::Ambiguous("maxOutputTokens"))
    );
    assert_eq!(
        gemini(r#"{"generationConfig":{},"generation_config":{}}"#),
        Err(ScanError::Ambiguous("generationConfig"))
    );

    let batch = at("/v1beta/models/e:batchEmbedContents");
    let ask = |body: &str| scan(&batch, None, body.as_bytes());
    assert!(ask(r#"{"requests":[{"model":"models/e"},{"content":{"model":"x"}},{"model":"e"}]}"#).is_ok());
    assert_eq!(
        ask(r#"{"requests":[{"model":"models/e"},{"model":"models/big"}]}"#),
        Err(ScanError::ModelsDiffer)
    );
    assert_eq!(
        ask(r#"{"requests":[{"model":"models/e","model":"models/e"}]}"#),
        Err(ScanError::Ambiguous("model"))
    );
    let count = at("/v1beta/models/e:countTokens");
    let body = br#"{"generateContentRequest":{"model":"models/big"}}"#;
    assert_eq!(scan(&count, None, body), Err(ScanError::ModelsDiffer));
}

#[test]
fn a_model_in_the_query_must_agree() {
    let route = at("/v1/chat/completions?model=mini");
    assert!(scan(&route, None, br#"{"model":"mini"}"#).is_ok());
    assert_eq!(scan(&route, None, br#"{"model":"big"}"#), Err(ScanError::ModelsDiffer));
    assert_eq!(scan(&route, None, b"{}"), Err(ScanError::NoModel));
}

/// Every key that changes what is counted: twice, in both orders, by escapes, and in spellings of lenient servers.
#[test]
fn guarded_keys_stand_once_in_their_own_spelling() {
    let values = [
        ("model", r#""m""#),
        ("stream", "true"),
        ("stream_options", "{}"),
        ("n", "1"),
        ("best_of", "1"),
        ("max_tokens", "1"),
        ("max_completion_tokens", "1"),
        ("max_output_tokens", "1"),
        ("tools", "[]"),
        ("service_tier", r#""auto""#),
        ("reasoning", "{}"),
        ("models", "null"),
        ("generationConfig", "{}"),
        ("requests", "[]"),
    ];
    for (key, value) in values {
        let model = if key == "model" { "" } else { r#""model":"m","# };
        assert!(chat(format!("{{{model}\"{key}\":{value}}}")).is_ok(), "{key}");
        let escaped = format!("\\u{:04x}{}", u32::from(key.as_bytes()[0]), &key[1..]);
        let upper = key.to_ascii_uppercase();
        let (padded, nul) = (format!(" {key}\\t"), format!("{key}\\u0000"));
        for twin in [key, escaped.as_str()] {
            for (first, second) in [(key, twin), (twin, key)] {
                let body = format!("{{{model}\"{first}\":{value},\"{second}\":{value}}}");
                assert_eq!(chat(&body), Err(ScanError::Ambiguous(key)), "{body}");
            }
        }
        for alike in [upper.as_str(), padded.as_str(), nul.as_str()] {
            let body = format!("{{{model}\"{alike}\":{value}}}");
            assert_eq!(chat(&body), Err(ScanError::Ambiguous(key)), "{body}");
        }
    }
    for alike in ["\u{17f}tream", "\u{feff}stream", "\u{200b}stream", "Stream"] {
        let body = format!("{{\"model\":\"m\",\"{alike}\":true}}");
        assert_eq!(chat(&body), Err(ScanError::Ambiguous("stream")), "{alike}");
    }
    assert_eq!(
        chat(r#"{"model":"m","stream_options":{"include_usage":true,"include_usage":false}}"#),
        Err(ScanError::Ambiguous("include_usage"))
    );
    assert!(chat(r#"{"model":"m","\u0073tream":true}"#).unwrap().stream);
    assert!(chat(r#"{"model":"m","x":1,"x":2,"modelx":1,"tool":1}"#).is_ok());
}

#[test]
fn models_are_plain_names() {
    let long = "x".repeat(256);
    for good in ["gpt-4o", "meta-llama/Llama-3:free", "ft:gpt-4o:org::id", "a", long.as_str()] {
        assert_eq!(chat(format!(r#"{{"model":"{good}"}}"#)).unwrap().model, good);
    }
    assert_eq!(chat(r#"{"model":"gpt\u002d4o"}"#).unwrap().model, "gpt-4o");
    let too_long = "x".repeat(257);
    let bad = [
        "",
        " gpt",
        "gpt ",
        "gpt 4",
        "gpt\\n",
        "gpt\\u0000",
        "gpt\\t",
        "gpt\u{a0}",
        "gpt\u{200b}",
        "ｇpt",
        "gрt",
        "gpt\\u00e9",
        too_long.as_str(),
    ];
    for bad in bad {
        let refused = chat(format!(r#"{{"model":"{bad}"}}"#));
        assert!(matches!(refused, Err(ScanError::Value { key: "model", .. })), "{bad:?}: {refused:?}");
    }
    for bad in ["1", "null", "[]", "{}", "true", r#"["m"]"#] {
        let refused = chat(format!(r#"{{"model":{bad}}}"#));
        assert_eq!(refused, Err(ScanError::Value { key: "model", wanted: "a string" }));
    }
    assert_eq!(chat("{}"), Err(ScanError::NoModel));
    assert_eq!(chat(r#"{"messages":[{"model":"m"}]}"#), Err(ScanError::NoModel));
}

#[test]
fn what_is_not_strict_json_is_refused() {
    let bodies: &[&[u8]] = &[
        b"",
        b"{",
        b"{\"model\":\"m\"",
        b"{\"model\":\"m\"}{\"model\":\"n\"}",
        b"{\"model\":\"m\"}x",
        b"{\"model\":\"m\"}\0",
        b"{\"model\":\"m\",}",
        b"{'model':'m'}",
        b"{model:\"m\"}",
        b"{\"model\":\"m\" /* c */}",
        b"{\"model\":\"m\",\"x\":NaN}",
        b"{\"model\":\"m\",\"x\":01}",
        b"\xEF\xBB\xBF{\"model\":\"m\"}",
        b"\xFF\xFE{\0",
        b"{\"model\":\"m\",\"x\":\"\xC0\xAF\"}",
        b"{\"model\":\"m\",\"x\":\"\xED\xA0\x80\"}",
        b"{\"model\":\"m\",\"x\":\"\xFF\"}",
        b"{\"model\":\"m\",\"x\":\"\\ud800\"}",
        b"{\"model\\ud800\":\"n\",\"model\":\"m\"}",
        b"{\"model\":\"m\",\"x\":\"a\nb\"}",
    ];
    for body in bodies {
        let refused = chat(body);
        assert!(matches!(refused, Err(ScanError::NotJson { .. })), "{}: {refused:?}", body.escape_ascii());
    }
    for body in ["[]", "\"model\"", "null", "[{\"model\":\"m\"}]", " 1"] {
        assert_eq!(chat(body), Err(ScanError::NotObject));
    }
    let nested =
        |depth: usize| format!("{{\"model\":\"m\",\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(chat(nested(127)).is_ok());
    assert_eq!(chat(nested(128)), Err(ScanError::TooDeep));
    assert_eq!(chat(nested(200_000)), Err(ScanError::TooDeep));
}

#[test]
fn values_that_cannot_be_counted_are_refused() {
    for (key, value) in [
        ("stream", "1"),
        ("stream", "\"true\""),
        ("stream_options", "[]"),
        ("n", "1.5"),
        ("n", "1e3"),
        ("n", "99999999999999999999"),
        ("n", "[]"),
        ("max_tokens", "\"many\""),
        ("max_tokens", "{}"),
        ("best_of", "true"),
    ] {
        let refused = chat(format!(r#"{{"model":"m","{key}":{value}}}"#));
        assert!(
            matches!(refused, Err(ScanError::Value { key: found, .. }) if found == key),
            "{key}={value}: {refused:?}"
        );
    }
    let refused = chat(r#"{"model":"m","stream_options":{"include_usage":1}}"#);
    assert!(matches!(refused, Err(ScanError::Value { key: "include_usage", .. })));
}

#[test]
fn an_upstream_may_not_choose_another_model() {
    for key in ["models", "route", "provider", "fallbacks"] {
        for value in ["[\"big\"]", "\"fallback\"", "{}", "false"] {
            let refused = chat(format!(r#"{{"model":"m","{key}":{value}}}"#)).unwrap_err();
            assert_eq!(refused, ScanError::ForeignChoice(key));
            assert_eq!(refused.problem().status, 400);
        }
    }
    let responses = at("/v1/responses");
    let refused = scan(&responses, None, br#"{"model":"m","background":true}"#).unwrap_err();
    insta::assert_snapshot!(refused.problem().message, @"`background` must be false: the gateway serves no call to fetch a background response.");
    assert!(scan(&responses, None, br#"{"model":"m","background":false}"#).is_ok());
}

#[test]
fn the_content_type_must_be_the_one_that_is_scanned() {
    let route = at("/v1/messages");
    let body = br#"{"model":"m"}"#;
    for good in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/json;charset=\"utf-8\"",
        "application/vnd.x+json",
    ] {
        assert!(scan(&route, Some(good), body).is_ok(), "{good}");
    }
    for bad in [
        "",
        "text/plain",
        "application/json; charset=utf-7",
        "application/json; charset=utf-16",
        "multipart/form-data; boundary=x",
        "application/json; charset",
    ] {
        let refused = scan(&route, Some(bad), body);
        assert_eq!(refused, Err(ScanError::ContentType("application/json")), "{bad}");
    }
    let list = route_get("/v1/models");
    assert_eq!(scan(&list, None, body), Err(ScanError::NoBody));
}

fn route_get(path: &str) -> Route {
    route(&Method::GET, path, &HeaderMap::new()).unwrap().unwrap()
}

proptest! {
    /// What passes is JSON to the reference parser too, and means the same model.
    #[test]
    fn what_passes_means_the_same_to_another_parser(
        members in proptest::collection::vec(
            (
                prop::sample::select(vec!["model", "mod\\u0065l", "MODEL", "n", "x", "messages", "model "]),
                prop::sample::select(vec!["\"m\"", "\"big\"", "1", "{\"model\":\"z\"}", "[]", "null", "\"\\ud800\"", "-"]),
            ),
            0..5,
        ),
        tail in prop::sample::select(vec!["", " ", ",", "}", "{}"]),
    ) {
        let inner: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let body = format!("{{{}}}{tail}", inner.join(","));
        if let Ok(ask) = chat(&body) {
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(value["model"].as_str(), Some(ask.model.as_str()));
            let named = members.iter().filter(|(key, _)| key.to_lowercase().contains("mod")).count();
            prop_assert_eq!(named, 1);
        }
    }
}
