//! A client session whose body has been read already. Pingora forwards a body only if it can read it, or replay at most
//! 64 KiB of it; this wrapper offers the whole body as the replay, for any size, over HTTP/1 and HTTP/2, and again on a
//! retry. All else goes to the session inside.
//!
//! The wrapper gives the inner session back when it is dropped: HTTP/1 keep-alive needs the original.

use std::sync::{Arc, Mutex, PoisonError};
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
use pingora::{Error, ErrorType, Result};

use super::drain::Draining;
pub use super::patience::Patience;
use super::patience::{Alarm, Pace};
use crate::gate::FirstByte;

/// Why an upstream is given up.
const SILENT: &str = "the upstream was silent for too long";

/// Why an answer is read no further.
const LATE: &str = "the client left, and its answer did not end before the time for it, or before a stop";

/// What wrapper and context share.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Slots>>);

#[derive(Default)]
struct Slots {
    body: Option<Bytes>,
    session: Option<ServerSession>,
    pace: Option<Pace>,
    late: bool,
    draining: Draining,
    first: Option<FirstByte>,
}

impl Shared {
    /// Wraps a session whose whole body is `body`.
    pub fn wrap(session: ServerSession, body: Bytes) -> (ServerSession, Self) {
        let shared = Self::default();
        shared.with(|slots| slots.body = Some(body));
        let replay = Replay { inner: Some(session), shared: shared.clone(), alarm: Alarm::default() };
        (ServerSession::new_custom(Box::new(replay)), shared)
    }

    /// The body is not needed any more: no retry is possible once the answer has begun.
    pub fn drop_body(&self) {
        self.with(|slots| slots.body = None);
    }

    /// Another body for the next upstream.
    pub fn set_body(&self, body: Bytes) {
        self.with(|slots| slots.body = Some(body));
    }

    /// The request goes out now, to an upstream that is waited for like this.
    pub fn wait_with(&self, patience: Patience) {
        self.with(|slots| {
            let phase = slots.pace.as_ref().map_or(0, Pace::next_phase);
            slots.late = false;
            slots.pace = Some(Pace::new(patience, phase));
        });
    }

    /// Was the upstream given up because it was silent for too long? Asked once.
    pub fn take_late(&self) -> bool {
        self.with(|slots| std::mem::take(&mut slots.late))
    }

    /// What is noted in the journal before the client gets the next byte of the answer. `None`: nothing any more.
    pub fn begins(&self, first: Option<FirstByte>) {
        self.with(|slots| slots.first = first);
    }

    /// The session, once the wrapper was dropped.
    pub fn take_session(&self) -> Option<ServerSession> {
        self.with(|slots| slots.session.take())
    }

    /// How long the upstream may still be silent, and in which phase; `None`: nothing is waited for.
    pub(super) fn time_left(&self) -> Option<(u32, Duration)> {
        self.with(|slots| slots.pace.as_ref().map(|pace| (pace.phase, pace.left())))
    }

    /// The upstream was silent for too long.
    pub(super) fn set_late(&self) {
        self.with(|slots| slots.late = true);
    }

    pub(super) fn draining<T>(&self, act: impl FnOnce(&mut Draining) -> T) -> T {
        self.with(|slots| act(&mut slots.draining))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Slots) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Stands in for a session while another takes its place.
pub fn placeholder() -> ServerSession {
    ServerSession::new_custom(Box::new(()))
}

struct Replay {
    /// Only `Drop` takes it.
    inner: Option<ServerSession>,
    shared: Shared,
    alarm: Alarm,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if let Some(session) = self.inner.take() {
            self.shared.with(|slots| slots.session = Some(session));
        }
    }
}

impl Replay {
    #[expect(clippy::unreachable, reason = "only Drop takes the session, and nothing runs after it")]
    fn get(&self) -> &ServerSession {
        let Some(session) = &self.inner else { unreachable!("the wrapped session is there until drop") };
        session
    }

    #[expect(clippy::unreachable, reason = "only Drop takes the session, and nothing runs after it")]
    fn get_mut(&mut self) -> &mut ServerSession {
        let Some(session) = &mut self.inner else { unreachable!("the wrapped session is there until drop") };
        session
    }
}

impl Replay {
    /// The client could not be written to. True: its answer is read to the end all the same.
    fn is_left(&mut self) -> bool {
        let left = self.shared.client_left();
        if left {
            self.get_mut().set_keepalive(None);
        }
        left
    }
}

/// What is done with an answer that nobody waits for; true at its end.
fn thrown_away(tasks: Vec<HttpTask>) -> Result<bool> {
    let mut ends = false;
    for task in tasks {
        ends |= task.is_end();
        if let HttpTask::Failed(error) = task {
            return Err(error);
        }
    }
    Ok(ends)
}

#[async_trait]
impl CustomSession for Replay {
    fn req_header(&self) -> &RequestHeader {
        self.get().req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.get_mut().req_header_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        Ok(None)
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        Ok(())
    }

    async fn write_response_header(&mut self, resp: Box<ResponseHeader>, end: bool) -> Result<()> {
        match self.get_mut() {
            ServerSession::H2(session) => session.write_response_header(resp, end),
            session => session.write_response_header(resp).await,
        }
    }

    async fn write_response_header_ref(&mut self, resp: &ResponseHeader, end: bool) -> Result<()> {
        match self.get_mut() {
            ServerSession::H2(session) => session.write_response_header_ref(resp, end),
            session => session.write_response_header_ref(resp).await,
        }
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.get_mut().write_response_body(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.get_mut().write_response_trailers(trailers).await
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let header = |task: &HttpTask| matches!(task, HttpTask::Header(header, _) if !header.status.is_informational());
        let begins = tasks.iter().any(header);
        let ends = tasks.iter().any(HttpTask::is_end);
        let fails = tasks.iter().any(|task| matches!(task, HttpTask::Failed(_)));
        if let Some(first) = self.shared.with(|slots| slots.first.take()) {
            first.note();
        }
        let done = if self.shared.is_draining() {
            thrown_away(tasks)
        } else {
            match self.get_mut().response_duplex_vec(tasks).await {
                Err(_) if !fails && self.is_left() => Ok(ends),
                done => done,
            }
        };
        // after the write: the time that the client took is not the upstream's
        self.shared.with(|slots| slots.pace.as_mut().map(|pace| pace.heard(begins)));
        done
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.get_mut().set_read_timeout(timeout);
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.get().get_read_timeout()
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.get_mut().set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.get().get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.get_mut().set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.get().get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.get().request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.get().response_written()
    }

    async fn shutdown(&mut self, _code: u32, _ctx: &str) {
        self.get_mut().shutdown().await;
    }

    fn is_body_done(&mut self) -> bool {
        true
    }

    async fn finish(&mut self) -> Result<()> {
        if self.shared.is_draining() {
            return Ok(());
        }
        self.get_mut().finish_body().await
    }

    fn is_body_empty(&mut self) -> bool {
        self.shared.with(|slots| slots.body.as_ref().is_none_or(Bytes::is_empty))
    }

    async fn read_body_or_idle(&mut self, _no_body_expected: bool) -> Result<Option<Bytes>> {
        // the body is done: what is left is to notice that the client leaves, or that the upstream says nothing. This is
        // polled for as long as Pingora waits for either
        let Self { inner: Some(inner), shared, alarm } = self else { return Ok(None) };
        if !shared.is_draining() {
            let heard = tokio::select! {
                heard = inner.read_body_or_idle(true) => heard,
                () = alarm.rings(shared) => return Error::e_explain(ErrorType::ReadTimedout, SILENT),
            };
            if heard.is_ok() || !shared.client_left() {
                return heard;
            }
            inner.set_keepalive(None);
        }
        tokio::select! {
            () = shared.drained_for_too_long() => Error::e_explain(ErrorType::ReadTimedout, LATE),
            () = alarm.rings(shared) => Error::e_explain(ErrorType::ReadTimedout, SILENT),
        }
    }

    fn body_bytes_sent(&self) -> usize {
        self.get().body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.get().body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.get().digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.get_mut().digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.get().client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.get().server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.get().to_h1_raw()
    }

    fn enable_retry_buffering(&mut self) {}

    fn retry_buffer_truncated(&self) -> bool {
        false
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.shared.with(|slots| slots.body.clone())
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

    fn is_upgrade_req(&self) -> bool {
        self.get().is_upgrade_req()
    }

    fn was_upgraded(&self) -> bool {
        self.get().was_upgraded()
    }
}
