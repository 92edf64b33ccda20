//! The clients of `scripts/bench`, for what wrk cannot do: requests at a fixed rate that do not wait for each other, and
//! thousands of streams held open. Every request is counted and every answer read to its end, so the ledger can be
//! compared to the unit. It must not know what it talks to: a gateway, a bare proxy or the upstream itself.
//!
//! `bench-load rate PORT TOKENS_FILE RATE SECONDS`: prints `{"sent", "ok", "p50_us", "p90_us", "p99_us"}`.
//! `bench-load hold PORT TOKENS_FILE STREAMS`: prints `open` when each stream has its first event, reads on when its
//! standard input ends, and prints `{"streams", "whole"}`.

use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until, timeout};

/// No answer of the bench takes as long: a proxy that hangs must not hang the run.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Streams that are being opened at once: fewer than any proxy's queue of new connections.
const OPENING_AT_ONCE: usize = 64;

/// What ends a whole stream: the end mark of the dialect, then the last chunk of the transfer coding.
const STREAM_END: &[u8] = b"data: [DONE]\n\n\r\n0\r\n\r\n";

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let local = LocalSet::new();
    match arguments[..] {
        ["rate", port, tokens, rate, seconds] => {
            let tokens = read_tokens(tokens)?;
            local.run_until(at_rate(number(port)?, tokens, number(rate)?, number(seconds)?)).await
        }
        ["hold", port, tokens, streams] => {
            let tokens = read_tokens(tokens)?;
            local.run_until(hold(number(port)?, tokens, number(streams)?)).await
        }
        _ => Err(io::Error::other(
            "usage: bench-load rate PORT TOKENS RATE SECONDS | bench-load hold PORT TOKENS STREAMS",
        )),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.parse().map_err(|_| io::Error::other(format!("`{text}` is no number that fits here")))
}

fn read_tokens(path: &str) -> io::Result<Rc<[String]>> {
    let tokens: Rc<[String]> = std::fs::read_to_string(path)?.lines().map(str::to_owned).collect();
    if tokens.is_empty() {
        return Err(io::Error::other(format!("`{path}` has no token")));
    }
    Ok(tokens)
}

/// A request every `1 / rate` seconds, each on an idle connection or a new one, whether or not the last has been answered.
/// Timed from the moment it is written.
async fn at_rate(port: u16, tokens: Rc<[String]>, rate: u32, seconds: u32) -> io::Result<()> {
    let idle = Rc::new(std::cell::RefCell::new(Vec::<TcpStream>::new()));
    let (count, step) = (rate * seconds, Duration::from_secs(1) / rate);
    let begin = Instant::now() + step;
    let mut running = JoinSet::new();
    for turn in 0..count {
        sleep_until(begin + step * turn).await;
        let request = request(&tokens[turn as usize % tokens.len()], "claude-bench", false);
        let idle = Rc::clone(&idle);
        running.spawn_local(async move {
            let kept = idle.borrow_mut().pop();
            let mut stream = match kept {
                Some(stream) => stream,
                None => connect(port).await?,
            };
            let started = Instant::now();
            let answer = timeout(ANSWER_TIMEOUT, exchange(&mut stream, &request)).await??;
            let elapsed = started.elapsed();
            idle.borrow_mut().push(stream);
            Ok::<_, io::Error>(answer.starts_with(b"HTTP/1.1 200").then_some(elapsed))
        });
    }
    let mut times = Vec::new();
    while let Some(ended) = running.join_next().await {
        if let Ok(Ok(Some(elapsed))) = ended {
            times.push(elapsed.as_micros());
        }
    }
    times.sort_unstable();
    let at = |per_cent: usize| times.get(times.len() * per_cent / 100).or(times.last()).copied().unwrap_or(0);
    let (ok, p50, p90, p99) = (times.len(), at(50), at(90), at(99));
    say(&format!(
        "{{\"sent\": {count}, \"ok\": {ok}, \"p50_us\": {p50}, \"p90_us\": {p90}, \"p99_us\": {p99}}}"
    ))
}

/// Opens streams, tells, waits until standard input ends, and reads them to their end.
async fn hold(port: u16, tokens: Rc<[String]>, streams: usize) -> io::Result<()> {
    let mut opening = JoinSet::new();
    let mut open = Vec::with_capacity(streams);
    for turn in 0..streams {
        if opening.len() == OPENING_AT_ONCE
            && let Some(opened) = opening.join_next().await
        {
            open.push(opened??);
        }
        let request = request(&tokens[turn % tokens.len()], "claude-bench-hold", true);
        opening.spawn_local(timeout(ANSWER_TIMEOUT, open_stream(port, request)));
    }
    while let Some(opened) = opening.join_next().await {
        open.push(opened??);
    }
    let open = open.into_iter().collect::<io::Result<Vec<_>>>()?;
    say("open")?;
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    let mut reading = JoinSet::new();
    for (mut stream, mut seen) in open {
        reading.spawn_local(timeout(ANSWER_TIMEOUT, async move {
            while !seen.ends_with(STREAM_END) && stream.read_buf(&mut seen).await? > 0 {}
            Ok::<_, io::Error>(seen.ends_with(STREAM_END))
        }));
    }
    let mut whole = 0;
    while let Some(read) = reading.join_next().await {
        whole += usize::from(matches!(read, Ok(Ok(Ok(true)))));
    }
    say(&format!("{{\"streams\": {streams}, \"whole\": {whole}}}"))
}

/// A stream whose first event has come, and what was read of it.
async fn open_stream(port: u16, request: Vec<u8>) -> io::Result<(TcpStream, Vec<u8>)> {
    let mut stream = connect(port).await?;
    stream.write_all(&request).await?;
    let mut seen = Vec::with_capacity(2048);
    while !contains(&seen, b"data: ") {
        if stream.read_buf(&mut seen).await? == 0 {
            return Err(io::Error::other("a stream ended before its first event"));
        }
    }
    if !seen.starts_with(b"HTTP/1.1 200") {
        return Err(io::Error::other(format!("a stream was refused: {}", String::from_utf8_lossy(&seen))));
    }
    Ok((stream, seen))
}

async fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Writes a request and reads its answer, which has a `content-length`, to the end.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(request).await?;
    let mut answer = Vec::with_capacity(4096);
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::Error::other("the connection ended in the middle of an answer"));
        }
        if whole(&answer)? {
            return Ok(answer);
        }
    }
}

fn whole(answer: &[u8]) -> io::Result<bool> {
    let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(false) };
    let header = String::from_utf8_lossy(&answer[..at]).to_ascii_lowercase();
    let length =
        header.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let length = length.ok_or_else(|| io::Error::other(format!("an answer without a length: {header}")))?;
    Ok(answer.len() >= at + 4 + length)
}

fn request(token: &str, model: &str, stream: bool) -> Vec<u8> {
    // the same words as in benches/wrk.lua
    let body = format!(
        "{{\"model\":\"{model}\",\"stream\":{stream},\"stream_options\":{{\"include_usage\":true}},\
         \"messages\":[{{\"role\":\"user\",\"content\":\"Say something about tollgates, please.\"}}]}}"
    );
    let length = body.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
