//! Anthropic's messages and token count, as JSON and as SSE. Owns their shapes only.
//! Source: <https://docs.claude.com/en/api/messages-streaming>.

use serde_json::{Value, json};

use super::play::{Reply, Script, Turn};

/// `POST /v1/messages`.
pub(super) fn messages(turn: &Turn) -> Reply {
    let mut message = json!({
        "id": format!("msg_stub{}", turn.number), "type": "message", "role": "assistant", "model": turn.model,
        "stop_sequence": null,
    });
    if turn.stream() {
        return Reply::Stream(stream(turn, message));
    }
    let whole = turn.pieces.whole();
    let block = match &turn.pieces.tool {
        None => json!({"type": "text", "text": whole}),
        Some(name) => {
            // The arguments were written by the stub itself; were they not JSON, the caller would see the text.
            let input: Value = serde_json::from_str(&whole).unwrap_or(Value::String(whole));
            json!({"type": "tool_use", "id": tool_id(turn), "name": name, "input": input})
        }
    };
    message["content"] = json!([block]);
    message["stop_reason"] = stop_reason(turn).into();
    turn.add_usage(&mut message, "usage", usage(turn, turn.pieces.len()));
    Reply::Json(message)
}

fn stream(turn: &Turn, mut message: Value) -> Script {
    message["content"] = json!([]);
    message["stop_reason"] = Value::Null;
    // The first event already counts one output token, as the real one does.
    turn.add_usage(&mut message, "usage", usage(turn, 1));
    let is_tool = turn.pieces.tool.is_some();
    let block = match &turn.pieces.tool {
        None => json!({"type": "text", "text": ""}),
        Some(name) => json!({"type": "tool_use", "id": tool_id(turn), "name": name, "input": {}}),
    };
    let open = event("message_start", &json!({"type": "message_start", "message": message}))
        + &event(
            "content_block_start",
            &json!({"type": "content_block_start", "index": 0, "content_block": block}),
        )
        + &event("ping", &json!({"type": "ping"}));
    let mut last =
        json!({"type": "message_delta", "delta": {"stop_reason": stop_reason(turn), "stop_sequence": null}});
    turn.add_usage(&mut last, "usage", json!({"output_tokens": turn.pieces.len()}));
    let close = event("content_block_stop", &json!({"type": "content_block_stop", "index": 0}))
        + &event("message_delta", &last)
        + &event("message_stop", &json!({"type": "message_stop"}));
    let piece = move |_: usize, text: String| {
        let delta = if is_tool {
            json!({"type": "input_json_delta", "partial_json": text})
        } else {
            json!({"type": "text_delta", "text": text})
        };
        event("content_block_delta", &json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    };
    Script {
        content_type: "text/event-stream; charset=utf-8",
        open,
        piece: Box::new(piece),
        close,
        pieces: turn.pieces.clone(),
    }
}

/// `POST /v1/messages/count_tokens`.
pub(super) fn count_tokens(turn: &Turn) -> Reply {
    Reply::Json(json!({"input_tokens": turn.prompt.tokens()}))
}

fn usage(turn: &Turn, output: usize) -> Value {
    json!({
        "input_tokens": turn.prompt.tokens(), "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        "output_tokens": output, "service_tier": "standard",
    })
}

fn stop_reason(turn: &Turn) -> &'static str {
    if turn.pieces.tool.is_some() { "tool_use" } else { "end_turn" }
}

fn tool_id(turn: &Turn) -> String {
    format!("toolu_stub{}", turn.number)
}

fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}
