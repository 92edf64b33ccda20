//! The built-in stub model server: the three client APIs with JSON, SSE and usage, for `tollgate demo` and for tests.
//! Owns its routes and the way from a request to an answer. It stands where a provider would stand, so it must not know
//! the gateway: no quota, no store, no configuration.
//!
//! Tests steer an answer by `x-stub-*` request headers (see `stub/controls.rs`) and read back what arrived at `GET /stub/stats`
//! (see `stub/books.rs`).

mod anthropic;
mod books;
mod controls;
mod gemini;
mod media;
mod openai;
mod play;
mod prompt;
mod refuse;
mod responses;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use axum::serve::ListenerExt;
use axum::{Json, http::StatusCode};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::clock::Clock;
use crate::dialect::Dialect;
use books::{AnswerEnd, Books, OpenAnswer};
use controls::Controls;
use play::{Answered, Reply, Turn, Words, hex_sha256};
use prompt::Prompt;
use refuse::StubError;

/// The largest request body taken, in bytes: twice the gateway's default `max_body`, so that the gateway's own limit is
/// what a test meets first.
pub const MAX_BODY_BYTES: usize = 128 << 20;

/// What may be set about the stub.
#[derive(Clone, Debug)]
pub struct StubSettings {
    /// Pause between two pieces of a stream. `x-stub-piece-delay-ms` overrides it for one request.
    pub piece_delay: Duration,
    /// Where the `created` times in answers come from.
    pub clock: Clock,
}

impl Default for StubSettings {
    fn default() -> Self {
        Self { piece_delay: Duration::from_millis(30), clock: Clock::system() }
    }
}

/// Serves the stub on `listener` until `stop` resolves; open answers are finished first.
///
/// # Errors
/// When the listener cannot be read any more.
pub async fn serve(
    listener: tokio::net::TcpListener,
    settings: StubSettings,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = listener.tap_io(|socket| {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "the stub's socket stays without `TCP_NODELAY`: pieces may arrive late");
        }
    });
    axum::serve(listener, router(settings)).with_graceful_shutdown(stop).await
}

/// The stub as an axum router with its own, empty statistics.
pub fn router(settings: StubSettings) -> Router {
    use Bill::{Input, InputAndOutput, Nothing};
    use Dialect::{Anthropic, OpenAi};
    Router::new()
        .route("/stub/stats", get(read_stats).delete(reset_stats))
        .route("/v1/chat/completions", takes(OpenAi, InputAndOutput, |turn| Ok(openai::chat(turn))))
        .route("/v1/completions", takes(OpenAi, InputAndOutput, |turn| Ok(openai::completion(turn))))
        .route("/v1/responses", takes(OpenAi, InputAndOutput, |turn| Ok(responses::responses(turn))))
        .route("/v1/embeddings", takes(OpenAi, Input, openai::embeddings))
        .route(
            "/v1/audio/transcriptions",
            takes(OpenAi, InputAndOutput, |turn| Ok(media::transcription(turn))),
        )
        .route("/v1/audio/translations", takes(OpenAi, InputAndOutput, |turn| Ok(media::transcription(turn))))
        .route("/v1/audio/speech", takes(OpenAi, Input, |turn| Ok(media::speech(turn))))
        .route("/v1/images/generations", takes(OpenAi, InputAndOutput, |turn| Ok(media::images(turn))))
        .route("/v1/messages", takes(Anthropic, InputAndOutput, |turn| Ok(anthropic::messages(turn))))
        .route(
            "/v1/messages/count_tokens",
            takes(Anthropic, Nothing, |turn| Ok(anthropic::count_tokens(turn))),
        )
        .route("/v1/models", get(openai::models))
        .route("/v1/models/{*spec}", post(gemini_call))
        .route("/v1beta/models", get(gemini::models))
        .route("/v1beta/models/{*spec}", post(gemini_call))
        .fallback(unknown_path)
        .with_state(Stub { settings, books: Arc::new(Books::default()) })
}

#[derive(Clone, Debug)]
struct Stub {
    settings: StubSettings,
    books: Arc<Books>,
}

/// One call of an API, whatever its path was.
#[derive(Clone, Copy)]
struct Call {
    dialect: Dialect,
    bill: Bill,
    reply: fn(&Turn) -> Answered,
}

/// Which tokens of an answer a provider charges for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bill {
    Nothing,
    Input,
    InputAndOutput,
}

fn takes(dialect: Dialect, bill: Bill, reply: fn(&Turn) -> Answered) -> MethodRouter<Stub> {
    let call = Call { dialect, bill, reply };
    post(async move |State(stub): State<Stub>, request: Request| answer(&stub, call, None, request).await)
}

async fn gemini_call(State(stub): State<Stub>, Path(spec): Path<String>, request: Request) -> Response {
    let (model, verb) = spec.rsplit_once(':').unwrap_or_default();
    let (bill, reply): (_, fn(&Turn) -> Answered) = match verb {
        "generateContent" => (Bill::InputAndOutput, |turn| Ok(gemini::generate(turn))),
        "streamGenerateContent" => (Bill::InputAndOutput, |turn| Ok(gemini::stream_generate(turn))),
        "embedContent" => (Bill::Input, |turn| Ok(gemini::embed(turn))),
        "batchEmbedContents" => (Bill::Input, gemini::batch_embed),
        "countTokens" => (Bill::Nothing, |turn| Ok(gemini::count_tokens(turn))),
        _ => return not_found(request.uri().path(), Dialect::Gemini),
    };
    answer(&stub, Call { dialect: Dialect::Gemini, bill, reply }, Some(model.to_owned()), request).await
}

/// The dialect is the best guess for a path that is not served.
async fn unknown_path(request: Request) -> Response {
    let path = request.uri().path();
    let dialect = match path {
        _ if path.starts_with("/v1beta") => Dialect::Gemini,
        _ if path.starts_with("/v1/messages") => Dialect::Anthropic,
        _ => Dialect::OpenAi,
    };
    not_found(path, dialect)
}

fn not_found(path: &str, dialect: Dialect) -> Response {
    let message = format!("the stub does not serve `{path}`");
    StubError::new(StatusCode::NOT_FOUND, message).in_dialect(dialect)
}

async fn read_stats(State(stub): State<Stub>) -> Json<Value> {
    Json(stub.books.to_json())
}

async fn reset_stats(State(stub): State<Stub>) -> StatusCode {
    stub.books.reset();
    StatusCode::NO_CONTENT
}

/// From a request to its answer. Its entry in the books stays open as long as the answer does: dropped early, it counts a
/// client that left.
async fn answer(stub: &Stub, call: Call, path_model: Option<String>, request: Request) -> Response {
    let mut open = stub.books.begin(request.uri().path(), request.headers());
    match prepare(stub, call, path_model, request, &mut open).await {
        Ok((reply, controls)) => reply.into_response(call.dialect, &controls, open),
        Err(error) => {
            if !error.client_left {
                open.ended(AnswerEnd::Failed);
            }
            error.in_dialect(call.dialect)
        }
    }
}

async fn prepare(
    stub: &Stub,
    call: Call,
    path_model: Option<String>,
    request: Request,
    open: &mut OpenAnswer,
) -> Result<(Reply, Controls), StubError> {
    let (parts, body) = request.into_parts();
    let mut controls =
        Controls::read(&parts.headers, stub.settings.piece_delay).map_err(StubError::bad_request)?;
    let bytes = to_bytes(body, MAX_BODY_BYTES).await.map_err(StubError::unread)?;
    controls.body_sha256 = controls.echo_hash.then(|| hex_sha256(&bytes));
    let body = read_body(&parts.headers, &bytes).map_err(StubError::bad_request)?;
    let model = path_model
        .or_else(|| body.get("model")?.as_str().map(str::to_owned))
        .ok_or_else(|| StubError::bad_request("the body has no `model`".into()))?;
    open.read(&model, bytes.len(), controls.body_sha256.as_deref());
    if !controls.delay.is_zero() {
        tokio::time::sleep(controls.delay).await;
    }
    if let Some(status) = controls.status {
        let message = format!("the stub was asked to answer {}", status.as_u16());
        return Err(StubError::new(status, message));
    }
    let prompt = Prompt::read(&body);
    let pieces = Words::for_turn(&model, &prompt, &controls, bytes.len());
    let turn = Turn {
        number: open.number(),
        created_s: stub.settings.clock.now_ms() / 1_000,
        sse: parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse")),
        model,
        body,
        prompt,
        pieces,
        with_usage: !controls.no_usage,
    };
    let reply = (call.reply)(&turn).map_err(StubError::bad_request)?;
    if call.bill != Bill::Nothing {
        open.promised(turn.prompt.tokens());
    }
    if call.bill == Bill::InputAndOutput && matches!(reply, Reply::Whole { .. }) {
        open.pieces(turn.pieces.len());
    }
    Ok((reply, controls))
}

/// The body as JSON; a multipart form becomes an object of its fields, so the rest need not care.
fn read_body(headers: &HeaderMap, bytes: &[u8]) -> Result<Value, String> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if content_type.starts_with("multipart/form-data") {
        return media::form(content_type, bytes);
    }
    let body: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("the body is not JSON: {error}"))?;
    if body.is_object() { Ok(body) } else { Err("the body is not a JSON object".into()) }
}
