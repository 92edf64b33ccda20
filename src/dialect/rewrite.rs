//! The two changes that a request body may need before it goes upstream: another model name, and the wish for usage in
//! a stream. Every other byte stays as the caller sent it.
//! It decides nothing: the spans come from `scan`, the model from the caller.

use std::ops::Range;

use super::ask::Ask;
use super::{Body, Endpoint, Route};

#[cfg(test)]
mod tests;

/// Whether the answer is a stream that reports its usage only when asked, and the caller did not ask. Then the body
/// needs `want_usage`, and the extra event must be taken out of the answer again ([`super::AnswerReader::drop_usage_chunk`]).
pub fn needs_usage(route: &Route, ask: &Ask) -> bool {
    matches!(route.endpoint, Endpoint::ChatCompletions | Endpoint::Completions)
        && ask.stream
        && ask.include_usage != Some(true)
}

/// The body to send upstream, or `None` when the caller's own will do. `model` is the resolved name; `want_usage` has
/// an effect only where [`needs_usage`] is true. `ask` must come from scanning this very body.
pub fn rewrite(
    route: &Route,
    ask: &Ask,
    body: &[u8],
    model: Option<&str>,
    want_usage: bool,
) -> Option<Vec<u8>> {
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    if let Some(model) = model.filter(|model| *model != ask.model) {
        let json = route.endpoint.body() == Body::Json;
        for span in &ask.spans.models {
            let prefix = if body[span.clone()].starts_with(b"\"models/") { "models/" } else { "" };
            let name = format!("{prefix}{model}");
            edits.push((span.clone(), if json { serde_json::Value::from(name).to_string() } else { name }));
        }
    }
    if want_usage && needs_usage(route, ask) {
        let (span, text) = &ask.spans.usage;
        edits.push((span.clone(), (*text).to_owned()));
    }
    if edits.is_empty() {
        return None;
    }
    edits.sort_by_key(|(span, _)| span.start);
    let added: usize = edits.iter().map(|(_, text)| text.len()).sum();
    let mut out = Vec::with_capacity(body.len() + added);
    let mut from = 0;
    for (span, text) in edits {
        out.extend_from_slice(&body[from..span.start]);
        out.extend_from_slice(text.as_bytes());
        from = span.end;
    }
    out.extend_from_slice(&body[from..]);
    Some(out)
}
