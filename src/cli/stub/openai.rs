//! `OpenAI`'s chat completions, completions, embeddings and model list, as JSON and as SSE. Owns their shapes only.
//! Source: <https://platform.openai.com/docs/api-reference>, read with what the official SDKs accept.

use axum::Json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::play::{Answered, Reply, Turn};

/// Length of an embedding when the caller does not say.
const DEFAULT_DIMENSIONS: u64 = 8;

/// The longest embedding: a caller must not make the stub allocate without bound.
const MAX_DIMENSIONS: u64 = 4_096;

/// The models that the lists name; any other name is answered as well.
pub(super) const MODELS: [&str; 4] =
    ["gpt-4o-mini", "claude-3-opus", "claude-3.5-sonnet", "gemini-2.0-flash"];

/// `GET /v1/models`.
pub(super) async fn models() -> Json<Value> {
    let data =
        MODELS.map(|id| json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "stub"}));
    Json(json!({"object": "list", "data": data}))
}

/// `POST /v1/chat/completions`.
pub(super) fn chat(turn: &Turn) -> Reply {
    let is_tool = turn.pieces.tool.is_some();
    let finish = if is_tool { "tool_calls" } else { "stop" };
    let base = json!({
        "id": format!("chatcmpl-stub{}", turn.number), "created": turn.created_s, "model": turn.model,
        "service_tier": "default", "system_fingerprint": "fp_stub",
    });
    let body = move |object: &str, choices: Value| with(&base, json!({"object": object, "choices": choices}));
    let message = |text: &str, call: Value| match &turn.pieces.tool {
        None => json!({"role": "assistant", "content": text, "refusal": null}),
        Some(name) => {
            let function = json!({"name": name, "arguments": text});
            let call = with(&call, json!({"id": call_id(turn), "type": "function", "function": function}));
            json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [call]})
        }
    };
    if !turn.stream() {
        let message = with(&message(&turn.pieces.whole(), json!({})), json!({"annotations": []}));
        let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish});
        let body = body("chat.completion", json!([choice]));
        return Reply::json(&turn.with_usage(body, "usage", usage(turn)));
    }
    let include = include_usage(turn);
    let event = move |choices: Value, usage: Value| {
        let mut chunk = body("chat.completion.chunk", choices);
        // with `include_usage` every chunk but the last carries the key, as null
        if include {
            chunk["usage"] = usage;
        }
        sse(&chunk)
    };
    let chunk = move |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    let open = event(chunk(message("", json!({"index": 0})), Value::Null), Value::Null);
    let mut close = event(chunk(json!({}), finish.into()), Value::Null);
    if turn.with_usage && include {
        close += &event(json!([]), usage(turn));
    }
    close += "data: [DONE]\n\n";
    let piece = move |_, text: String| {
        let delta = if is_tool {
            json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]})
        } else {
            json!({"content": text})
        };
        event(chunk(delta, Value::Null), Value::Null)
    };
    turn.play("text/event-stream", open, piece, close)
}

/// `POST /v1/completions`, the older text form.
pub(super) fn completion(turn: &Turn) -> Reply {
    let base = json!({
        "id": format!("cmpl-stub{}", turn.number), "object": "text_completion", "created": turn.created_s,
        "model": turn.model, "system_fingerprint": "fp_stub",
    });
    let chunk = move |text: &str, finish: Value| {
        let choice = json!({"text": text, "index": 0, "logprobs": null, "finish_reason": finish});
        with(&base, json!({"choices": [choice]}))
    };
    if !turn.stream() {
        let body = chunk(&turn.pieces.whole(), "stop".into());
        return Reply::json(&turn.with_usage(body, "usage", usage(turn)));
    }
    let mut close = sse(&chunk("", "stop".into()));
    if turn.with_usage && include_usage(turn) {
        close += &sse(&with(&chunk("", Value::Null), json!({"choices": [], "usage": usage(turn)})));
    }
    close += "data: [DONE]\n\n";
    let piece = move |_, text: String| sse(&chunk(&text, Value::Null));
    turn.play("text/event-stream", String::new(), piece, close)
}

/// `POST /v1/embeddings`: one vector for each input, as numbers or as base64 of little-endian floats.
pub(super) fn embeddings(turn: &Turn) -> Answered {
    let dimensions = turn.body.get("dimensions").filter(|value| !value.is_null());
    let dimensions = dimensions.map_or(Ok(DEFAULT_DIMENSIONS), |value| {
        let allowed = value.as_u64().filter(|count| (1..=MAX_DIMENSIONS).contains(count));
        allowed.ok_or_else(|| format!("`dimensions` is {value}; allowed: 1 to {MAX_DIMENSIONS}"))
    })?;
    let inputs: &[Value] = match turn.body.get("input").ok_or("the body has no `input`")? {
        // a list of numbers is one input, as token ids; any other list is a batch
        Value::Array(items) if !items.first().is_some_and(Value::is_number) => items,
        one => std::slice::from_ref(one),
    };
    let as_base64 = turn.body.get("encoding_format").is_some_and(|format| format == "base64");
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = vector(&input.to_string(), dimensions);
            let embedding = if as_base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                STANDARD.encode(bytes).into()
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let body = json!({"object": "list", "data": data, "model": turn.model});
    let tokens = turn.prompt.tokens();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    Ok(Reply::json(&turn.with_usage(body, "usage", usage)))
}

fn include_usage(turn: &Turn) -> bool {
    turn.body.pointer("/stream_options/include_usage").is_some_and(|include| include == true)
}

fn usage(turn: &Turn) -> Value {
    let [input, output, total] = turn.tokens();
    json!({
        "prompt_tokens": input, "completion_tokens": output, "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

pub(super) fn call_id(turn: &Turn) -> String {
    format!("call_stub{}", turn.number)
}

/// One SSE event without a name.
pub(super) fn sse(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// Both objects' keys in one.
pub(super) fn with(base: &Value, more: Value) -> Value {
    let mut all = base.clone();
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
        all.extend(more);
    }
    all
}

/// A vector that depends on the text alone: FNV-1a over its bytes, one byte of the hash's walk for each number, in -1..1.
pub(super) fn vector(text: &str, dimensions: u64) -> Vec<f32> {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    (0..dimensions)
        .map(|_| {
            hash = step(hash, 1);
            f32::from(hash.to_be_bytes()[2]) / 128.0 - 1.0
        })
        .collect()
}
