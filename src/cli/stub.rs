//! The built-in stub model server: the three client APIs with JSON, SSE and usage, for `tollgate demo` and for tests.
//! Owns its routes and the way from a request to an answer. It stands where a provider would stand, so it must not know
//! the gateway: no quota, no store, no configuration.
//!
//! Tests steer an answer by `x-stub-*` request headers (see `stub/controls.rs`) and read back what arrived at `GET /stub/stats`
//! (see `stub/tally.rs`).

mod anthropic;
mod controls;
mod gemini;
mod media;
mod openai;
mod play;
mod prompt;
mod refuse;
mod responses;
mod tally;
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
use controls::Controls;
use play::{Pieces, Reply, Turn, hex_sha256};
use prompt::Prompt;
use refuse::{Dialect, Refusal};
use tally::{Guard, Tally};

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
    let stub = Stub { settings, tally: Arc::new(Tally::default()) };
    Router::new()
        .route("/stub/stats", get(read_stats).delete(reset_stats))
        .route("/v1/chat/completions", takes(Kind::Chat))
        .route("/v1/completions", takes(Kind::Completion))
        .route("/v1/responses", takes(Kind::Responses))
        .route("/v1/embeddings", takes(Kind::Embeddings))
        .route("/v1/audio/transcriptions", takes(Kind::Transcription))
        .route("/v1/audio/translations", takes(Kind::Transcription))
        .route("/v1/audio/speech", takes(Kind::Speech))
        .route("/v1/images/generations", takes(Kind::Images))
        .route("/v1/messages", takes(Kind::Messages))
        .route("/v1/messages/count_tokens", takes(Kind::CountTokens))
        .route("/v1/models", get(openai::models))
        .route("/v1/models/{*spec}", post(gemini_call))
        .route("/v1beta/models", get(gemini::models))
        .route("/v1beta/models/{*spec}", post(gemini_call))
        .fallback(unknown_path)
        .with_state(stub)
}

#[derive(Clone, Debug)]
struct Stub {
    settings: StubSettings,
    tally: Arc<Tally>,
}

/// One endpoint, whatever its path was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Chat,
    Completion,
    Responses,
    Embeddings,
    Transcription,
    Speech,
    Images,
    Messages,
    CountTokens,
    Generate,
    StreamGenerate,
    EmbedContent,
    BatchEmbedContents,
    GeminiCountTokens,
}

impl Kind {
    fn of_gemini_verb(verb: &str) -> Option<Self> {
        Some(match verb {
            "generateContent" => Self::Generate,
            "streamGenerateContent" => Self::StreamGenerate,
            "embedContent" => Self::EmbedContent,
            "batchEmbedContents" => Self::BatchEmbedContents,
            "countTokens" => Self::GeminiCountTokens,
            _ => return None,
        })
    }

    fn dialect(self) -> Dialect {
        match self {
            Self::Chat
            | Self::Completion
            | Self::Responses
            | Self::Embeddings
            | Self::Transcription
            | Self::Speech
            | Self::Images => Dialect::OpenAi,
            Self::Messages | Self::CountTokens => Dialect::Anthropic,
            Self::Generate
            | Self::StreamGenerate
            | Self::EmbedContent
            | Self::BatchEmbedContents
            | Self::GeminiCountTokens => Dialect::Gemini,
        }
    }

    /// A provider charges for it.
    fn is_billed(self) -> bool {
        !matches!(self, Self::CountTokens | Self::GeminiCountTokens)
    }

    /// Its answer has output tokens.
    fn writes(self) -> bool {
        self.is_billed()
            && !matches!(
                self,
                Self::Embeddings | Self::EmbedContent | Self::BatchEmbedContents | Self::Speech
            )
    }

    fn reply(self, turn: &Turn) -> Result<Reply, String> {
        Ok(match self {
            Self::Chat => openai::chat(turn),
            Self::Completion => openai::completion(turn),
            Self::Responses => responses::responses(turn),
            Self::Embeddings => openai::embeddings(turn)?,
            Self::Transcription => media::transcription(turn),
            Self::Speech => media::speech(turn),
            Self::Images => media::images(turn),
            Self::Messages => anthropic::messages(turn),
            Self::CountTokens => anthropic::count_tokens(turn),
            Self::Generate => gemini::generate(turn),
            Self::StreamGenerate => gemini::stream_generate(turn),
            Self::EmbedContent => gemini::embed(turn),
            Self::BatchEmbedContents => gemini::batch_embed(turn)?,
            Self::GeminiCountTokens => gemini::count_tokens(turn),
        })
    }
}

fn takes(kind: Kind) -> MethodRouter<Stub> {
    post(async move |State(stub): State<Stub>, request: Request| answer(&stub, kind, None, request).await)
}

async fn gemini_call(State(stub): State<Stub>, Path(spec): Path<String>, request: Request) -> Response {
    let split = spec.rsplit_once(':').and_then(|(model, verb)| Some((model, Kind::of_gemini_verb(verb)?)));
    match split {
        Some((model, kind)) => answer(&stub, kind, Some(model.to_owned()), request).await,
        None => Refusal::not_found(request.uri().path()).in_dialect(Dialect::Gemini),
    }
}

async fn unknown_path(request: Request) -> Response {
    let path = request.uri().path();
    Refusal::not_found(path).in_dialect(Dialect::of_path(path))
}

async fn read_stats(State(stub): State<Stub>) -> Json<Value> {
    Json(stub.tally.to_json())
}

async fn reset_stats(State(stub): State<Stub>) -> StatusCode {
    stub.tally.reset();
    StatusCode::NO_CONTENT
}

/// From a request to its answer. The guard lives as long as the answer does: dropped early, it counts a client that left.
async fn answer(stub: &Stub, kind: Kind, path_model: Option<String>, request: Request) -> Response {
    let mut guard = stub.tally.begin(request.uri().path(), request.headers());
    match prepare(stub, kind, path_model, request, &mut guard).await {
        Ok((reply, controls)) => reply.into_response(kind.dialect(), &controls, guard),
        Err(refusal) => {
            if !refusal.client_left {
                guard.failed();
            }
            refusal.in_dialect(kind.dialect())
        }
    }
}

async fn prepare(
    stub: &Stub,
    kind: Kind,
    path_model: Option<String>,
    request: Request,
    guard: &mut Guard,
) -> Result<(Reply, Controls), Refusal> {
    let (parts, body) = request.into_parts();
    let mut controls =
        Controls::read(&parts.headers, stub.settings.piece_delay).map_err(Refusal::bad_request)?;
    let bytes = to_bytes(body, MAX_BODY_BYTES).await.map_err(Refusal::unread)?;
    if controls.echo_hash {
        controls.body_sha256 = Some(hex_sha256(&bytes));
    }
    let body = read_body(&parts.headers, &bytes).map_err(Refusal::bad_request)?;
    let model = match path_model {
        Some(model) => model,
        None => body
            .get("model")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| Refusal::bad_request("the body has no `model`".into()))?,
    };
    guard.read(&model, bytes.len(), controls.body_sha256.as_deref());
    if !controls.delay.is_zero() {
        tokio::time::sleep(controls.delay).await;
    }
    if let Some(status) = controls.status {
        return Err(Refusal::asked_for(status));
    }
    let mut prompt = Prompt::read(&body);
    if kind == Kind::Transcription {
        prompt.add_file_bytes(body.get("file_bytes").and_then(Value::as_u64).unwrap_or(0));
    }
    let pieces = Pieces::for_turn(&model, &prompt, &controls, bytes.len());
    let turn = Turn {
        number: guard.number(),
        created_s: stub.settings.clock.now_ms() / 1_000,
        sse: parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse")),
        model,
        body,
        prompt,
        pieces,
        with_usage: !controls.no_usage,
    };
    let reply = kind.reply(&turn).map_err(Refusal::bad_request)?;
    if kind.is_billed() {
        guard.promised(turn.prompt.tokens());
        if kind.writes() && !matches!(reply, Reply::Stream(_)) {
            guard.pieces(turn.pieces.len());
        }
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
