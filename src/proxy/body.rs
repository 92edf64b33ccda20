//! Reading a request body, whole and bounded, before anything is decided.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use tokio::time::timeout;

/// Time allowed for a body, whatever its size.
const READ_BASE: Duration = Duration::from_secs(30);

/// Slowest upload that is waited for, in bytes a second.
const READ_RATE: u64 = 64 * 1024;

/// After a refusal, a body that is still arriving is read and thrown away for this long, so that the client can read
/// the answer before the connection closes.
const LINGER: Duration = Duration::from_secs(2);

/// A body up to this size is read to its end after a refusal, and the connection lives on.
const DISCARD_MAX_BYTES: u64 = 256 * 1024;

/// Why there is no body.
#[derive(Debug)]
pub enum BodyError {
    /// It is over the limit.
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// The connection broke, or its framing is wrong: nobody is there to be told.
    Broken,
}

/// Reads the whole body, at most `max_bytes`.
///
/// # Errors
/// See [`BodyError`].
pub async fn read(session: &mut Session, max_bytes: u64) -> Result<Bytes, BodyError> {
    let declared = declared_bytes(session);
    if declared.is_some_and(|bytes| bytes > max_bytes) {
        return Err(BodyError::TooLarge);
    }
    if session
        .req_header()
        .headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        session.as_downstream_mut().write_continue_response().await.map_err(|error| broken(&error))?;
    }
    let seconds = declared.unwrap_or(max_bytes) / READ_RATE;
    let whole = read_all(session, declared.unwrap_or(0), max_bytes);
    timeout(READ_BASE + Duration::from_secs(seconds), whole).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn read_all(session: &mut Session, declared: u64, max_bytes: u64) -> Result<Bytes, BodyError> {
    let first = match next(session).await? {
        Some(first) if first.len() as u64 > max_bytes => return Err(BodyError::TooLarge),
        // most bodies come in one piece: no copy
        Some(first) if first.len() as u64 == declared => return Ok(first),
        Some(first) => first,
        None => return Ok(Bytes::new()),
    };
    let mut whole =
        BytesMut::with_capacity(usize::try_from(declared.min(max_bytes)).unwrap_or(0).max(first.len()));
    whole.extend_from_slice(&first);
    while let Some(chunk) = next(session).await? {
        if (whole.len() + chunk.len()) as u64 > max_bytes {
            return Err(BodyError::TooLarge);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

async fn next(session: &mut Session) -> Result<Option<Bytes>, BodyError> {
    if session.is_body_done() {
        return Ok(None);
    }
    session.as_downstream_mut().read_request_body().await.map_err(|error| match error.etype() {
        ErrorType::ReadTimedout => BodyError::TooSlow,
        _ => broken(&error),
    })
}

fn broken(error: &Error) -> BodyError {
    tracing::debug!(%error, "a request body broke off");
    BodyError::Broken
}

/// Before an answer is written though the body has not been read: a small body is read to its end.
pub async fn discard_small(session: &mut Session) {
    let small = declared_bytes(session).is_some_and(|bytes| bytes <= DISCARD_MAX_BYTES);
    if session.is_body_done() || (small && timeout(LINGER, drain(session)).await == Ok(true)) {
        return;
    }
    session.set_keepalive(None);
}

/// After an answer was written though the body is still arriving.
pub async fn linger(session: &mut Session) {
    if !session.is_body_done() && timeout(LINGER, drain(session)).await.is_err() {
        tracing::debug!("a refused body was still arriving when its connection was closed");
    }
}

async fn drain(session: &mut Session) -> bool {
    loop {
        match next(session).await {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

fn declared_bytes(session: &Session) -> Option<u64> {
    session.req_header().headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
