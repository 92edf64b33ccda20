//! A client session whose body has been read already. Pingora forwards a body only if it can read it, or replay at most
//! 64 KiB of it; this wrapper offers the whole body as the replay, for any size, over HTTP/1 and HTTP/2, and again on a
//! retry. All else goes to the session inside; what becomes of a client that leaves stands in `drain`, and of an upstream
//! that says nothing in `patience`.
//!
//! The wrapper gives the inner session back when it is dropped: HTTP/1 keep-alive needs the original.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session as CustomSession;
use pingora::protocols::http::{HttpTask, ServerSession};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::drain::Draining;
use super::patience::{Alarm, Silence};
use crate::gate::FirstByte;

/// Why an upstream is given up.
const SILENT: &str = "the upstream was silent for too long";

/// Why an answer is read no further.
const LATE: &str = "the client left, and its answer did not end before the time for it, or before a stop";

/// What the wrapper and the context of its request share. One task runs both, so no lock is ever waited for; what is looked
/// at for each piece of an answer takes none.
#[derive(Default)]
pub struct Handover {
    /// How long the upstream has said nothing.
    pub silence: Silence,
    /// Whether the answer is read on without its client.
    pub draining: Draining,
    body: Mutex<Option<Bytes>>,
    session: Mutex<Option<ServerSession>>,
    first: Mutex<Option<FirstByte>>,
    has_first: AtomicBool,
}

impl Handover {
    /// Wraps the client's session, whose body has been read. [`Handover::set_body`] says what is sent of it.
    pub fn wrap(session: &mut Session) -> Arc<Self> {
        let shared = Arc::<Self>::default();
        let inner = mem::replace(&mut *session.downstream_session, placeholder());
        let replay = Replay { inner, shared: Arc::clone(&shared), alarm: Alarm::default() };
        *session.downstream_session = ServerSession::new_custom(Box::new(replay));
        shared
    }

    /// Puts the client's own session back in place of the wrapper, which gives it back when it is dropped.
    pub fn put_back(&self, session: &mut Session) {
        drop(mem::replace(&mut *session.downstream_session, placeholder()));
        if let Some(original) = lock(&self.session).take() {
            *session.downstream_session = original;
        }
    }

    /// The body for the next upstream; `None`: no retry is possible once an answer has begun.
    pub fn set_body(&self, body: Option<Bytes>) {
        *lock(&self.body) = body;
    }

    /// What is noted in the journal before the client gets the next byte of the answer. `None`: nothing any more.
    pub fn begins(&self, first: Option<FirstByte>) {
        self.has_first.store(first.is_some(), Ordering::Release);
        *lock(&self.first) = first;
    }

    fn note_first(&self) {
        if self.has_first.load(Ordering::Acquire) {
            self.has_first.store(false, Ordering::Release);
            if let Some(first) = lock(&self.first).take() {
                first.note();
            }
        }
    }
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stands in for a session while another takes its place.
fn placeholder() -> ServerSession {
    ServerSession::new_custom(Box::new(()))
}

struct Replay {
    inner: ServerSession,
    shared: Arc<Handover>,
    alarm: Alarm,
}

impl Drop for Replay {
    fn drop(&mut self) {
        *lock(&self.shared.session) = Some(mem::replace(&mut self.inner, placeholder()));
    }
}

/// What a batch of pieces of an answer holds.
#[derive(Default)]
struct Batch {
    /// The answer's header.
    begins: bool,
    /// Its end.
    ends: bool,
    /// The upstream's failure.
    fails: bool,
}

impl Batch {
    fn of(tasks: &[HttpTask]) -> Self {
        tasks.iter().fold(Self::default(), |batch, task| Self {
            begins: batch.begins
                || matches!(task, HttpTask::Header(header, _) if !header.status.is_informational()),
            ends: batch.ends || task.is_end(),
            fails: batch.fails || matches!(task, HttpTask::Failed(_)),
        })
    }
}

/// What is done with an answer that nobody waits for.
fn thrown_away(tasks: Vec<HttpTask>) -> Result<()> {
    for task in tasks {
        if let HttpTask::Failed(error) = task {
            return Err(error);
        }
    }
    Ok(())
}

/// Calls that the session inside answers.
macro_rules! inner {
    (&mut $this:ident: $($name:ident($($arg:ident: $of:ty)?) -> $out:ty;)*) => {
        $(fn $name(&mut $this $(, $arg: $of)?) -> $out { $this.inner.$name($($arg)?) })*
    };
    (&$this:ident: $($name:ident -> $out:ty;)*) => { $(fn $name(&$this) -> $out { $this.inner.$name() })* };
}

#[async_trait]
impl CustomSession for Replay {
    inner! { &self:
        req_header -> &RequestHeader;
        get_read_timeout -> Option<Duration>;
        get_write_timeout -> Option<Duration>;
        get_total_drain_timeout -> Option<Duration>;
        request_summary -> String;
        response_written -> Option<&ResponseHeader>;
        body_bytes_sent -> usize;
        body_bytes_read -> usize;
        digest -> Option<&Digest>;
        client_addr -> Option<&SocketAddr>;
        server_addr -> Option<&SocketAddr>;
        is_upgrade_req -> bool;
        was_upgraded -> bool;
    }

    inner! { &mut self:
        req_header_mut() -> &mut RequestHeader;
        set_read_timeout(timeout: Option<Duration>) -> ();
        set_write_timeout(timeout: Option<Duration>) -> ();
        set_total_drain_timeout(timeout: Option<Duration>) -> ();
        digest_mut() -> Option<&mut Digest>;
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        Ok(None)
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        Ok(())
    }

    async fn write_response_header(&mut self, resp: Box<ResponseHeader>, end: bool) -> Result<()> {
        match &mut self.inner {
            ServerSession::H2(session) => session.write_response_header(resp, end),
            session => session.write_response_header(resp).await,
        }
    }

    async fn write_response_header_ref(&mut self, resp: &ResponseHeader, end: bool) -> Result<()> {
        match &mut self.inner {
            ServerSession::H2(session) => session.write_response_header_ref(resp, end),
            session => session.write_response_header_ref(resp).await,
        }
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.inner.write_response_body(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.inner.write_response_trailers(trailers).await
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let Self { inner, shared, .. } = self;
        let Batch { begins, ends, fails } = Batch::of(&tasks);
        shared.note_first();
        let done = if shared.draining.is_on() {
            thrown_away(tasks).map(|()| ends)
        } else {
            match inner.response_duplex_vec(tasks).await {
                Err(_) if !fails && shared.draining.client_left() => {
                    inner.set_keepalive(None);
                    Ok(ends)
                }
                done => done,
            }
        };
        // after the write: the time that the client took is not the upstream's
        shared.silence.broken(begins);
        done
    }

    async fn shutdown(&mut self, _code: u32, _ctx: &str) {
        self.inner.shutdown().await;
    }

    fn is_body_done(&mut self) -> bool {
        true
    }

    async fn finish(&mut self) -> Result<()> {
        if self.shared.draining.is_on() {
            return Ok(());
        }
        self.inner.finish_body().await
    }

    fn is_body_empty(&mut self) -> bool {
        lock(&self.shared.body).as_ref().is_none_or(Bytes::is_empty)
    }

    async fn read_body_or_idle(&mut self, _no_body_expected: bool) -> Result<Option<Bytes>> {
        // the body is done: what is left is to notice that the client leaves, or that the upstream says nothing. This is
        // polled for as long as Pingora waits for either
        let Self { inner, shared, alarm } = self;
        let Handover { silence, draining, .. } = &**shared;
        if !draining.is_on() {
            let heard = tokio::select! {
                heard = inner.read_body_or_idle(true) => heard,
                () = alarm.rings(silence) => return Error::e_explain(ErrorType::ReadTimedout, SILENT),
            };
            if heard.is_ok() || !draining.client_left() {
                return heard;
            }
            inner.set_keepalive(None);
        }
        tokio::select! {
            () = draining.lasts_too_long() => Error::e_explain(ErrorType::ReadTimedout, LATE),
            () = alarm.rings(silence) => Error::e_explain(ErrorType::ReadTimedout, SILENT),
        }
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.inner.to_h1_raw()
    }

    fn enable_retry_buffering(&mut self) {}

    fn retry_buffer_truncated(&self) -> bool {
        false
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        lock(&self.shared.body).clone()
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _reader: Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _writer: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}
