//! The renamed member, at any split, and nothing else.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{JSON, SSE};
use crate::dialect::{AnswerReader, Dialect, Endpoint};

/// The body fed in pieces of these lengths, the last ones repeated.
fn renamed(mut filter: AnswerReader, body: &[u8], lengths: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut rest, mut lengths) = (body, lengths.iter().cycle());
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at((*lengths.next().unwrap()).clamp(1, rest.len()));
        out.extend_from_slice(&filter.feed(Bytes::copy_from_slice(piece)));
        rest = tail;
    }
    out
}

fn of(dialect: Dialect, endpoint: Endpoint, events: bool) -> AnswerReader {
    let mut reader = AnswerReader::new(dialect, endpoint, if events { SSE } else { JSON }, events);
    reader.rename("fast");
    reader
}

/// Each case at every split into two, and byte by byte.
fn check(filter: impl Fn() -> AnswerReader, body: &str, expected: &str) {
    for at in 1..=body.len() {
        let out = renamed(filter(), body.as_bytes(), &[at, body.len()]);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "split at {at}");
    }
    assert_eq!(String::from_utf8(renamed(filter(), body.as_bytes(), &[1])).unwrap(), expected);
}

#[test]
fn json_of_each_dialect() {
    let chat = || of(Dialect::OpenAi, Endpoint::ChatCompletions, false);
    check(
        chat,
        r#" {"id":"1","model" : "gpt-\"4\\","choices":[{"model":"x","message":{"content":"\"model\":\"y\""}}]} "#,
        r#" {"id":"1","model" : "fast","choices":[{"model":"x","message":{"content":"\"model\":\"y\""}}]} "#,
    );
    check(
        chat,
        r#"{"model":null,"x":"model","y":["model","z"]}"#,
        r#"{"model":null,"x":"model","y":["model","z"]}"#,
    );
    check(chat, r#"{"x":{"model":"a"},"model":"b"}"#, r#"{"x":{"model":"a"},"model":"fast"}"#);
    check(
        || of(Dialect::Anthropic, Endpoint::Messages, false),
        r#"{"content":[{"text":"t","model":"n"}],"model":"claude"}"#,
        r#"{"content":[{"text":"t","model":"n"}],"model":"fast"}"#,
    );
    let gemini = || of(Dialect::Gemini, Endpoint::GenerateContent, false);
    check(gemini, r#"{"modelVersion":"g-001","model":"kept"}"#, r#"{"modelVersion":"fast","model":"kept"}"#);
    check(
        gemini,
        r#"[{"a":1,"modelVersion":"g"},{"modelVersion":"g","b":{"modelVersion":"n"}}]"#,
        r#"[{"a":1,"modelVersion":"fast"},{"modelVersion":"fast","b":{"modelVersion":"n"}}]"#,
    );
}

#[test]
fn events_of_each_dialect() {
    check(
        || of(Dialect::OpenAi, Endpoint::ChatCompletions, true),
        "data: {\"model\":\"a\"}\n\n: \"model\":\"c\"\r\n\r\ndata:{\"x\":1,\ndata: \"model\":\"b\"}\n\ndata: [DONE]\n\n",
        "data: {\"model\":\"fast\"}\n\n: \"model\":\"c\"\r\n\r\ndata:{\"x\":1,\ndata: \"model\":\"fast\"}\n\ndata: [DONE]\n\n",
    );
    check(
        || of(Dialect::Anthropic, Endpoint::Messages, true),
        "event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"c\",\"u\":{\"model\":\"n\"}},\"model\":\"t\"}\r\n\r\n",
        "event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"fast\",\"u\":{\"model\":\"n\"}},\"model\":\"t\"}\r\n\r\n",
    );
    check(
        || of(Dialect::OpenAi, Endpoint::Responses, true),
        "data: {\"response\":{\"output\":[{\"model\":\"n\"}],\"model\":\"g\"}}\n\n",
        "data: {\"response\":{\"output\":[{\"model\":\"n\"}],\"model\":\"fast\"}}\n\n",
    );
    check(
        || of(Dialect::Gemini, Endpoint::StreamGenerateContent, true),
        "data: {\"candidates\":[],\"modelVersion\":\"g\"}\r\rdata: {\"modelVersion\":\"g\"}\r\r",
        "data: {\"candidates\":[],\"modelVersion\":\"fast\"}\r\rdata: {\"modelVersion\":\"fast\"}\r\r",
    );
}

#[test]
fn a_torn_event_does_not_spoil_the_next() {
    check(
        || of(Dialect::OpenAi, Endpoint::ChatCompletions, true),
        "data: {\"x\":\"torn\n\ndata: {\"model\":\"a\"}\n\n",
        "data: {\"x\":\"torn\n\ndata: {\"model\":\"fast\"}\n\n",
    );
}

#[test]
fn what_does_not_change_is_not_copied() {
    let chunk = Bytes::from_static(b"{\"choices\":[]}");
    let out = of(Dialect::OpenAi, Endpoint::ChatCompletions, false).feed(chunk.clone());
    assert_eq!(out.as_ptr(), chunk.as_ptr());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z\"\\\\é\n{}\\[\\],:]{0,8}".prop_map(Value::from),
        Just(Value::from("model")),
    ];
    leaf.prop_recursive(5, 48, 5, |inner| {
        let key = prop_oneof!["[a-z\"\\\\]{0,4}", Just("model".to_owned()), Just("modelVersion".to_owned())];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..5).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    /// Any JSON, split anywhere, as a body and as an event: the result is the value with its own member replaced.
    #[test]
    fn only_the_top_member_changes(
        value in any_json(), pretty: bool, lengths in prop::collection::vec(1..40usize, 1..6),
    ) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let replaced = |value: &mut Value| {
            if let Some(model) = value.get_mut("model").filter(|model| model.is_string()) {
                *model = Value::from("fast");
            }
        };
        let mut expected = value;
        match &mut expected {
            Value::Array(elements) => elements.iter_mut().filter(|one| one.is_object()).for_each(replaced),
            other => replaced(other),
        }
        let out = renamed(of(Dialect::OpenAi, Endpoint::ChatCompletions, false), text.as_bytes(), &lengths);
        prop_assert_eq!(&serde_json::from_slice::<Value>(&out).unwrap(), &expected);
        let lines = text.lines().map(|line| format!("data: {line}\n")).collect::<Vec<_>>().concat();
        let event = format!("{lines}\n{lines}\n");
        let out = renamed(of(Dialect::OpenAi, Endpoint::ChatCompletions, true), event.as_bytes(), &lengths);
        let out = String::from_utf8(out).unwrap();
        for event in out.split("\n\n").filter(|event| !event.is_empty()) {
            let data: Vec<_> = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
            prop_assert_eq!(&serde_json::from_str::<Value>(&data.join("\n")).unwrap(), &expected);
        }
    }

    /// Bytes that are no JSON pass in any split alike.
    #[test]
    fn any_bytes_come_out_the_same_however_they_are_split(
        body in prop::collection::vec(prop::sample::select(b"{}[]\":,\\model data\n\r ".to_vec()), 0..200),
        events: bool, lengths in prop::collection::vec(1..20usize, 1..5),
    ) {
        let filter = || of(Dialect::OpenAi, Endpoint::ChatCompletions, events);
        let whole = renamed(filter(), &body, &[usize::MAX]);
        prop_assert_eq!(renamed(filter(), &body, &lengths), whole);
    }
}
