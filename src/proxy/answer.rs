//! The upstream's answer on its way to the client: headers cleaned and completed, bytes metered, the end recorded
//! before the last byte passes.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, TRANSFER_ENCODING};
use pingora::Result;
use pingora::http::ResponseHeader;

use super::context::{Answer, Context, Forward};
use super::drain::Bounds;
use super::price::Cost;
use super::{QuotaProxy, cors};
use crate::clock::Timestamp;
use crate::dialect::{
    AnswerReader, Kind, MODEL_FALLBACK, Problem, REQUEST_ID, RateItem, RateUnit, SERVER_TIMING, Usage,
    is_upstream_private, rate_headers, render,
};
use crate::gate::{Ending, Permit};
use crate::quota::{LimitHold, Meter, Window};
use crate::store::Outcome;
use crate::store::entry::Tokens;
use crate::upstream::OnDisconnect;

/// How much of an upstream's error body is kept to be cleaned; the rest is cut off.
const ERROR_BODY_MAX: usize = 256 * 1024;

/// Bytes of text that make a token, for estimates: four in English, and rounding up errs on the side of the bill.
const BYTES_PER_TOKEN: u64 = 4;

/// The header of the answer, before the client gets it.
pub fn header(response: &mut ResponseHeader, ctx: &mut Context) -> Result<()> {
    let (dialect, request_id, started) = (ctx.dialect, ctx.request_id.clone(), ctx.started);
    let origin = ctx.origin.clone();
    let Some(forward) = ctx.forward() else { return Ok(()) };
    let status = response.status.as_u16();
    if (100..200).contains(&status) {
        return Ok(());
    }
    // accepted: no other upstream is asked from here on
    forward.handover.set_body(None);
    forward.raw = Bytes::new();
    let upstream_wait = forward.sent.map(|sent| sent.elapsed()).unwrap_or_default();
    forward.upstream_wait = Some(upstream_wait);
    forward.is_2xx = (200..300).contains(&status);
    if let Some(permit) = &mut forward.permit {
        forward.handover.begins(permit.answered(status));
    }
    clean(response);
    begin(response, forward, status, &request_id)?;
    response.insert_header(REQUEST_ID, &request_id)?;
    if let Some(origin) = &origin {
        cors::allow(response, origin)?;
    }
    if forward.attempts.model != forward.model {
        response.insert_header(MODEL_FALLBACK, &forward.attempts.model)?;
    }
    if let Some(permit) = &forward.permit {
        for (name, value) in rate_headers(dialect, &rate_items(permit)) {
            response.insert_header(name, value)?;
        }
    }
    let own = started.elapsed().saturating_sub(upstream_wait);
    let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
    response.insert_header(
        SERVER_TIMING,
        format!("tollgate;dur={:.3}, upstream;dur={:.3}", ms(own), ms(upstream_wait)),
    )?;
    Ok(())
}

fn clean(response: &mut ResponseHeader) {
    let is_private = |name: &&HeaderName| is_upstream_private(name.as_str());
    let private: Vec<HeaderName> = response.headers.keys().filter(is_private).cloned().collect();
    for name in private {
        response.remove_header(&name);
    }
}

/// Chooses how the body is treated.
fn begin(response: &mut ResponseHeader, forward: &mut Forward, status: u16, request_id: &str) -> Result<()> {
    let text = |name| response.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    if (200..300).contains(&status) {
        let content_type = text(CONTENT_TYPE).map(str::to_owned);
        let is_plain = text(CONTENT_ENCODING).is_none_or(|coding| coding.eq_ignore_ascii_case("identity"));
        let is_events =
            content_type.as_deref().is_some_and(|media| media.trim_start().starts_with("text/event-stream"));
        let (route, stream) = (&forward.route, forward.ask.stream || forward.route.stream_by_path);
        // an encoded body cannot be read: opaque to the meter, so its usage is estimated
        let seen = if is_plain { content_type.as_deref() } else { Some("application/octet-stream") };
        let mut reader = Box::new(AnswerReader::new(route.dialect, route.endpoint, seen, stream));
        if forward.usage_added && is_events && is_plain {
            reader.drop_usage_chunk();
        }
        let is_json =
            content_type.as_deref().is_some_and(|media| media.trim_start().starts_with("application/json"));
        let renames = is_plain && (is_json || is_events) && forward.came_by_alias();
        if renames {
            reader.rename(&forward.ask.model);
        }
        if is_events || renames {
            // with a length, Pingora would flush only at the end; and a renamed answer has another
            chunked(response)?;
        }
        forward.answer = Answer::Passing(reader);
        return Ok(());
    }
    let instead = matches!(status, 401 | 403).then(|| {
        let text = "The upstream refused the gateway's own credential. Tell the operator of this gateway.";
        let problem = Problem { status, ..Problem::new(Kind::Upstream, text) };
        Bytes::from(render(forward.route.dialect, &problem, request_id).body)
    });
    if instead.is_some() {
        response.insert_header(CONTENT_TYPE, "application/json")?;
        response.remove_header(&CONTENT_ENCODING);
    }
    chunked(response)?;
    forward.answer = Answer::Error { kept: Vec::new(), instead };
    Ok(())
}

fn chunked(response: &mut ResponseHeader) -> Result<()> {
    response.remove_header(&CONTENT_LENGTH);
    response.insert_header(TRANSFER_ENCODING, "chunked")
}

fn rate_items(permit: &Permit) -> Vec<RateItem> {
    permit.limits().iter().map(|it| rate_item(it, permit.admitted_at_ms())).collect()
}

fn rate_item(it: &LimitHold, now_ms: i64) -> RateItem {
    let unit = match (it.limit.meter, it.limit.window) {
        (Meter::InFlight, _) | (_, Window::Open) => RateUnit::Concurrent,
        (Meter::Messages | Meter::Background, _) => RateUnit::Requests,
    };
    RateItem {
        name: it.limit.name.to_string(),
        unit,
        max: it.standing.max,
        remaining: it.standing.remaining(),
        window_s: it.window_s(),
        reset_s: it.reset_s(now_ms),
        reset_at: it.resets_at().map(Timestamp::to_seconds).unwrap_or_default(),
    }
}

impl QuotaProxy {
    /// One piece of the body. At the end the outcome is recorded, before the piece is passed on.
    pub(super) fn piece(&self, body: &mut Option<Bytes>, end: bool, ctx: &mut Context) {
        let Some(forward) = ctx.forward() else { return };
        match &mut forward.answer {
            Answer::Passing(reader) => {
                *body = body.take().map(|chunk| reader.feed(chunk)).filter(|chunk| !chunk.is_empty());
                if end {
                    append(body, reader.rest());
                    let left = forward.handover.draining.is_on();
                    self.ended(forward, if left { Outcome::Cancelled } else { Outcome::Ok });
                }
            }
            Answer::Error { kept, instead } => {
                if let Some(chunk) = body.take() {
                    let room = ERROR_BODY_MAX.saturating_sub(kept.len());
                    kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
                }
                if end {
                    let key = forward.attempts.chosen.upstream.api_key.as_deref();
                    let clean = instead.take().unwrap_or_else(|| without_key(std::mem::take(kept), key));
                    *body = Some(clean);
                    self.ended(forward, Outcome::UpstreamError);
                }
            }
            Answer::None | Answer::Ended => {}
        }
    }

    /// Ends the permit with what the meter has seen. Harmless when it has ended already.
    pub(super) fn ended(&self, forward: &mut Forward, outcome: Outcome) {
        forward.handover.draining.over();
        // the end that follows says it too
        forward.handover.begins(None);
        let answer = std::mem::replace(&mut forward.answer, Answer::Ended);
        let Some(permit) = forward.permit.take() else { return };
        let (tokens, cost) = match answer {
            Answer::Passing(reader) => {
                let tokens = tokens(&reader.finish(), forward.ask.input_bytes);
                (tokens, self.cost(&forward.config, &forward.attempts.model, tokens))
            }
            Answer::None | Answer::Error { .. } | Answer::Ended => (Tokens::default(), Cost::default()),
        };
        self.metrics.consumed(tokens.input, tokens.output, tokens.cached, cost.micro_usd);
        permit.finish(Ending { outcome, tokens, cost_micro_usd: cost.micro_usd, price: cost.price });
    }

    /// Lets an answer that is charged be read to its end without its client, where its upstream is set so.
    pub(super) fn allow_drain(&self, ctx: &mut Context) {
        let Some(forward) = ctx.forward() else { return };
        let OnDisconnect::Drain(drain) = forward.attempts.chosen.upstream.on_disconnect else { return };
        if forward.permit.is_some() && matches!(forward.answer, Answer::Passing(_)) {
            forward.handover.draining.allow(Bounds { drain, stopping: self.stopping.clone() });
        }
    }
}

impl Forward {
    /// Whether the answer has to bear the asked name. Where another model stood in, the answer keeps its name.
    fn came_by_alias(&self) -> bool {
        self.model != self.ask.model && self.attempts.model == self.model
    }
}

/// The upstream's figures; what it did not report is estimated from the bytes that passed, and marked.
fn tokens(usage: &Usage, input_bytes: usize) -> Tokens {
    let by_bytes = |bytes: u64| bytes.div_ceil(BYTES_PER_TOKEN);
    let whole = usage.complete && usage.input_tokens.is_some() && usage.output_tokens.is_some();
    let seen = by_bytes(usage.output_bytes_seen);
    // a torn stream may have reported a running figure: the larger of it and what was seen
    let output = if usage.complete {
        usage.output_tokens.unwrap_or(seen)
    } else {
        usage.output_tokens.unwrap_or(0).max(seen)
    };
    Tokens {
        input: usage.input_tokens.unwrap_or_else(|| by_bytes(input_bytes as u64)),
        output,
        cached: usage.cached_tokens.unwrap_or(0),
        reasoning: usage.reasoning_tokens.unwrap_or(0),
        estimated: !whole || usage.suspect,
    }
}

fn append(body: &mut Option<Bytes>, tail: Bytes) {
    if tail.is_empty() {
        return;
    }
    *body = Some(match body.take() {
        Some(body) => [body, tail].concat().into(),
        None => tail,
    });
}

/// An error text in which every occurrence of the key is blotted out.
fn without_key(text: Vec<u8>, key: Option<&str>) -> Bytes {
    let Some(key) = key.filter(|key| !key.is_empty()) else { return text.into() };
    let mut clean = text;
    let mut from = 0;
    while let Some(at) = clean[from..].windows(key.len()).position(|window| window == key.as_bytes()) {
        clean[from + at..from + at + key.len()].fill(b'*');
        from += at + key.len();
    }
    clean.into()
}

#[cfg(test)]
mod tests {
    use super::without_key;

    #[test]
    fn a_key_is_blotted_out_wherever_it_stands() {
        let clean = |text: &str, key: Option<&str>| {
            String::from_utf8(without_key(text.into(), key).to_vec()).unwrap()
        };
        assert_eq!(clean("bad key sk-1: sk-1!", Some("sk-1")), "bad key ****: ****!");
        assert_eq!(clean("nothing", Some("sk-1")), "nothing");
        assert_eq!(clean("sk-", Some("sk-1")), "sk-");
        assert_eq!(clean("kept", None), "kept");
        assert_eq!(clean("kept", Some("")), "kept");
    }
}
