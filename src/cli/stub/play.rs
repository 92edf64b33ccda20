//! How an answer is played: its pieces, and their way onto the wire with pauses, cuts and a watch on the client. Owns text,
//! usage numbers and timing; it must not know any dialect's shapes (the dialects hand over frames ready to send).

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::books::{AnswerEnd, OpenAnswer};
use super::controls::Controls;
use super::prompt::Prompt;
use crate::dialect::Dialect;

/// How much of the prompt's last text the answer repeats, in characters.
const ECHO_CHARS: usize = 80;

/// Characters of tool arguments in one piece of a stream.
const ARGUMENT_CHARS: usize = 8;

/// Pause before a connection is broken, so that what was written before has left the process.
const CUT_PAUSE: Duration = Duration::from_millis(20);

/// An answer, or why the request is wrong.
pub(super) type Answered = Result<Reply, String>;

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
    pub pieces: Words,
    pub with_usage: bool,
}

impl Turn {
    /// `stream: true` in the body (in a multipart form it is text).
    pub fn stream(&self) -> bool {
        self.body.get("stream").is_some_and(|stream| stream == true || stream == "true")
    }

    /// Input and output tokens, and their sum.
    pub fn tokens(&self) -> [u64; 3] {
        let (input, output) = (self.prompt.tokens(), self.pieces.len() as u64);
        [input, output, input + output]
    }

    /// `value` with `usage` under `key`, unless the test asked for none.
    pub fn with_usage(&self, mut value: Value, key: &str, usage: Value) -> Value {
        if self.with_usage {
            value[key] = usage;
        }
        value
    }

    /// The arguments of a tool call as JSON. The stub wrote them itself; were they not JSON, the caller would see the text.
    pub fn arguments(&self) -> Value {
        let whole = self.pieces.whole();
        serde_json::from_str(&whole).unwrap_or(Value::String(whole))
    }

    /// A stream of events: what comes first, one frame a piece, what comes last.
    pub fn play(
        &self,
        content_type: &'static str,
        open: String,
        piece: impl Fn(usize, String) -> String + Send + Sync + 'static,
        close: String,
    ) -> Reply {
        let (piece, pieces) = (Box::new(piece), self.pieces.clone());
        Reply::Frames(Frames { content_type, open: open.into(), piece, close, pieces })
    }
}

/// The answer's words, or a tool call's arguments in parts.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    parts: Vec<String>,
    count: usize,
    /// Set: the pieces are the arguments of a call of this tool.
    pub tool: Option<String>,
}

impl Words {
    pub fn for_turn(model: &str, prompt: &Prompt, controls: &Controls, body_bytes: usize) -> Self {
        if let Some(tool) = prompt.tool.as_ref().filter(|_| controls.tool && !prompt.has_tool_result) {
            let chars: Vec<char> = tool.arguments.chars().collect();
            let parts: Vec<String> = chars.chunks(ARGUMENT_CHARS).map(|part| part.iter().collect()).collect();
            return Self { count: parts.len(), parts, tool: Some(tool.name.clone()) };
        }
        let mut text = format!("I am the stub playing `{model}`. ");
        if let Some(sha256) = &controls.body_sha256 {
            text += &format!("The body is {body_bytes} bytes, sha256 {sha256}. ");
        }
        if prompt.images > 0 {
            text += &format!("Images: {}. ", prompt.images);
        }
        text += "You said: ";
        text.extend(prompt.last_text.chars().take(ECHO_CHARS));
        let parts: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        Self { count: controls.pieces.unwrap_or(parts.len()), parts, tool: None }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// Piece `index`; past the text's own words, numbered ones.
    pub fn get(&self, index: usize) -> String {
        self.parts.get(index).cloned().unwrap_or_else(|| format!(" word{index}"))
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
    /// A body sent whole.
    Whole { content_type: &'static str, bytes: Vec<u8> },
    /// A stream.
    Frames(Frames),
}

/// A stream: what comes first, one frame a piece, what comes last.
pub(super) struct Frames {
    pub content_type: &'static str,
    pub open: Bytes,
    pub piece: Box<dyn Fn(usize, String) -> String + Send + Sync>,
    pub close: String,
    pub pieces: Words,
}

impl Reply {
    pub fn json(value: &Value) -> Self {
        Self::Whole { content_type: "application/json", bytes: value.to_string().into_bytes() }
    }

    /// The HTTP answer. `open` ends with its body: completed, cut, or dropped by a client that left.
    pub fn into_response(self, dialect: Dialect, controls: &Controls, mut books: OpenAnswer) -> Response {
        let number = books.number();
        let (content_type, length, body) = match self {
            Self::Whole { content_type, bytes } if controls.cut_after.is_none() => {
                books.ended(AnswerEnd::Completed);
                (content_type, Some(bytes.len()), Body::from(bytes))
            }
            // the first half, and then the break
            Self::Whole { content_type, mut bytes } => {
                let length = bytes.len();
                bytes.truncate(length / 2);
                let (piece, pieces) = (Box::new(|_, _| String::new()), Words::default());
                let half = Frames { content_type, open: bytes.into(), piece, close: String::new(), pieces };
                (content_type, Some(length), half.body(books, controls.piece_delay, 0))
            }
            Self::Frames(frames) => {
                let cut_after = controls.cut_after.unwrap_or(usize::MAX);
                (frames.content_type, None, frames.body(books, controls.piece_delay, cut_after))
            }
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        match length {
            Some(length) => headers.insert(CONTENT_LENGTH, HeaderValue::from(length)),
            None => headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        };
        if let Some(Ok(sha256)) = controls.body_sha256.as_deref().map(HeaderValue::from_str) {
            headers.insert("x-stub-body-sha256", sha256);
        }
        for (name, value) in provider_headers(dialect) {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        headers.insert("x-stub-number", HeaderValue::from(number));
        response
    }
}

/// What a provider says of its own limits: of the shared key, so no caller of a gateway may see it.
fn provider_headers(dialect: Dialect) -> &'static [(&'static str, &'static str)] {
    match dialect {
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
    }
}

impl Frames {
    fn body(self, books: OpenAnswer, piece_delay: Duration, cut_after: usize) -> Body {
        let step = usize::from(self.open.is_empty());
        let playing = Playing { step, frames: self, books, piece_delay, cut_after };
        Body::from_stream(stream::unfold(Some(playing), async |playing| playing?.frame().await))
    }
}

struct Playing {
    /// What is sent next: the opening (0), piece `step - 1`, or after the last of them the close.
    step: usize,
    frames: Frames,
    books: OpenAnswer,
    piece_delay: Duration,
    cut_after: usize,
}

impl Playing {
    /// The next frame, and the rest if there is one.
    async fn frame(mut self) -> Option<(io::Result<Bytes>, Option<Self>)> {
        let frame = match self.step.checked_sub(1) {
            None => std::mem::take(&mut self.frames.open),
            Some(piece) if piece >= self.cut_after => {
                tokio::time::sleep(CUT_PAUSE).await;
                self.books.ended(AnswerEnd::Cut);
                let text = "the test asked for a broken connection";
                return Some((Err(io::Error::new(io::ErrorKind::ConnectionAborted, text)), None));
            }
            Some(piece) if piece < self.frames.pieces.len() => {
                if piece > 0 {
                    tokio::time::sleep(self.piece_delay).await;
                }
                self.books.pieces(1);
                (self.frames.piece)(piece, self.frames.pieces.get(piece)).into()
            }
            Some(_) => {
                // from here a client may close at once: it has seen the end
                self.books.ended(AnswerEnd::Completed);
                return Some((Ok(self.frames.close.into()), None));
            }
        };
        self.step += 1;
        Some((Ok(frame), Some(self)))
    }
}

/// The lower-case hex SHA-256 of `bytes`.
pub(super) fn hex_sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}
