//! `OpenAI`'s chat completions, completions, embeddings and model list, as JSON and as SSE. Owns their shapes only.
//! Source: <https://platform.openai.com/docs/api-reference>, read with what the official SDKs accept.

use axum::Json;
use serde_json::{Value, json};

use super::play::{Reply, Script, Turn};

/// Length of an embedding when the caller does not say.
const DEFAULT_DIMENSIONS: usize = 8;

/// The longest embedding: a caller must not make the stub allocate without bound.
const MAX_DIMENSIONS: u64 = 4_096;

/// The models that the lists name; any other name is answered as well.
pub(super) const MODELS: [&str; 4] =
    ["gpt-4o-mini", "claude-3-opus", "claude-3.5-sonnet", "gemini-2.0-flash"];

/// `GET /v1/models`.
pub(super) async fn models() -> Json<Value> {
    let data: Vec<Value> = MODELS
        .iter()
        .map(|id| json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "stub"}))
        .collect();
    Json(json!({"object": "list", "data": data}))
}

/// `POST /v1/chat/completions`.
pub(super) fn chat(turn: &Turn) -> Reply {
    let id = format!("chatcmpl-stub{}", turn.number);
    if turn.stream() {
        return Reply::Stream(chat_stream(turn, &id));
    }
    let whole = turn.pieces.whole();
    let message = match &turn.pieces.tool {
        None => json!({"role": "assistant", "content": whole, "refusal": null, "annotations": []}),
        Some(name) => json!({
            "role": "assistant", "content": null, "refusal": null, "annotations": [],
            "tool_calls": [{"id": call_id(turn), "type": "function", "function": {"name": name, "arguments": whole}}],
        }),
    };
    let choice =
        json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(turn)});
    let mut body = json!({
        "id": id, "object": "chat.completion", "created": turn.created_s, "model": turn.model, "choices": [choice],
        "service_tier": "default", "system_fingerprint": "fp_stub",
    });
    turn.add_usage(&mut body, "usage", usage(turn));
    Reply::Json(body)
}

fn chat_stream(turn: &Turn, id: &str) -> Script {
    let (with_usage_chunk, include) = (turn.with_usage && include_usage(turn), include_usage(turn));
    let base = json!({
        "id": id, "object": "chat.completion.chunk", "created": turn.created_s, "model": turn.model,
        "service_tier": "default", "system_fingerprint": "fp_stub",
    });
    let chunk = move |choices: Value| {
        let mut chunk = base.clone();
        chunk["choices"] = choices;
        // With `include_usage` every chunk but the last carries the key, as null.
        if include {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    let mut first = json!({"role": "assistant", "content": "", "refusal": null});
    let is_tool = turn.pieces.tool.is_some();
    if let Some(name) = &turn.pieces.tool {
        first["content"] = Value::Null;
        let function = json!({"name": name, "arguments": ""});
        first["tool_calls"] =
            json!([{"index": 0, "id": call_id(turn), "type": "function", "function": function}]);
    }
    let open = sse(&chunk(choice(first, Value::Null)));
    let mut close = sse(&chunk(choice(json!({}), finish_reason(turn).into())));
    if with_usage_chunk {
        let mut last = chunk(json!([]));
        last["usage"] = usage(turn);
        close += &sse(&last);
    }
    close += "data: [DONE]\n\n";
    let piece = move |_: usize, text: String| {
        let delta = if is_tool {
            json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]})
        } else {
            json!({"content": text})
        };
        sse(&chunk(choice(delta, Value::Null)))
    };
    Script {
        content_type: "text/event-stream",
        open,
        piece: Box::new(piece),
        close,
        pieces: turn.pieces.clone(),
    }
}

/// `POST /v1/completions`, the older text form.
pub(super) fn completion(turn: &Turn) -> Reply {
    let base = json!({
        "id": format!("cmpl-stub{}", turn.number), "object": "text_completion", "created": turn.created_s,
        "model": turn.model, "system_fingerprint": "fp_stub",
    });
    let chunk = move |text: &str, finish: Value| {
        let mut chunk = base.clone();
        chunk["choices"] = json!([{"text": text, "index": 0, "logprobs": null, "finish_reason": finish}]);
        chunk
    };
    if !turn.stream() {
        let mut body = chunk(&turn.pieces.whole(), "stop".into());
        turn.add_usage(&mut body, "usage", usage(turn));
        return Reply::Json(body);
    }
    let mut close = sse(&chunk("", "stop".into()));
    if turn.with_usage && include_usage(turn) {
        let mut last = chunk("", Value::Null);
        last["choices"] = json!([]);
        last["usage"] = usage(turn);
        close += &sse(&last);
    }
    close += "data: [DONE]\n\n";
    Reply::Stream(Script {
        content_type: "text/event-stream",
        open: String::new(),
        piece: Box::new(move |_, text| sse(&chunk(&text, Value::Null))),
        close,
        pieces: turn.pieces.clone(),
    })
}

/// `POST /v1/embeddings`: one vector for each input, as numbers or as base64 of little-endian floats.
pub(super) fn embeddings(turn: &Turn) -> Result<Reply, String> {
    let dimensions = match turn.body.get("dimensions") {
        None | Some(Value::Null) => DEFAULT_DIMENSIONS,
        Some(value) => value
            .as_u64()
            .filter(|count| (1..=MAX_DIMENSIONS).contains(count))
            .and_then(|count| usize::try_from(count).ok())
            .ok_or_else(|| format!("`dimensions` is {value}; allowed: 1 to {MAX_DIMENSIONS}"))?,
    };
    let inputs: Vec<&Value> = match turn.body.get("input") {
        None => return Err("the body has no `input`".into()),
        // A list of numbers is one input, as token ids; any other list is a batch.
        Some(Value::Array(items)) if !items.first().is_some_and(Value::is_number) => items.iter().collect(),
        Some(one) => vec![one],
    };
    let as_base64 = turn.body.get("encoding_format").is_some_and(|format| format == "base64");
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = vector(&input.to_string(), dimensions);
            let embedding = if as_base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                Value::from(base64(&bytes))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let mut body = json!({"object": "list", "data": data, "model": turn.model});
    let tokens = turn.prompt.tokens();
    turn.add_usage(&mut body, "usage", json!({"prompt_tokens": tokens, "total_tokens": tokens}));
    Ok(Reply::Json(body))
}

fn include_usage(turn: &Turn) -> bool {
    turn.body.pointer("/stream_options/include_usage").is_some_and(|include| include == true)
}

fn usage(turn: &Turn) -> Value {
    let (input, output) = (turn.prompt.tokens(), turn.pieces.len() as u64);
    json!({
        "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

fn finish_reason(turn: &Turn) -> &'static str {
    if turn.pieces.tool.is_some() { "tool_calls" } else { "stop" }
}

pub(super) fn call_id(turn: &Turn) -> String {
    format!("call_stub{}", turn.number)
}

/// One SSE event without a name.
pub(super) fn sse(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// A vector that depends on the text alone: FNV-1a over its bytes, one byte of the hash's walk for each number, in -1..1.
pub(super) fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    (0..dimensions)
        .map(|_| {
            hash = step(hash, 1);
            f32::from(hash.to_be_bytes()[2]) / 128.0 - 1.0
        })
        .collect()
}

/// Standard base64 with padding (RFC 4648 §4).
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0_usize, |word, byte| word << 8 | usize::from(*byte))
            << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = ALPHABET[word >> (18 - 6 * place) & 63];
            text.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
