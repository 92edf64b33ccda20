//! `OpenAI`'s calls around sound and pictures: multipart transcriptions and translations, speech, images. Owns their shapes and
//! the small reader of multipart forms. Sources: `OpenAI` API reference (audio, images), RFC 7578.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use serde_json::{Map, Value, json};

use super::openai::sse;
use super::play::{Reply, Turn};

/// Bytes of a speech answer for each byte of its text: enough for several writes.
const SPEECH_BYTES_PER_PIECE: usize = 1_024;

/// A picture of one transparent pixel (PNG).
const PIXEL_PNG: [u8; 67] = [
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0,
    0, 1, 8, 6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0,
    1, 0, 0, 5, 0, 1, 0x0d, 0x0a, 0x2d, 0xb4, 0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

/// `POST /v1/audio/transcriptions` and `/v1/audio/translations`.
pub(super) fn transcription(turn: &Turn) -> Reply {
    let [input, output, total] = turn.tokens();
    let usage = json!({
        "type": "tokens", "input_tokens": input, "output_tokens": output, "total_tokens": total,
        "input_token_details": {"text_tokens": 0, "audio_tokens": input},
    });
    let text = turn.pieces.whole();
    if turn.stream() {
        let done = json!({"type": "transcript.text.done", "text": text});
        let close = sse(&turn.with_usage(done, "usage", usage));
        let piece = |_, delta| sse(&json!({"type": "transcript.text.delta", "delta": delta}));
        return turn.play("text/event-stream", String::new(), piece, close);
    }
    if turn.body.get("response_format").is_some_and(|format| format == "text") {
        let bytes = (text + "\n").into_bytes();
        return Reply::Whole { content_type: "text/plain; charset=utf-8", bytes };
    }
    Reply::json(&turn.with_usage(json!({"text": text}), "usage", usage))
}

/// `POST /v1/audio/speech`: bytes that depend on the length of the answer only, not real sound.
pub(super) fn speech(turn: &Turn) -> Reply {
    let bytes = (0..turn.pieces.len() * SPEECH_BYTES_PER_PIECE).map(|at| at.to_le_bytes()[0]).collect();
    Reply::Whole { content_type: "audio/mpeg", bytes }
}

/// `POST /v1/images/generations`.
pub(super) fn images(turn: &Turn) -> Reply {
    let picture = STANDARD.encode(PIXEL_PNG);
    let picture = if turn.body.get("response_format").is_some_and(|format| format == "url") {
        json!({"url": format!("data:image/png;base64,{picture}")})
    } else {
        json!({"b64_json": picture})
    };
    let [input, output, total] = turn.tokens();
    let usage = json!({
        "input_tokens": input, "output_tokens": output, "total_tokens": total,
        "input_tokens_details": {"text_tokens": input, "image_tokens": 0},
    });
    let body = json!({"created": turn.created_s, "data": [picture]});
    Reply::json(&turn.with_usage(body, "usage", usage))
}

/// A multipart form's text fields as an object, and the size of its file under `file_bytes`.
pub(super) fn form(content_type: &str, bytes: &[u8]) -> Result<Value, String> {
    let boundary = content_type
        .split(';')
        .find_map(|parameter| parameter.trim().strip_prefix("boundary="))
        .map(|boundary| boundary.trim_matches('"'))
        .filter(|boundary| !boundary.is_empty())
        .ok_or("the multipart form has no `boundary`")?;
    let delimiter = format!("--{boundary}").into_bytes();
    let mut fields = Map::new();
    let first = memmem::find(bytes, &delimiter).ok_or("the multipart form has no part")?;
    let mut rest = &bytes[first + delimiter.len()..];
    while !rest.starts_with(b"--") {
        let start = memmem::find(rest, b"\r\n\r\n").ok_or("a part of the multipart form has no header")?;
        let end = memmem::find(rest, &delimiter).ok_or("the multipart form is not closed")?;
        let content = rest.get(start + 4..end.saturating_sub(2)).ok_or("a part of the form is torn")?;
        let head = String::from_utf8_lossy(&rest[..start]).into_owned();
        let name = quoted(&head, "name=\"").ok_or("a part of the multipart form has no `name`")?;
        if head.contains("filename=") {
            fields.insert("file_bytes".into(), content.len().into());
        } else {
            fields.insert(name.to_owned(), String::from_utf8_lossy(content).into_owned().into());
        }
        rest = &rest[end + delimiter.len()..];
    }
    Ok(Value::Object(fields))
}

/// The value after `key`, which ends with the opening quote. `filename="` ends in `name="` too, so what stands before counts.
fn quoted<'a>(head: &'a str, key: &str) -> Option<&'a str> {
    let start = head.match_indices(key).find(|(at, _)| !head[..*at].ends_with("file"))?.0 + key.len();
    head[start..].split('"').next()
}
