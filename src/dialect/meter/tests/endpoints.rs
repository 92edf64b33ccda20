//! The endpoints that the larger samples leave out: the same usage however the answer is split.

use super::{JSON, Meter, SSE};
use crate::dialect::{Dialect, Endpoint};

type Case = (Dialect, Endpoint, Option<&'static str>, &'static str, [u64; 2]);

fn cases() -> Vec<Case> {
    use Dialect::{Gemini, OpenAi};
    use Endpoint::{
        AudioTranscriptions, AudioTranslations, Completions, Embeddings, GenerateContent, ImagesGenerations,
        Responses,
    };
    vec![
        (
            OpenAi,
            Completions,
            JSON,
            r#"{"model":"m","choices":[{"text":"Grüße \u00e9 \"usage\":{}"}],"usage":{"prompt_tokens":3,"completion_tokens":9,"total_tokens":12}}"#,
            [3, 9],
        ),
        (
            OpenAi,
            Completions,
            SSE,
            "data: {\"model\":\"m\",\"choices\":[{\"text\":\"a😀\",\"finish_reason\":\"stop\"}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\r\n\r\ndata: [DONE]\n\n",
            [3, 2],
        ),
        (
            OpenAi,
            Responses,
            JSON,
            r#"{"model":"m","output":[{"content":[{"text":"abc"}]}],"usage":{"input_tokens":1,"output_tokens":2}}"#,
            [1, 2],
        ),
        (
            OpenAi,
            Embeddings,
            JSON,
            r#"{"object":"list","data":[{"embedding":[0.1,-2e-3]}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}"#,
            [8, 0],
        ),
        (
            OpenAi,
            AudioTranscriptions,
            JSON,
            r#"{"text":"hi","usage":{"type":"tokens","input_tokens":14,"output_tokens":45,"total_tokens":59}}"#,
            [14, 45],
        ),
        (
            OpenAi,
            AudioTranscriptions,
            SSE,
            "data: {\"type\":\"transcript.text.delta\",\"delta\":\"h\"}\n\nevent: transcript.text.done\ndata: {\"type\":\"transcript.text.done\",\"text\":\"hi\",\"usage\":{\"input_tokens\":14,\"output_tokens\":45}}\n\n",
            [14, 45],
        ),
        (
            OpenAi,
            AudioTranslations,
            JSON,
            r#"{"usage":{"input_tokens":4,"output_tokens":5},"text":"hi"}"#,
            [4, 5],
        ),
        (
            OpenAi,
            ImagesGenerations,
            JSON,
            r#"{"created":1,"data":[{"b64_json":"AAAA"}],"usage":{"input_tokens":5,"output_tokens":272,"total_tokens":277}}"#,
            [5, 272],
        ),
        (
            Gemini,
            GenerateContent,
            JSON,
            r#"{"candidates":[{"content":{"parts":[{"text":"é\n"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":6,"candidatesTokenCount":7,"totalTokenCount":13},"modelVersion":"g"}"#,
            [6, 7],
        ),
    ]
}

#[test]
fn every_endpoint_with_usage_is_read_the_same_at_every_split() {
    for (dialect, endpoint, content_type, body, [input, output]) in cases() {
        let metered = |chunks: &[&[u8]]| {
            let mut meter = Meter::new(dialect, endpoint, content_type, content_type == SSE);
            for chunk in chunks {
                meter.feed(chunk);
            }
            meter.finish()
        };
        let body = body.as_bytes();
        let whole = metered(&[body]);
        assert_eq!((whole.input_tokens, whole.output_tokens), (Some(input), Some(output)), "{endpoint:?}");
        assert!(whole.complete && !whole.suspect, "{endpoint:?}: {whole:?}");
        for at in 0..=body.len() {
            let (first, second) = body.split_at(at);
            assert_eq!(metered(&[first, second]), whole, "{endpoint:?} {content_type:?} split at {at}");
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(metered(&bytes), whole, "{endpoint:?} {content_type:?} byte by byte");
    }
}
