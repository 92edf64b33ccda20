//! The upstream of `scripts/bench`: answers chat completions as fast as one thread can, so that what is measured is the
//! proxy before it. It counts what it answered, for the check of the ledger. It must not know tollgate.
//!
//! `bench-upstream PORT`. By the model's name in the body: `claude-bench-stream` gets [`CHUNKS`] events, each in its own
//! write; `claude-bench-hold` one event, and the rest when `GET /release` was called; any other a JSON answer of 1 KB.
//! `GET /stats` tells how many answers were begun.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Events of one streamed answer, the usage and the end mark not counted.
const CHUNKS: usize = 64;

/// Size of the JSON answer.
const ANSWER_BYTES: usize = 1024;

/// Largest request that is read: the bench sends a few hundred bytes.
const REQUEST_MAX_BYTES: usize = 64 * 1024;

/// Chat completions whose answer was begun.
static ANSWERED: AtomicU64 = AtomicU64::new(0);

const STREAM_HEADER: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const USAGE: &str = r#""usage":{"prompt_tokens":12,"completion_tokens":64,"total_tokens":76}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse::<u16>().ok());
    let port = port.ok_or_else(|| io::Error::other("usage: bench-upstream PORT"))?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let (release, released) = watch::channel(0_u64);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (release, released) = (release.clone(), released.clone());
        tokio::spawn(async move {
            // a proxy that closes its connection is no fault of the upstream
            let _left = serve(stream, release, released).await;
        });
    }
}

/// One connection, request after request, until the peer leaves.
async fn serve(
    mut stream: TcpStream,
    release: watch::Sender<u64>,
    released: watch::Receiver<u64>,
) -> io::Result<()> {
    let json = json_answer();
    let mut read = Vec::with_capacity(4096);
    while let Some(bytes) = request(&mut stream, &mut read).await? {
        let asked = &read[..bytes];
        if asked.starts_with(b"GET /stats") {
            let count = ANSWERED.load(Ordering::Relaxed).to_string();
            stream.write_all(&answer("text/plain", &count)).await?;
        } else if asked.starts_with(b"GET /release") {
            release.send_modify(|turn| *turn += 1);
            stream.write_all(&answer("text/plain", "released")).await?;
        } else {
            ANSWERED.fetch_add(1, Ordering::Relaxed);
            if contains(asked, b"claude-bench-hold") {
                held_stream(&mut stream, released.clone()).await?;
            } else if contains(asked, b"claude-bench-stream") {
                whole_stream(&mut stream).await?;
            } else {
                stream.write_all(&json).await?;
            }
        }
        read.drain(..bytes);
    }
    Ok(())
}

/// Reads until a whole request stands at the start of `read`; returns its size, or `None` when the peer has left.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Option<usize>> {
    loop {
        if let Some(bytes) = whole(read)
            && read.len() >= bytes
        {
            return Ok(Some(bytes));
        }
        if read.len() > REQUEST_MAX_BYTES {
            return Err(io::Error::other("a request is larger than the bench sends"));
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

/// Size of the request that begins in `read`, once its header is complete.
fn whole(read: &[u8]) -> Option<usize> {
    let header_bytes = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let header = std::str::from_utf8(&read[..header_bytes]).ok()?;
    let length = header.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Some(header_bytes + length.unwrap_or(0))
}

async fn whole_stream(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(STREAM_HEADER.as_bytes()).await?;
    let event = chunk(&delta("token "));
    for _ in 0..CHUNKS {
        stream.write_all(event.as_bytes()).await?;
        // lets the proxy see the event by itself, as a model's tokens come
        tokio::task::yield_now().await;
    }
    stream.write_all(end().as_bytes()).await
}

async fn held_stream(stream: &mut TcpStream, mut released: watch::Receiver<u64>) -> io::Result<()> {
    released.mark_unchanged();
    stream.write_all((STREAM_HEADER.to_owned() + &chunk(&delta("token "))).as_bytes()).await?;
    if released.changed().await.is_err() {
        return Err(io::Error::other("the upstream ends"));
    }
    stream.write_all(end().as_bytes()).await
}

fn delta(text: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\
         \"model\":\"claude-bench\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\
         \"finish_reason\":null}}]}}\n\n"
    )
}

/// The usage, the end mark and the last chunk of the transfer coding.
fn end() -> String {
    let usage = format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\
         \"model\":\"claude-bench\",\"choices\":[],{USAGE}}}\n\n"
    );
    chunk(&usage) + &chunk("data: [DONE]\n\n") + "0\r\n\r\n"
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn json_answer() -> Vec<u8> {
    let body = |words: &str| {
        format!(
            "{{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1750000000,\
             \"model\":\"claude-bench\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\
             \"content\":\"{words}\"}},\"finish_reason\":\"stop\"}}],{USAGE}}}"
        )
    };
    let words: String =
        "lorem ipsum ".chars().cycle().take(ANSWER_BYTES.saturating_sub(body("").len())).collect();
    answer("application/json", &body(&words))
}

fn answer(content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
