//! `OpenAI`'s Responses API, as JSON and as its typed SSE events. Owns their shapes only.
//! Source: <https://platform.openai.com/docs/api-reference/responses-streaming>.

use serde_json::{Value, json};

use super::openai::call_id;
use super::play::{Reply, Script, Turn};

/// `POST /v1/responses`.
pub(super) fn responses(turn: &Turn) -> Reply {
    let ids = Ids { item: format!("item_stub{}", turn.number), tool: turn.pieces.tool.clone() };
    let done = item(turn, &ids, &turn.pieces.whole(), "completed");
    let mut whole = response(turn, "completed", json!([done]));
    whole["usage"] = turn.usage_or_null(usage(turn));
    if !turn.stream() {
        return Reply::Json(whole);
    }
    let started = response(turn, "in_progress", json!([]));
    let mut opened = vec![
        ("response.created", json!({"response": started})),
        ("response.in_progress", json!({"response": started})),
        (
            "response.output_item.added",
            json!({"output_index": 0, "item": item(turn, &ids, "", "in_progress")}),
        ),
    ];
    let text = turn.pieces.whole();
    let place = json!({"item_id": ids.item, "output_index": 0});
    let mut closing = Vec::new();
    if ids.tool.is_some() {
        let name = ids.tool.clone();
        let arguments = with(&place, json!({"name": name, "arguments": text}));
        closing.push(("response.function_call_arguments.done", arguments));
    } else {
        let part = |text: &str| with(&place, json!({"content_index": 0, "part": text_part(text)}));
        opened.push(("response.content_part.added", part("")));
        let done = with(&place, json!({"content_index": 0, "text": text, "logprobs": []}));
        closing.push(("response.output_text.done", done));
        closing.push(("response.content_part.done", part(&text)));
    }
    closing.push(("response.output_item.done", json!({"output_index": 0, "item": done})));
    closing.push(("response.completed", json!({"response": whole})));

    let first_piece = opened.len();
    let first_closing = first_piece + turn.pieces.len();
    let piece = move |index: usize, delta: String| {
        let number = first_piece + index;
        if ids.tool.is_some() {
            let data = with(&place, json!({"delta": delta}));
            event("response.function_call_arguments.delta", data, number)
        } else {
            let data = with(&place, json!({"content_index": 0, "delta": delta, "logprobs": []}));
            event("response.output_text.delta", data, number)
        }
    };
    Reply::Stream(Script {
        content_type: "text/event-stream",
        open: events(opened, 0),
        piece: Box::new(piece),
        close: events(closing, first_closing),
        pieces: turn.pieces.clone(),
    })
}

struct Ids {
    item: String,
    tool: Option<String>,
}

fn response(turn: &Turn, status: &str, output: Value) -> Value {
    let mut response = json!({
        "id": format!("resp_stub{}", turn.number), "object": "response", "created_at": turn.created_s, "status": status,
        "background": false, "error": null, "incomplete_details": null, "instructions": null, "max_output_tokens": null,
        "metadata": {}, "model": turn.model, "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null}, "service_tier": "default", "store": false, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
        "usage": null, "user": null,
    });
    response["output"] = output;
    response
}

fn item(turn: &Turn, ids: &Ids, text: &str, status: &str) -> Value {
    let mut item = json!({"id": ids.item, "status": status});
    if let Some(name) = &ids.tool {
        with(
            &item,
            json!({"type": "function_call", "call_id": call_id(turn), "name": name, "arguments": text}),
        )
    } else {
        item["content"] = if status == "completed" { json!([text_part(text)]) } else { json!([]) };
        with(&item, json!({"type": "message", "role": "assistant"}))
    }
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn usage(turn: &Turn) -> Value {
    let (input, output) = (turn.prompt.tokens(), turn.pieces.len() as u64);
    json!({
        "input_tokens": input, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": input + output,
    })
}

/// Both objects' keys in one.
fn with(base: &Value, more: Value) -> Value {
    let mut all = base.clone();
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
        all.extend(more);
    }
    all
}

fn events(events: Vec<(&str, Value)>, first: usize) -> String {
    events.into_iter().enumerate().map(|(at, (name, data))| event(name, data, first + at)).collect()
}

fn event(name: &str, data: Value, number: usize) -> String {
    let data = with(&json!({"type": name, "sequence_number": number}), data);
    format!("event: {name}\ndata: {data}\n\n")
}
