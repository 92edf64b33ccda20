//! Gemini's content, embedding, token count and model list calls; streams as SSE (`alt=sse`) or as one JSON list sent piece by
//! piece. Owns their shapes only. Source: <https://ai.google.dev/api/generate-content>.

use axum::Json;
use serde_json::{Value, json};

use super::openai::{MODELS, vector};
use super::play::{Reply, Script, Turn};

/// Length of an embedding.
const DIMENSIONS: usize = 8;

/// `GET /v1beta/models`.
pub(super) async fn models() -> Json<Value> {
    let models: Vec<Value> = MODELS
        .iter()
        .map(|id| {
            json!({
                "name": format!("models/{id}"), "displayName": id, "version": "stub", "inputTokenLimit": 1_000_000,
                "outputTokenLimit": 8_192, "supportedGenerationMethods": ["generateContent", "countTokens"],
            })
        })
        .collect();
    Json(json!({"models": models}))
}

/// `:generateContent`.
pub(super) fn generate(turn: &Turn) -> Reply {
    let mut body = base(turn);
    body["candidates"] = json!([candidate(&part(turn, turn.pieces.whole()), Some("STOP"))]);
    turn.add_usage(&mut body, "usageMetadata", usage(turn.prompt.tokens(), turn.pieces.len()));
    Reply::Json(body)
}

/// `:streamGenerateContent`. A function call comes whole, in one piece, as from the real service.
pub(super) fn stream_generate(turn: &Turn) -> Reply {
    let mut pieces = turn.pieces.clone();
    let (base, input, with_usage, sse) = (base(turn), turn.prompt.tokens(), turn.with_usage, turn.sse);
    let output = pieces.len();
    let call = pieces.tool.is_some().then(|| part(turn, pieces.whole()));
    if call.is_some() {
        pieces.join();
    }
    let last = pieces.len().saturating_sub(1);
    let piece = move |index: usize, text: String| {
        let part = call.clone().unwrap_or_else(|| json!({"text": text}));
        let finish = (index == last).then_some("STOP");
        let mut chunk = base.clone();
        chunk["candidates"] = json!([candidate(&part, finish)]);
        if with_usage {
            let so_far = if index == last { output } else { index + 1 };
            chunk["usageMetadata"] = usage(input, so_far);
        }
        match (sse, index) {
            (true, _) => format!("data: {chunk}\r\n\r\n"),
            (false, 0) => format!("[{chunk}"),
            (false, _) => format!(",\r\n{chunk}"),
        }
    };
    Reply::Stream(Script {
        content_type: if sse { "text/event-stream" } else { "application/json; charset=UTF-8" },
        open: String::new(),
        piece: Box::new(piece),
        close: if sse { String::new() } else { "]".into() },
        pieces,
    })
}

/// `:embedContent`.
pub(super) fn embed(turn: &Turn) -> Reply {
    let mut body = json!({"embedding": embedding(turn.body.get("content"))});
    turn.add_usage(&mut body, "usageMetadata", json!({"promptTokenCount": turn.prompt.tokens()}));
    Reply::Json(body)
}

/// `:batchEmbedContents`.
pub(super) fn batch_embed(turn: &Turn) -> Result<Reply, String> {
    let requests =
        turn.body.get("requests").and_then(Value::as_array).ok_or("the body has no list `requests`")?;
    let embeddings: Vec<Value> = requests.iter().map(|request| embedding(request.get("content"))).collect();
    let mut body = json!({"embeddings": embeddings});
    turn.add_usage(&mut body, "usageMetadata", json!({"promptTokenCount": turn.prompt.tokens()}));
    Ok(Reply::Json(body))
}

/// `:countTokens`.
pub(super) fn count_tokens(turn: &Turn) -> Reply {
    let tokens = turn.prompt.tokens();
    Reply::Json(
        json!({"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]}),
    )
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

fn part(turn: &Turn, whole: String) -> Value {
    match &turn.pieces.tool {
        None => json!({"text": whole}),
        Some(name) => {
            // The arguments were written by the stub itself; were they not JSON, the caller would see the text.
            let args: Value = serde_json::from_str(&whole).unwrap_or(Value::String(whole));
            json!({"functionCall": {"name": name, "args": args}})
        }
    }
}

fn usage(input: u64, output: usize) -> Value {
    json!({
        "promptTokenCount": input, "candidatesTokenCount": output, "totalTokenCount": input + output as u64,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": input}],
    })
}

fn embedding(content: Option<&Value>) -> Value {
    let text = content.map(Value::to_string).unwrap_or_default();
    json!({"values": vector(&text, DIMENSIONS)})
}
