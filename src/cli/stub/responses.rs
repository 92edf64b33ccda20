//! `OpenAI`'s Responses API, as JSON and as its typed SSE events. Owns their shapes only.
//! Source: <https://platform.openai.com/docs/api-reference/responses-streaming>.

use serde_json::{Value, json};

use super::anthropic::event;
use super::openai::{call_id, with};
use super::play::{Reply, Turn};

/// `POST /v1/responses`.
pub(super) fn responses(turn: &Turn) -> Reply {
    let [input, output, total] = turn.tokens();
    let is_tool = turn.pieces.tool.is_some();
    let text = turn.pieces.whole();
    let usage = json!({
        "input_tokens": input, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": total,
    });
    let done = item(turn, &text, "completed");
    let whole = turn.with_usage(response(turn, "completed", &json!([done])), "usage", usage);
    if !turn.stream() {
        return Reply::json(&whole);
    }
    let place = json!({"item_id": item_id(turn), "output_index": 0});
    let at = move |kind: &str, more: Value| with(&with(&place, json!({"type": kind})), more);
    let started = response(turn, "in_progress", &json!([]));
    let added = item(turn, "", "in_progress");
    let mut open = vec![
        json!({"type": "response.created", "response": started}),
        json!({"type": "response.in_progress", "response": started}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": added}),
    ];
    let mut close = Vec::new();
    if let Some(name) = &turn.pieces.tool {
        close.push(at("response.function_call_arguments.done", json!({"name": name, "arguments": text})));
    } else {
        let part = |kind, text: &str| at(kind, json!({"content_index": 0, "part": text_part(text)}));
        open.push(part("response.content_part.added", ""));
        let more = json!({"content_index": 0, "text": text, "logprobs": []});
        close.push(at("response.output_text.done", more));
        close.push(part("response.content_part.done", &text));
    }
    close.push(json!({"type": "response.output_item.done", "output_index": 0, "item": done}));
    close.push(json!({"type": "response.completed", "response": whole}));

    let first_piece = open.len();
    let piece = move |index: usize, delta: String| {
        let data = if is_tool {
            at("response.function_call_arguments.delta", json!({"delta": delta}))
        } else {
            at("response.output_text.delta", json!({"content_index": 0, "delta": delta, "logprobs": []}))
        };
        events([data], first_piece + index)
    };
    let close = events(close, first_piece + turn.pieces.len());
    turn.play("text/event-stream", events(open, 0), piece, close)
}

fn response(turn: &Turn, status: &str, output: &Value) -> Value {
    json!({
        "id": format!("resp_stub{}", turn.number), "object": "response", "created_at": turn.created_s, "status": status,
        "background": false, "error": null, "incomplete_details": null, "instructions": null, "max_output_tokens": null,
        "metadata": {}, "model": turn.model, "output": output, "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null}, "service_tier": "default", "store": false, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
        "usage": null, "user": null,
    })
}

fn item_id(turn: &Turn) -> String {
    format!("item_stub{}", turn.number)
}

fn item(turn: &Turn, text: &str, status: &str) -> Value {
    let item = json!({"id": item_id(turn), "status": status});
    let more = if let Some(name) = &turn.pieces.tool {
        json!({"type": "function_call", "call_id": call_id(turn), "name": name, "arguments": text})
    } else {
        let content = if status == "completed" { json!([text_part(text)]) } else { json!([]) };
        json!({"type": "message", "role": "assistant", "content": content})
    };
    with(&item, more)
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// Events with their numbers in the stream, from `first` on.
fn events(events: impl IntoIterator<Item = Value>, first: usize) -> String {
    let numbered = events.into_iter().zip(first..);
    numbered.map(|(data, number)| event(&with(&data, json!({"sequence_number": number})))).collect()
}
