//! Reading, filtering and renaming in one pass: any split gives the same bytes and the same usage, and the bytes are
//! those of doing one after the other.

use bytes::Bytes;
use proptest::prelude::*;

use super::{JSON, SSE, samples};
use crate::dialect::{AnswerReader, Dialect, Endpoint, Usage};

/// What an event is sent as, and what of it passes.
const EVENTS: &[(&str, &str)] = &[
    (
        r#"data: {"model":"up","choices":[{"delta":{"content":"a \"model\":\"up\" é"}}],"usage":null}"#,
        r#"data: {"model":"asked","choices":[{"delta":{"content":"a \"model\":\"up\" é"}}],"usage":null}"#,
    ),
    (r#"data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2},"model":"up"}"#, ""),
    (r#"data:{"model" : "u\"p","choices":[],"usage":{"prompt_tokens":4}}"#, ""),
    (
        r#"data: {"choices":[{}],"usage":{"prompt_tokens":5},"model":"up"}"#,
        r#"data: {"choices":[{}],"usage":{"prompt_tokens":5},"model":"asked"}"#,
    ),
    ("event: x⏎data: {\"choices\":[],⏎data: \"usage\":{},⏎data: \"model\":\"up\"}", ""),
    (
        "id: 1⏎data: {\"choices\":[],⏎data: \"model\":⏎data: \"up\"}",
        "id: 1⏎data: {\"choices\":[],⏎data: \"model\":⏎data: \"asked\"}",
    ),
    (
        r#"data: {"choices":[],"usage":{},"model":"up"} torn"#,
        r#"data: {"choices":[],"usage":{},"model":"asked"} torn"#,
    ),
    (r#": "model":"up""#, r#": "model":"up""#),
    ("data: {\"choices\":[],\"x\":\"torn", "data: {\"choices\":[],\"x\":\"torn"),
    ("", ""),
    ("data", "data"),
    ("data: [DONE]", "data: [DONE]"),
];

/// The body fed in pieces of these lengths, the last ones repeated.
fn read(mut reader: AnswerReader, body: &[u8], lengths: &[usize]) -> (Vec<u8>, Usage) {
    let (mut rest, mut out) = (Bytes::copy_from_slice(body), Vec::new());
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let piece = rest.split_to((*length).clamp(1, rest.len()));
        out.extend_from_slice(&reader.feed(piece));
    }
    out.extend_from_slice(&reader.rest());
    (out, reader.finish())
}

fn chat() -> AnswerReader {
    let mut reader = AnswerReader::new(Dialect::OpenAi, Endpoint::ChatCompletions, SSE, true);
    reader.drop_usage_chunk();
    reader.rename("asked");
    reader
}

proptest! {
    #[test]
    fn a_stream_loses_the_usage_chunk_and_bears_the_asked_name(
        picks in prop::collection::vec(0..EVENTS.len(), 0..12),
        newline in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        lengths in prop::collection::vec(1..60usize, 1..8),
        ends: bool,
    ) {
        let (mut sent, mut wanted) = (String::new(), String::new());
        for (at, pick) in picks.iter().enumerate() {
            let (event, passes) = EVENTS[*pick];
            let end = newline.repeat(if ends || at + 1 < picks.len() { 2 } else { 0 });
            sent += &(event.replace('⏎', newline) + &end);
            if event.is_empty() || !passes.is_empty() {
                wanted += &(passes.replace('⏎', newline) + &end);
            }
        }
        let (out, usage) = read(chat(), sent.as_bytes(), &lengths);
        prop_assert_eq!(String::from_utf8(out).unwrap(), wanted);
        prop_assert_eq!(usage, read(chat(), sent.as_bytes(), &[usize::MAX]).1);
    }

    #[test]
    fn any_bytes_give_the_same_bytes_and_usage_however_they_are_split(
        tokens in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", "\"", ":", ",", "\\", "\n", "\r", " ", "data:", "data", "\u{feff}", "[DONE]", "é", "7",
            "\"model\"", "\"usage\"", "\"choices\":[]", "\"usage\":{}", "\"prompt_tokens\":1", "\n\n", "\r\n\r\n",
        ]), 0..80),
        which in 0..4usize, lengths in prop::collection::vec(1..20usize, 1..5),
    ) {
        let body = tokens.concat();
        let reader = || {
            let mut reader = match which {
                0 => return chat(),
                1 => AnswerReader::new(Dialect::Anthropic, Endpoint::Messages, SSE, true),
                2 => AnswerReader::new(Dialect::OpenAi, Endpoint::ChatCompletions, JSON, false),
                _ => AnswerReader::new(Dialect::Gemini, Endpoint::StreamGenerateContent, JSON, true),
            };
            reader.rename("asked");
            reader
        };
        prop_assert_eq!(
            read(reader(), body.as_bytes(), &lengths),
            read(reader(), body.as_bytes(), &[usize::MAX])
        );
    }

    #[test]
    fn samples_pass_unchanged_and_report_what_they_used(
        which in 0usize..7, lengths in prop::collection::vec(1..300usize, 1..8),
    ) {
        let sample = &samples()[which];
        let reader = AnswerReader::new(sample.dialect, sample.endpoint, sample.content_type, true);
        let (out, usage) = read(reader, sample.body.as_bytes(), &lengths);
        prop_assert_eq!(out, sample.body.as_bytes());
        prop_assert_eq!(usage, sample.usage());
    }
}

#[test]
fn a_chunk_that_does_not_change_is_the_same_buffer() {
    let mut reader = chat();
    let event =
        Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n");
    let usage = Bytes::from_static(b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n");
    assert_eq!(reader.feed(event.clone()).as_ptr(), event.as_ptr());
    assert_eq!(reader.feed(usage), "");
    let both = Bytes::from_static(b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata: x\n\n");
    assert_eq!(reader.feed(both.clone()).as_ptr(), both[both.len() - 9..].as_ptr());
}
