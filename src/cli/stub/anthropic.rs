//! Anthropic's messages and token count, as JSON and as SSE. Owns their shapes only.
//! Source: <https://docs.claude.com/en/api/messages-streaming>.

use serde_json::{Value, json};

use super::play::{Reply, Turn};

/// `POST /v1/messages`.
pub(super) fn messages(turn: &Turn) -> Reply {
    let is_tool = turn.pieces.tool.is_some();
    let stop_reason = if is_tool { "tool_use" } else { "end_turn" };
    let block = |text: String, input: Value| match &turn.pieces.tool {
        None => json!({"type": "text", "text": text}),
        Some(name) => {
            json!({"type": "tool_use", "id": format!("toolu_stub{}", turn.number), "name": name, "input": input})
        }
    };
    let message = |content: Value, stop_reason: Option<&str>, output: usize| {
        let message = json!({
            "id": format!("msg_stub{}", turn.number), "type": "message", "role": "assistant", "model": turn.model,
            "content": content, "stop_reason": stop_reason, "stop_sequence": null,
        });
        let usage = json!({
            "input_tokens": turn.prompt.tokens(), "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "output_tokens": output, "service_tier": "standard",
        });
        turn.with_usage(message, "usage", usage)
    };
    if !turn.stream() {
        let content = json!([block(turn.pieces.whole(), turn.arguments())]);
        return Reply::json(&message(content, Some(stop_reason), turn.pieces.len()));
    }
    let last = json!({"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": null}});
    let last = turn.with_usage(last, "usage", json!({"output_tokens": turn.pieces.len()}));
    // the first event already counts one output token, as the real one does
    let open = [
        json!({"type": "message_start", "message": message(json!([]), None, 1)}),
        json!({"type": "content_block_start", "index": 0, "content_block": block(String::new(), json!({}))}),
        json!({"type": "ping"}),
    ];
    let close = [json!({"type": "content_block_stop", "index": 0}), last, json!({"type": "message_stop"})];
    let piece = move |_, text: String| {
        let delta = if is_tool {
            json!({"type": "input_json_delta", "partial_json": text})
        } else {
            json!({"type": "text_delta", "text": text})
        };
        event(&json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    };
    let (open, close) = (open.iter().map(event).collect(), close.iter().map(event).collect());
    turn.play("text/event-stream; charset=utf-8", open, piece, close)
}

/// `POST /v1/messages/count_tokens`.
pub(super) fn count_tokens(turn: &Turn) -> Reply {
    Reply::json(&json!({"input_tokens": turn.prompt.tokens()}))
}

/// An SSE event, named by its own `type`.
pub(super) fn event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
}
