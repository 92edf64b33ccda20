//! Usage read from recorded answers of each dialect, split at every byte.

use proptest::prelude::*;

use bytes::Bytes;

use super::{AnswerReader, Usage};
use crate::dialect::{Dialect, Endpoint};

mod endpoints;
mod filter;
mod hostile;
mod one_pass;
mod rename;

const SSE: Option<&str> = Some("text/event-stream; charset=utf-8");
const JSON: Option<&str> = Some("application/json");

/// One answer in the shape that an API's reference shows, and what it used.
struct Sample {
    name: &'static str,
    dialect: Dialect,
    endpoint: Endpoint,
    content_type: Option<&'static str>,
    body: &'static str,
    /// Input, output, cached, reasoning.
    tokens: [Option<u64>; 4],
    text_bytes: u64,
}

impl Sample {
    fn usage(&self) -> Usage {
        let [input_tokens, output_tokens, cached_tokens, reasoning_tokens] = self.tokens;
        Usage {
            input_tokens,
            output_tokens,
            cached_tokens,
            reasoning_tokens,
            complete: true,
            suspect: false,
            output_bytes_seen: self.text_bytes,
        }
    }

    fn metered<'a>(&self, chunks: impl IntoIterator<Item = &'a [u8]>) -> Usage {
        let mut reader = AnswerReader::new(self.dialect, self.endpoint, self.content_type, true);
        for chunk in chunks {
            reader.feed(Bytes::copy_from_slice(chunk));
        }
        reader.finish()
    }
}

type Told = ([Option<u64>; 4], u64);

fn samples() -> Vec<Sample> {
    streams().into_iter().chain(bodies()).collect()
}

fn sample(
    name: &'static str,
    (dialect, endpoint): (Dialect, Endpoint),
    content_type: Option<&'static str>,
    body: &'static str,
    (tokens, text_bytes): Told,
) -> Sample {
    Sample { name, dialect, endpoint, content_type, body, tokens, text_bytes }
}

fn streams() -> Vec<Sample> {
    use Dialect::{Anthropic, Gemini, OpenAi};
    vec![
        sample(
            "chat stream",
            (OpenAi, Endpoint::ChatCompletions),
            SSE,
            include_str!("samples/openai_chat.sse"),
            // `Say "usage": {"usage":{"prompt_tokens":1}}`, ` Grüße 😀⏎` with 3 bytes an escape, `{"usage":{}}`
            ([Some(25), Some(40), Some(5), Some(12)], 42 + 16 + 12),
        ),
        sample(
            "responses stream",
            (OpenAi, Endpoint::Responses),
            SSE,
            include_str!("samples/openai_responses.sse"),
            ([Some(37), Some(11), Some(7), Some(2)], 10),
        ),
        sample(
            "messages stream",
            (Anthropic, Endpoint::Messages),
            SSE,
            include_str!("samples/anthropic.sse"),
            ([Some(420), Some(15), Some(300), None], 5 + 29 + 7),
        ),
        sample(
            "gemini stream",
            (Gemini, Endpoint::StreamGenerateContent),
            SSE,
            include_str!("samples/gemini.sse"),
            ([Some(10), Some(24), Some(2), Some(20)], 6),
        ),
    ]
}

fn bodies() -> Vec<Sample> {
    use Dialect::{Anthropic, Gemini, OpenAi};
    vec![
        sample(
            "gemini array",
            (Gemini, Endpoint::StreamGenerateContent),
            JSON,
            include_str!("samples/gemini_array.json"),
            ([Some(8), Some(4), None, None], 3 + 25),
        ),
        sample(
            "chat",
            (OpenAi, Endpoint::ChatCompletions),
            JSON,
            include_str!("samples/openai_chat.json"),
            ([Some(19), Some(10), Some(0), Some(0)], 29),
        ),
        sample(
            "message",
            (Anthropic, Endpoint::Messages),
            JSON,
            include_str!("samples/anthropic.json"),
            ([Some(15), Some(6), Some(3), None], 2),
        ),
    ]
}

#[test]
fn every_sample_is_read_whole_and_at_every_split() {
    for sample in samples() {
        let body = sample.body.as_bytes();
        let wanted = sample.usage();
        assert_eq!(sample.metered([body]), wanted, "{}", sample.name);
        assert_eq!(sample.metered(body.chunks(1)), wanted, "{} byte by byte", sample.name);
        for at in 0..body.len() {
            let (first, second) = body.split_at(at);
            assert_eq!(sample.metered([first, second]), wanted, "{} split at {at}", sample.name);
        }
    }
}

#[test]
fn line_ends_comments_and_several_data_lines_make_no_difference() {
    for sample in samples().iter().filter(|sample| sample.content_type == SSE) {
        let lf = sample.body;
        let forms = [
            lf.replace('\n', "\r\n"),
            lf.replace('\n', "\r"),
            format!("\u{feff}{lf}"),
            lf.replace("data: ", "data:"),
            lf.replace("\n\n", "\n: comment\nid: 1\nretry: 5\n\n\n"),
            lf.replace(",\"", ",\ndata: \""),
            lf.replace(",\"", ",\ndata: \"").replace('\n', "\r\n"),
            lf.replace(",\"", ",\ndata: \"").replace('\n', "\r"),
            // the last event's blank line never came
            lf.trim_end().to_owned(),
        ];
        for form in forms {
            assert_eq!(sample.metered([form.as_bytes()]), sample.usage(), "{}: {form}", sample.name);
            assert_eq!(sample.metered(form.as_bytes().chunks(1)), sample.usage(), "{}: {form}", sample.name);
        }
    }
}

#[test]
fn a_torn_answer_is_not_complete_and_keeps_what_it_knows() {
    for sample in samples() {
        let body = sample.body.trim_end().as_bytes();
        let mut bytes_before = 0;
        for at in 0..body.len() {
            let usage = sample.metered([&body[..at]]);
            // Gemini's last event says that it is the last before it ends
            let said = String::from_utf8_lossy(&body[..at]).contains("\"finishReason\": \"STOP\",\"index\"");
            let may_end = sample.dialect == Dialect::Gemini && said;
            assert!(!usage.complete || may_end, "{} cut at {at}", sample.name);
            assert!(usage.output_bytes_seen <= sample.text_bytes);
            assert!(sample.content_type == JSON || usage.output_bytes_seen >= bytes_before);
            bytes_before = usage.output_bytes_seen;
            assert!(!usage.suspect, "{} cut at {at}", sample.name);
        }
    }
    let cut = samples()[2].body.split("event: message_delta").next().unwrap().to_owned();
    let usage = samples()[2].metered([cut.as_bytes()]);
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.output_bytes_seen), (Some(420), Some(1), 41));
}

#[test]
fn other_calls_report_in_their_own_ways() {
    let read = |endpoint, body: &str| {
        let mut reader = AnswerReader::new(Dialect::OpenAi, endpoint, JSON, false);
        reader.feed(Bytes::copy_from_slice(body.as_bytes()));
        reader.finish()
    };
    let usage = read(
        Endpoint::Embeddings,
        r#"{"object":"list","data":[{"embedding":[0.1,-2e-3]}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}"#,
    );
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.complete), (Some(8), Some(0), true));
    let usage =
        read(Endpoint::AudioTranscriptions, r#"{"text":"hi","usage":{"type":"duration","seconds":3}}"#);
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.suspect), (None, None, false));
    let image = format!(
        r#"{{"data":[{{"b64_json":"{}"}}],"usage":{{"input_tokens":5,"output_tokens":272}}}}"#,
        "A".repeat(9 << 20)
    );
    let usage = read(Endpoint::ImagesGenerations, &image);
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.complete), (Some(5), Some(272), true));
    let usage = read(
        Endpoint::Responses,
        r#"{"model":"m","output":[{"content":[{"text":"abc"}]}],"usage":{"input_tokens":1,"output_tokens":2}}"#,
    );
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.output_bytes_seen), (Some(1), Some(2), 3));

    let stream = "event: transcript.text.done\ndata: {\"type\":\"transcript.text.done\",\"text\":\"hi\",\"usage\":{\"input_tokens\":14,\"output_tokens\":45}}\n\n";
    let mut reader = AnswerReader::new(Dialect::OpenAi, Endpoint::AudioTranscriptions, SSE, true);
    reader.feed(Bytes::copy_from_slice(stream.as_bytes()));
    let usage = reader.finish();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.complete), (Some(14), Some(45), true));

    let mut speech = AnswerReader::new(Dialect::OpenAi, Endpoint::AudioSpeech, Some("audio/mpeg"), false);
    speech.feed(Bytes::from_static(b"{\"usage\":{\"prompt_tokens\":1}}"));
    assert_eq!(speech.finish(), Usage { complete: true, ..Usage::default() });
}

#[test]
fn it_is_known_whether_an_event_is_open() {
    let mut reader = AnswerReader::new(Dialect::OpenAi, Endpoint::ChatCompletions, SSE, true);
    for (bytes, between) in [
        ("", true),
        (": c\n\n", true),
        ("d", false),
        ("ata: {}\n", false),
        ("\n", true),
        ("\r\n", true),
        ("x\r\n\r", true),
        ("\n", true),
    ] {
        reader.feed(Bytes::copy_from_slice(bytes.as_bytes()));
        assert_eq!(reader.between_events(), between, "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn any_chunks_give_the_same_usage(which in 0usize..7, cuts in proptest::collection::vec(0usize..3_000, 0..12)) {
        let samples = samples();
        let sample = &samples[which];
        let body = sample.body.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % body.len()).collect();
        cuts.sort_unstable();
        let mut rest = body;
        let mut from = 0;
        let mut chunks = Vec::new();
        for cut in cuts {
            let (chunk, tail) = rest.split_at(cut - from);
            chunks.push(chunk);
            (rest, from) = (tail, cut);
        }
        chunks.push(rest);
        prop_assert_eq!(sample.metered(chunks), sample.usage());
    }
}
