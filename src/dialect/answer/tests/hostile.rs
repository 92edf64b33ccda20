//! Streams that lie, break rules or never end.

use bytes::Bytes;

use super::{JSON, SSE};
use crate::dialect::answer::{AnswerReader, Usage};
use crate::dialect::{Dialect, Endpoint};

fn chat(stream: &str) -> Usage {
    let mut reader = AnswerReader::new(Dialect::OpenAi, Endpoint::ChatCompletions, SSE, true);
    reader.feed(Bytes::copy_from_slice(stream.as_bytes()));
    reader.finish()
}

fn with_usage(usage: &str) -> Usage {
    chat(&format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"))
}

#[test]
fn impossible_counts_are_clamped_and_flagged() {
    let cases = [
        ("{\"prompt_tokens\":5,\"completion_tokens\":6}", Some(5), Some(6), false),
        ("{\"prompt_tokens\":-5,\"completion_tokens\":6}", Some(0), Some(6), true),
        ("{\"prompt_tokens\":1.5,\"completion_tokens\":6}", Some(1), Some(6), true),
        ("{\"prompt_tokens\":5,\"completion_tokens\":1000000001}", Some(5), Some(1_000_000_000), true),
        ("{\"prompt_tokens\":18446744073709551615}", Some(1_000_000_000), None, true),
        ("{\"prompt_tokens\":184467440737095516150}", Some(1_000_000_000), None, true),
        ("{\"prompt_tokens\":\"5\",\"completion_tokens\":[6]}", None, None, true),
        ("{\"prompt_tokens\":null,\"completion_tokens\":6}", None, Some(6), false),
        ("\"many\"", None, None, true),
        ("[1]", None, None, true),
        ("{\"prompt_tokens\":1e999}", None, None, true),
        ("null", None, None, false),
        ("{}", None, None, false),
    ];
    for (usage, input, output, suspect) in cases {
        let read = with_usage(usage);
        assert_eq!(
            (read.input_tokens, read.output_tokens, read.suspect),
            (input, output, suspect),
            "{usage}"
        );
        assert!(read.complete);
    }
}

#[test]
fn usage_given_twice_or_too_late_does_not_pass_quietly() {
    let twice = chat("data: {\"usage\":{\"prompt_tokens\":1},\"usage\":{\"prompt_tokens\":2}}\n\n");
    assert_eq!((twice.input_tokens, twice.suspect), (Some(2), true));
    let later =
        chat("data: {\"usage\":{\"prompt_tokens\":1}}\n\ndata: {\"usage\":{\"prompt_tokens\":2}}\n\n");
    assert_eq!((later.input_tokens, later.suspect), (Some(2), false));
    let after_done = chat(
        "data: {\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\ndata: {\"usage\":{\"prompt_tokens\":9}}\n\n",
    );
    assert_eq!((after_done.input_tokens, after_done.complete), (Some(1), true));
    let not_done = chat("data: [DONE]x\n\n");
    assert!(!not_done.complete);
}

#[test]
fn usage_of_another_place_or_api_does_not_count() {
    for event in [
        "{\"choices\":[{\"usage\":{\"prompt_tokens\":9}}]}",
        "{\"choices\":[{\"delta\":{\"usage\":{\"prompt_tokens\":9}}}]}",
        "{\"message\":{\"usage\":{\"prompt_tokens\":9}}}",
        "{\"response\":{\"usage\":{\"input_tokens\":9}}}",
        "{\"usageMetadata\":{\"promptTokenCount\":9}}",
        "{\"usage \":{\"prompt_tokens\":9}}",
        "[{\"usage\":{\"prompt_tokens\":9}}]",
        "\"usage\"",
        "{\"x\":\"\\\",\\\"usage\\\":{\\\"prompt_tokens\\\":9}\"}",
    ] {
        let usage = chat(&format!("data: {event}\n\n"));
        assert_eq!((usage.input_tokens, usage.suspect), (None, false), "{event}");
    }
    for line in
        ["date: {}", "event: data: {}", ": data: {}", "\u{feff}\u{feff}data: {}", " data: {}", "xdata: {}"]
    {
        let usage = chat(&format!("x: y\n{}\n\n", line.replace("{}", "{\"usage\":{\"prompt_tokens\":9}}")));
        assert_eq!(usage.input_tokens, None, "{line}");
    }
}

#[test]
fn broken_events_leave_the_next_one_alone() {
    let good = "data: {\"usage\":{\"prompt_tokens\":7}}\n\n";
    for bad in [
        "{\"usage\":{\"prompt_tokens\":9",
        "}}}]]]",
        "{\"a\":\"",
        "{\"a\":\"\\",
        "\u{0}",
        "[[[[",
        "{\"a\"",
        "{\"usage\":",
    ] {
        let usage = chat(&format!("data: {bad}\n\n{good}"));
        assert_eq!(usage.input_tokens, Some(7), "{bad}");
    }
    let deep = format!(
        "data: {{\"a\":{}{},\"usage\":{{\"prompt_tokens\":3}}}}\n\n",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(chat(&deep).input_tokens, Some(3));
}

#[test]
fn memory_does_not_grow_with_what_passes() {
    let mut reader = AnswerReader::new(Dialect::OpenAi, Endpoint::ChatCompletions, SSE, true);
    let block = "x".repeat(64 * 1024);
    for start in [
        "data: {\"choices\":[{\"delta\":{\"content\":\"",
        "\"}}]}\n\nignored",
        "\n\ndata: {\"usage\":{\"a\":\"",
        "\"},\"model\":\"",
        "\",\"type\":\"",
        "\",\"",
    ] {
        reader.feed(Bytes::copy_from_slice(start.as_bytes()));
        for _ in 0..64 {
            reader.feed(Bytes::copy_from_slice(block.as_bytes()));
        }
    }
    assert!(reader.kept_bytes() < 64 * 1024, "{}", reader.kept_bytes());
    reader.feed(Bytes::from_static(b"\":1}\n\ndata: {\"usage\":{\"prompt_tokens\":3}}\n\n"));
    let usage = reader.finish();
    assert_eq!((usage.input_tokens, usage.suspect), (Some(3), true));
    assert_eq!(usage.output_bytes_seen, 64 * 64 * 1024);
}

#[test]
fn json_bodies_that_are_not_what_they_say() {
    let read = |endpoint, body: &str| {
        let mut reader = AnswerReader::new(Dialect::Gemini, endpoint, JSON, false);
        reader.feed(Bytes::copy_from_slice(body.as_bytes()));
        reader.finish()
    };
    let object = "{\"usageMetadata\":{\"promptTokenCount\":3}}";
    let stream = Endpoint::StreamGenerateContent;
    // some servers answer a stream request with one object
    assert_eq!(read(stream, object).input_tokens, Some(3));
    assert_eq!(read(stream, &format!("[{object}")).input_tokens, Some(3));
    assert!(!read(stream, &format!("[{object}")).complete);
    assert!(read(stream, &format!("[{object}]")).complete);
    assert_eq!(
        read(Endpoint::GenerateContent, &format!("{object}{}", object.replace('3', "9"))).input_tokens,
        Some(3)
    );
    for empty in ["", "[]", "{}", "null", "\"usage\"", "}"] {
        assert_eq!(read(Endpoint::GenerateContent, empty).input_tokens, None, "{empty}");
    }
    assert!(!read(Endpoint::GenerateContent, "").complete);
}
