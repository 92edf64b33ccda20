//! The usage chunk that the gateway asked for is taken out again, and nothing else.

use bytes::Bytes;
use proptest::prelude::*;

use crate::dialect::{AnswerReader, Dialect, Endpoint};

use super::SSE;

const STREAM: &str = include_str!("../samples/openai_chat.sse");

fn filter() -> AnswerReader {
    let mut reader = AnswerReader::new(Dialect::OpenAi, Endpoint::ChatCompletions, SSE, true);
    reader.drop_usage_chunk();
    reader
}

/// The stream without its usage event.
fn wanted(stream: &str, newline: &str) -> String {
    let end = newline.repeat(2);
    stream.split_inclusive(&end).filter(|event| !event.contains("\"choices\":[],\"usage\":{")).collect()
}

fn filtered<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut filter = filter();
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend_from_slice(&filter.feed(Bytes::copy_from_slice(chunk)));
    }
    out.extend_from_slice(&filter.rest());
    String::from_utf8(out).unwrap()
}

#[test]
fn exactly_the_usage_event_is_taken_out_at_every_split() {
    for newline in ["\n", "\r\n", "\r"] {
        let stream = STREAM.replace('\n', newline);
        let wanted = wanted(&stream, newline);
        assert!(wanted.len() < stream.len() && wanted.contains("\"usage\":null"));
        assert_eq!(filtered([stream.as_bytes()]), wanted);
        assert_eq!(filtered(stream.as_bytes().chunks(1)), wanted);
        for at in 0..stream.len() {
            let (first, second) = stream.as_bytes().split_at(at);
            assert_eq!(filtered([first, second]), wanted, "{newline:?} split at {at}");
        }
    }
}

#[test]
fn what_only_resembles_it_passes() {
    for event in [
        "data: {\"choices\":[],\"usage\":null}\n\n",
        "data: {\"choices\":[],\"prompt_filter_results\":[{\"usage\":{}}]}\n\n",
        "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":1}}\n\n",
        "data: {\"usage\":{\"prompt_tokens\":1}}\n\n",
        "data: {\"error\":{\"message\":\"\\\"usage\\\"\"}}\n\n",
        "data: not json \"usage\"\n\n",
        ": \"usage\"\n\n",
        "\n\n\n",
        "\r\r\n\r\n\n",
        "data: unfinished",
    ] {
        assert_eq!(filtered([event.as_bytes()]), event);
        assert_eq!(filtered(event.as_bytes().chunks(1)), event);
    }
    for usage in [
        "data: {\"choices\" : [ ],\ndata: \"usage\":{}}\n\n",
        "id: 1\ndata:{\"usage\":{\"prompt_tokens\":1},\"choices\":[]}\r\n\r\n",
        "data: {\"choices\":[],\"usage\":{}}",
    ] {
        assert_eq!(filtered([usage.as_bytes()]), "");
        assert_eq!(filtered(usage.as_bytes().chunks(1)), "");
    }
}

#[test]
fn whole_events_pass_at_once_and_uncopied() {
    let mut filter = filter();
    let whole = Bytes::from_static(b"data: {\"choices\":[{}]}\n\n");
    let out = filter.feed(whole.clone());
    assert_eq!((out.as_ptr(), out.len()), (whole.as_ptr(), whole.len()));
    let half = Bytes::from_static(b"data: a\n\ndata: b");
    assert_eq!(filter.feed(half.clone()), "data: a\n\n");
    assert_eq!(filter.feed(Bytes::from_static(b"\n\n")), "data: b\n\n");
    assert_eq!(filter.feed(Bytes::new()), "");
}

#[test]
fn a_long_event_is_not_held() {
    let mut filter = filter();
    let block = Bytes::from(vec![b'x'; 10 * 1024]);
    assert_eq!(filter.feed(Bytes::from_static(b"data: ")), "");
    assert_eq!(filter.feed(block.clone()), "");
    assert_eq!(filter.feed(block.clone()).len(), 20 * 1024 + 6);
    assert_eq!(filter.feed(block.clone()).len(), 10 * 1024);
    assert_eq!(
        filter.feed(Bytes::from_static(b"\n\ndata: {\"choices\":[],\"usage\":{}}\n\nx: y\n\n")),
        "\n\nx: y\n\n"
    );
}

proptest! {
    #[test]
    fn any_chunks_give_the_same_bytes(size in 1usize..700, crlf in any::<bool>()) {
        let newline = if crlf { "\r\n" } else { "\n" };
        let stream = STREAM.replace('\n', newline);
        prop_assert_eq!(filtered(stream.as_bytes().chunks(size)), wanted(&stream, newline));
    }
}
