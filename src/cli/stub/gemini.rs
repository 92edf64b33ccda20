//! Gemini's content, embedding, token count and model list calls; streams as SSE (`alt=sse`) or as one JSON list sent piece by
//! piece. Owns their shapes only. Source: <https://ai.google.dev/api/generate-content>.

use axum::Json;
use serde_json::{Value, json};

use super::openai::{MODELS, vector};
use super::play::{Answered, Frames, Reply, Turn};

/// Length of an embedding.
const DIMENSIONS: u64 = 8;

/// `GET /v1beta/models`.
pub(super) async fn models() -> Json<Value> {
    let models = MODELS.map(|id| {
        json!({
            "name": format!("models/{id}"), "displayName": id, "version": "stub", "inputTokenLimit": 1_000_000,
            "outputTokenLimit": 8_192, "supportedGenerationMethods": ["generateContent", "countTokens"],
        })
    });
    Json(json!({"models": models}))
}

/// `:generateContent`.
pub(super) fn generate(turn: &Turn) -> Reply {
    let mut body = base(turn);
    body["candidates"] = json!([candidate(&part(turn), Some("STOP"))]);
    let usage = usage(turn.prompt.tokens(), turn.pieces.len());
    Reply::json(&turn.with_usage(body, "usageMetadata", usage))
}

/// `:streamGenerateContent`. A function call comes whole, in one piece, as from the real service.
pub(super) fn stream_generate(turn: &Turn) -> Reply {
    let mut pieces = turn.pieces.clone();
    let (base, input, with_usage, sse) = (base(turn), turn.prompt.tokens(), turn.with_usage, turn.sse);
    let output = pieces.len();
    let call = pieces.tool.is_some().then(|| part(turn));
    if call.is_some() {
        pieces.join();
    }
    let last = pieces.len().saturating_sub(1);
    let piece = move |index: usize, text: String| {
        let part = call.clone().unwrap_or_else(|| json!({"text": text}));
        let mut chunk = base.clone();
        chunk["candidates"] = json!([candidate(&part, (index == last).then_some("STOP"))]);
        if with_usage {
            chunk["usageMetadata"] = usage(input, if index == last { output } else { index + 1 });
        }
        match (sse, index) {
            (true, _) => format!("data: {chunk}\r\n\r\n"),
            (false, 0) => format!("[{chunk}"),
            (false, _) => format!(",\r\n{chunk}"),
        }
    };
    let (content_type, close) =
        if sse { ("text/event-stream", "") } else { ("application/json; charset=UTF-8", "]") };
    let (open, piece) = (String::new().into(), Box::new(piece));
    Reply::Frames(Frames { content_type, open, piece, close: close.into(), pieces })
}

/// `:embedContent`.
pub(super) fn embed(turn: &Turn) -> Reply {
    embedded(turn, json!({"embedding": embedding(&turn.body)}))
}

/// `:batchEmbedContents`.
pub(super) fn batch_embed(turn: &Turn) -> Answered {
    let requests =
        turn.body.get("requests").and_then(Value::as_array).ok_or("the body has no list `requests`")?;
    let embeddings: Vec<Value> = requests.iter().map(embedding).collect();
    Ok(embedded(turn, json!({"embeddings": embeddings})))
}

/// `:countTokens`.
pub(super) fn count_tokens(turn: &Turn) -> Reply {
    let tokens = turn.prompt.tokens();
    let details = json!([{"modality": "TEXT", "tokenCount": tokens}]);
    Reply::json(&json!({"totalTokens": tokens, "promptTokensDetails": details}))
}

fn base(turn: &Turn) -> Value {
    json!({"modelVersion": turn.model, "responseId": format!("stub{}", turn.number)})
}

fn candidate(part: &Value, finish: Option<&str>) -> Value {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": [part]}});
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
    }
    candidate
}

fn part(turn: &Turn) -> Value {
    match &turn.pieces.tool {
        None => json!({"text": turn.pieces.whole()}),
        Some(name) => json!({"functionCall": {"name": name, "args": turn.arguments()}}),
    }
}

fn usage(input: u64, output: usize) -> Value {
    json!({
        "promptTokenCount": input, "candidatesTokenCount": output, "totalTokenCount": input + output as u64,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": input}],
    })
}

fn embedded(turn: &Turn, body: Value) -> Reply {
    Reply::json(&turn.with_usage(body, "usageMetadata", json!({"promptTokenCount": turn.prompt.tokens()})))
}

/// The embedding of a request's content.
fn embedding(request: &Value) -> Value {
    let text = request.get("content").map(Value::to_string).unwrap_or_default();
    json!({"values": vector(&text, DIMENSIONS)})
}
