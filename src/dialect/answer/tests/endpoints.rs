//! The endpoints that the larger samples leave out, in the shapes of their references: the same usage however the answer is
//! split.

use bytes::Bytes;
use proptest::prelude::*;

use super::{AnswerReader, JSON, SSE, Usage};
use crate::dialect::{Dialect, Endpoint};

/// Whose call, how it is answered, and the tokens that it reports: input and output.
type Case = (Dialect, Endpoint, Option<&'static str>, &'static str, [Option<u64>; 2]);

fn cases() -> Vec<Case> {
    [texts(), vectors_and_pictures(), sounds(), counts()].concat()
}

/// Answers made of text.
fn texts() -> Vec<Case> {
    use Dialect::{Anthropic, Gemini, OpenAi};
    use Endpoint::{Completions, GenerateContent, Messages, Responses};
    vec![
        (
            OpenAi,
            Completions,
            JSON,
            r#"{"model":"m","choices":[{"text":"Grüße \u00e9 \"usage\":{}"}],"usage":{"prompt_tokens":3,"completion_tokens":9,"total_tokens":12}}"#,
            [Some(3), Some(9)],
        ),
        (
            OpenAi,
            Completions,
            SSE,
            "data: {\"model\":\"m\",\"choices\":[{\"text\":\"a😀\",\"finish_reason\":\"stop\"}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\r\n\r\ndata: [DONE]\n\n",
            [Some(3), Some(2)],
        ),
        (
            OpenAi,
            Responses,
            JSON,
            r#"{"model":"m","output":[{"content":[{"text":"abc"}]}],"usage":{"input_tokens":1,"output_tokens":2}}"#,
            [Some(1), Some(2)],
        ),
        (
            Gemini,
            GenerateContent,
            JSON,
            r#"{"candidates":[{"content":{"parts":[{"text":"é\n"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":6,"candidatesTokenCount":7,"totalTokenCount":13},"modelVersion":"g"}"#,
            [Some(6), Some(7)],
        ),
        (
            OpenAi,
            Responses,
            JSON,
            r#"{"object":"response","model":"m","output":[{"type":"reasoning","summary":[]},{"type":"message","content":[{"type":"output_text","text":"{\"usage\":{\"input_tokens\":9}}"}]}],"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":0},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":64},"total_tokens":123}}"#,
            [Some(36), Some(87)],
        ),
        (
            Anthropic,
            Messages,
            JSON,
            r#"{"type":"message","model":"c","content":[{"type":"tool_use","input":{"usage":{"input_tokens":1}}}],"usage":{"input_tokens":4,"cache_creation_input_tokens":5,"cache_read_input_tokens":6,"output_tokens":7}}"#,
            [Some(15), Some(7)],
        ),
        (
            Gemini,
            GenerateContent,
            JSON,
            r#"{"candidates":[{"content":{"parts":[{"text":"t","thought":true},{"text":"a"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":6,"candidatesTokenCount":2,"thoughtsTokenCount":30,"toolUsePromptTokenCount":4,"totalTokenCount":42},"modelVersion":"g"}"#,
            [Some(10), Some(32)],
        ),
    ]
}

/// Vectors and pictures.
fn vectors_and_pictures() -> Vec<Case> {
    use Dialect::{Gemini, OpenAi};
    use Endpoint::{BatchEmbedContents, EmbedContent, Embeddings, ImagesGenerations};
    vec![
        (
            OpenAi,
            Embeddings,
            JSON,
            r#"{"object":"list","data":[{"embedding":[0.1,-2e-3]}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}"#,
            [Some(8), Some(0)],
        ),
        (
            OpenAi,
            ImagesGenerations,
            JSON,
            r#"{"created":1,"data":[{"b64_json":"AAAA"}],"usage":{"input_tokens":5,"output_tokens":272,"total_tokens":277}}"#,
            [Some(5), Some(272)],
        ),
        (
            OpenAi,
            Embeddings,
            JSON,
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"zc3MPQ=="}],"model":"text-embedding-3-small","usage":{"prompt_tokens":6,"total_tokens":6}}"#,
            [Some(6), Some(0)],
        ),
        (
            OpenAi,
            ImagesGenerations,
            SSE,
            "event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"AAAA\",\"partial_image_index\":0}\n\nevent: image_generation.completed\ndata: {\"type\":\"image_generation.completed\",\"b64_json\":\"AAAA\",\"usage\":{\"total_tokens\":100,\"input_tokens\":50,\"output_tokens\":51,\"input_tokens_details\":{\"text_tokens\":10,\"image_tokens\":40}}}\n\n",
            [Some(50), Some(51)],
        ),
        (
            Gemini,
            EmbedContent,
            JSON,
            r#"{"embedding":{"values":[0.013168517,-8.7e-3]},"usageMetadata":{"promptTokenCount":7,"promptTokensDetails":[{"modality":"TEXT","tokenCount":7}]}}"#,
            [Some(7), None],
        ),
        (
            Gemini,
            BatchEmbedContents,
            JSON,
            r#"{"embeddings":[{"values":[0.1,-2e-3]},{"values":[1,0]}],"usageMetadata":{"promptTokenCount":11,"totalTokenCount":11}}"#,
            [Some(11), None],
        ),
        // as it was before it reported usage
        (Gemini, BatchEmbedContents, JSON, r#"{"embeddings":[{"values":[0.1]}]}"#, [None, None]),
    ]
}

/// Sound, read or written.
fn sounds() -> Vec<Case> {
    use Dialect::OpenAi;
    use Endpoint::{AudioSpeech, AudioTranscriptions, AudioTranslations};
    vec![
        (
            OpenAi,
            AudioTranscriptions,
            JSON,
            r#"{"text":"hi","usage":{"type":"tokens","input_tokens":14,"output_tokens":45,"total_tokens":59}}"#,
            [Some(14), Some(45)],
        ),
        (
            OpenAi,
            AudioTranscriptions,
            SSE,
            "data: {\"type\":\"transcript.text.delta\",\"delta\":\"h\"}\n\nevent: transcript.text.done\ndata: {\"type\":\"transcript.text.done\",\"text\":\"hi\",\"usage\":{\"input_tokens\":14,\"output_tokens\":45}}\n\n",
            [Some(14), Some(45)],
        ),
        (
            OpenAi,
            AudioTranslations,
            JSON,
            r#"{"usage":{"input_tokens":4,"output_tokens":5},"text":"hi"}"#,
            [Some(4), Some(5)],
        ),
        (
            OpenAi,
            AudioTranscriptions,
            JSON,
            r#"{"task":"transcribe","language":"english","duration":8.47,"text":"\"usage\":{\"input_tokens\":1}","segments":[{"id":0,"text":" hi","tokens":[50364,1],"temperature":0.0}],"usage":{"type":"duration","seconds":9}}"#,
            [None, None],
        ),
        (
            OpenAi,
            AudioSpeech,
            SSE,
            "data: {\"type\":\"speech.audio.delta\",\"audio\":\"zc3MPQ==\"}\n\ndata: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":14,\"output_tokens\":101,\"total_tokens\":115}}\n\n",
            [Some(14), Some(101)],
        ),
    ]
}

/// Counting tokens uses none.
fn counts() -> Vec<Case> {
    use Dialect::{Anthropic, Gemini};
    use Endpoint::{GeminiCountTokens, MessagesCountTokens};
    let none = [None, None];
    vec![
        (
            Anthropic,
            MessagesCountTokens,
            JSON,
            r#"{"input_tokens":2095,"context_management":{"original_input_tokens":7}}"#,
            none,
        ),
        (
            Gemini,
            GeminiCountTokens,
            JSON,
            r#"{"totalTokens":31,"promptTokensDetails":[{"modality":"TEXT","tokenCount":31}]}"#,
            none,
        ),
    ]
}

fn metered<'a>(case: &Case, chunks: impl IntoIterator<Item = &'a [u8]>) -> Usage {
    let (dialect, endpoint, content_type, ..) = *case;
    let mut reader = AnswerReader::new(dialect, endpoint, content_type, content_type == SSE);
    for chunk in chunks {
        reader.feed(Bytes::copy_from_slice(chunk));
    }
    reader.finish()
}

#[test]
fn every_endpoint_is_read_the_same_at_every_split() {
    for case in cases() {
        let (_, endpoint, content_type, body, [input, output]) = case;
        let body = body.as_bytes();
        let whole = metered(&case, [body]);
        assert_eq!(
            (whole.input_tokens, whole.output_tokens),
            (input, output),
            "{endpoint:?} {content_type:?}"
        );
        assert!(whole.complete && !whole.suspect, "{endpoint:?}: {whole:?}");
        for at in 0..=body.len() {
            let (first, second) = body.split_at(at);
            assert_eq!(metered(&case, [first, second]), whole, "{endpoint:?} {content_type:?} split at {at}");
        }
        assert_eq!(metered(&case, body.chunks(1)), whole, "{endpoint:?} {content_type:?} byte by byte");
    }
}

#[test]
fn every_endpoint_that_an_upstream_answers_has_a_case() {
    let of_samples = super::samples().into_iter().map(|sample| sample.endpoint);
    let known: Vec<Endpoint> =
        cases().into_iter().map(|(_, endpoint, ..)| endpoint).chain(of_samples).collect();
    let missing: Vec<Endpoint> =
        Endpoint::all().filter(|it| !it.answered_here() && !known.contains(it)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

proptest! {
    #[test]
    fn any_chunks_give_the_same_usage(
        which in any::<proptest::sample::Index>(),
        cuts in proptest::collection::vec(0_usize..2_000, 0..12),
    ) {
        let cases = cases();
        let case = which.get(&cases);
        let body = case.3.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % body.len()).chain([0, body.len()]).collect();
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|ends| &body[ends[0]..ends[1]]);
        prop_assert_eq!(metered(case, chunks), metered(case, [body]));
    }
}
