//! How an answer is played: its pieces, and their way onto the wire with pauses, cuts and a watch on the client. Owns text,
//! usage numbers and timing; it must not know any dialect's shapes (the dialects hand over frames ready to send).

use std::fmt;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::controls::Controls;
use super::prompt::Prompt;
use super::refuse::Dialect;
use super::tally::Guard;

/// How much of the prompt's last text the answer repeats, in characters.
const ECHO_CHARS: usize = 80;

/// Characters of tool arguments in one piece of a stream.
const ARGUMENT_CHARS: usize = 8;

/// Pause before a connection is broken, so that what was written before has left the process.
const CUT_PAUSE: Duration = Duration::from_millis(20);

/// Everything a dialect needs to write one answer.
#[derive(Debug)]
pub(super) struct Turn {
    /// Makes the ids in answers distinct.
    pub number: u64,
    /// Seconds since 1970.
    pub created_s: i64,
    /// The URL asks for SSE (`alt=sse`, Gemini).
    pub sse: bool,
    pub model: String,
    pub body: Value,
    pub prompt: Prompt,
    pub pieces: Pieces,
    pub with_usage: bool,
}

impl Turn {
    /// `stream: true` in the body (in a multipart form it is text).
    pub fn stream(&self) -> bool {
        self.body.get("stream").is_some_and(|stream| stream == true || stream == "true")
    }

    /// `usage`, or `null` where the test asked for none.
    pub fn usage_or_null(&self, usage: Value) -> Value {
        if self.with_usage { usage } else { Value::Null }
    }

    /// Adds `usage` under `key`, unless the test asked for none.
    pub fn add_usage(&self, to: &mut Value, key: &str, usage: Value) {
        if self.with_usage {
            to[key] = usage;
        }
    }
}

/// The answer's words, or a tool call's arguments in parts.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    parts: Vec<String>,
    count: usize,
    /// Set: the pieces are the arguments of a call of this tool.
    pub tool: Option<String>,
}

impl Pieces {
    pub fn for_turn(model: &str, prompt: &Prompt, controls: &Controls, body_bytes: usize) -> Self {
        if let Some(tool) = prompt.tool.as_ref().filter(|_| controls.tool && !prompt.has_tool_result) {
            let chars: Vec<char> = tool.arguments.chars().collect();
            let parts: Vec<String> = chars.chunks(ARGUMENT_CHARS).map(|part| part.iter().collect()).collect();
            return Self { count: parts.len(), parts, tool: Some(tool.name.clone()) };
        }
        let mut sentences = vec![format!("I am the stub playing `{model}`.")];
        if let Some(sha256) = &controls.body_sha256 {
            sentences.push(format!("The body is {body_bytes} bytes, sha256 {sha256}."));
        }
        if prompt.images > 0 {
            sentences.push(format!("Images: {}.", prompt.images));
        }
        let said: String = prompt.last_text.chars().take(ECHO_CHARS).collect();
        sentences.push(format!("You said: {said}"));
        let text = sentences.join(" ");
        let parts: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        Self { count: controls.pieces.unwrap_or(parts.len()), parts, tool: None }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// Piece `index`; past the text's own words, numbered ones.
    pub fn get(&self, index: usize) -> String {
        match self.parts.get(index) {
            Some(part) => part.clone(),
            None => format!(" word{index}"),
        }
    }

    /// Makes one piece of them all.
    pub fn join(&mut self) {
        (self.parts, self.count) = (vec![self.whole()], 1);
    }

    /// All pieces together.
    pub fn whole(&self) -> String {
        (0..self.count).map(|index| self.get(index)).collect()
    }
}

/// An answer, ready to be sent.
pub(super) enum Reply {
    Json(Value),
    /// Any other body sent whole.
    File {
        content_type: &'static str,
        bytes: Vec<u8>,
    },
    Stream(Script),
}

/// A stream as frames: what comes first, one frame a piece, what comes last.
pub(super) struct Script {
    pub content_type: &'static str,
    pub open: String,
    pub piece: Box<dyn Fn(usize, String) -> String + Send + Sync>,
    pub close: String,
    pub pieces: Pieces,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("open", &self.open)
            .field("pieces", &self.pieces)
            .finish_non_exhaustive()
    }
}

impl Reply {
    /// The HTTP answer. `guard` ends with its body: completed, cut, or dropped by a client that left.
    pub fn into_response(self, dialect: Dialect, controls: &Controls, guard: Guard) -> Response {
        let number = guard.number();
        let (content_type, length, body) = match self {
            Self::Json(value) => whole("application/json", value.to_string().into_bytes(), controls, guard),
            Self::File { content_type, bytes } => whole(content_type, bytes, controls, guard),
            Self::Stream(script) => (script.content_type, None, script.play(controls, guard)),
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        } else {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        if let Some(Ok(sha256)) = controls.body_sha256.as_deref().map(HeaderValue::from_str) {
            headers.insert("x-stub-body-sha256", sha256);
        }
        for (name, value) in provider_headers(dialect) {
            headers.insert(name, value);
        }
        headers.insert("x-stub-number", HeaderValue::from(number));
        response
    }
}

/// What a provider says of its own limits: of the shared key, so no caller of a gateway may see it.
fn provider_headers(dialect: Dialect) -> Vec<(HeaderName, HeaderValue)> {
    let headers: &[(&'static str, &'static str)] = match dialect {
        Dialect::OpenAi => &[
            ("x-request-id", "req_stub"),
            ("x-ratelimit-limit-requests", "987654"),
            ("x-ratelimit-remaining-requests", "987653"),
            ("x-ratelimit-reset-requests", "6ms"),
        ],
        Dialect::Anthropic => &[
            ("request-id", "req_stub"),
            ("anthropic-ratelimit-requests-limit", "987654"),
            ("anthropic-ratelimit-requests-remaining", "987653"),
        ],
        Dialect::Gemini => &[("server-timing", "gfet4t7; dur=1")],
    };
    headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

type Sent = (&'static str, Option<usize>, Body);

/// A body sent in one go, or its first half before a break.
fn whole(content_type: &'static str, bytes: Vec<u8>, controls: &Controls, mut guard: Guard) -> Sent {
    let length = bytes.len();
    if controls.cut_after.is_some() {
        let half = Bytes::from(bytes).slice(..length / 2);
        let frames = stream::unfold(CutHalf::Send(half, guard), async |state| match state {
            CutHalf::Send(half, guard) => Some((Ok(half), CutHalf::Break(guard))),
            CutHalf::Break(mut guard) => {
                tokio::time::sleep(CUT_PAUSE).await;
                guard.cut();
                Some((Err(asked_to_break()), CutHalf::Over))
            }
            CutHalf::Over => None,
        });
        return (content_type, Some(length), Body::from_stream(frames));
    }
    guard.completed();
    (content_type, Some(length), Body::from(bytes))
}

enum CutHalf {
    Send(Bytes, Guard),
    Break(Guard),
    Over,
}

fn asked_to_break() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the test asked for a broken connection")
}

impl Script {
    fn play(self, controls: &Controls, guard: Guard) -> Body {
        let playing = Playing {
            script: self,
            guard,
            next: Next::Open,
            piece_delay: controls.piece_delay,
            cut_after: controls.cut_after.unwrap_or(usize::MAX),
        };
        Body::from_stream(stream::unfold(playing, async |mut playing| {
            let frame = playing.next_frame().await?;
            Some((frame, playing))
        }))
    }
}

struct Playing {
    script: Script,
    guard: Guard,
    next: Next,
    piece_delay: Duration,
    cut_after: usize,
}

#[derive(Clone, Copy)]
enum Next {
    Open,
    Piece(usize),
    Over,
}

impl Playing {
    async fn next_frame(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            match self.next {
                Next::Open => {
                    self.next = Next::Piece(0);
                    if !self.script.open.is_empty() {
                        return Some(Ok(std::mem::take(&mut self.script.open).into()));
                    }
                }
                Next::Piece(index) if index >= self.cut_after => {
                    tokio::time::sleep(CUT_PAUSE).await;
                    self.next = Next::Over;
                    self.guard.cut();
                    return Some(Err(asked_to_break()));
                }
                Next::Piece(index) if index < self.script.pieces.len() => {
                    if index > 0 {
                        tokio::time::sleep(self.piece_delay).await;
                    }
                    self.next = Next::Piece(index + 1);
                    self.guard.pieces(1);
                    let piece = self.script.pieces.get(index);
                    return Some(Ok((self.script.piece)(index, piece).into()));
                }
                Next::Piece(_) => {
                    // From here a client may close at once: it has seen the end.
                    self.guard.completed();
                    self.next = Next::Over;
                    return Some(Ok(std::mem::take(&mut self.script.close).into()));
                }
                Next::Over => return None,
            }
        }
    }
}

/// The lower-case hex SHA-256 of `bytes`.
pub(super) fn hex_sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}
