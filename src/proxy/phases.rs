//! Pingora's phases. Each hands over to a sibling file; the order is Pingora's:
//! `early_request_filter`, `request_filter`, `upstream_peer`, `upstream_request_filter`, `response_filter`,
//! `response_body_filter` for each piece, `logging`; `fail_to_connect`, `error_while_proxy` and `fail_to_proxy` when
//! something breaks.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::attempts::UpstreamFailure;
use super::context::{Answer, Context, Stage};
use super::problem::Rejection;
use super::{QuotaProxy, answer, failover, forward, peer, respond};
use crate::dialect::{Kind, Problem, stream_error_event};
use crate::store::Outcome;
use crate::telemetry::outcome;

/// A client that takes no byte for this long is given up, and with it its upstream connection.
const CLIENT_WRITE_TIMEOUT: Duration = Duration::from_secs(120);

/// Between the last event of a broken stream and the stream's reset: HTTP/2 throws away what is queued when a stream is
/// reset, and its connection's task needs a moment to write it.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Longest silence inside a request.
const CLIENT_READ_TIMEOUT: Duration = Duration::from_secs(30);

#[async_trait]
impl ProxyHttp for QuotaProxy {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new()
    }

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<()> {
        ctx.in_flight = Some(self.metrics.begin());
        session.set_write_timeout(Some(CLIENT_WRITE_TIMEOUT));
        session.set_read_timeout(Some(CLIENT_READ_TIMEOUT));
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        self.intake(session, ctx).await
    }

    async fn upstream_peer(&self, _session: &mut Session, ctx: &mut Context) -> Result<Box<HttpPeer>> {
        let forward = ctx.forward().ok_or_else(|| forward::out_of_order("upstream_peer"))?;
        let upstream = Arc::clone(&forward.attempts.chosen.upstream);
        match self.resolver.address(&upstream.base_url).await {
            Ok(address) => Ok(Box::new(peer::http_peer(&upstream, address, &self.authorities))),
            Err(error) => {
                let context = "the upstream's name could not be resolved";
                let mut error = Error::because(ErrorType::ConnectError, context, error).into_up();
                error.set_retry(self.gives_up(ctx, UpstreamFailure::Connect));
                Err(error)
            }
        }
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        #[cfg(debug_assertions)]
        crate::failpoint::panic_at("upstream_request_filter", &ctx.request_id);
        let forward = ctx.forward().ok_or_else(|| forward::out_of_order("upstream_request_filter"))?;
        forward::prepare(request, forward)
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        if self.passes_over(response.status.as_u16(), ctx) {
            return Err(failover::next_upstream());
        }
        answer::header(response, ctx)?;
        self.allow_drain(ctx);
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Context,
    ) -> Result<Option<Duration>> {
        #[cfg(debug_assertions)]
        crate::failpoint::panic_at("response_body_filter", &ctx.request_id);
        let bytes = body.as_ref().map_or(0, Bytes::len);
        if ctx.forward().is_some_and(|forward| !forward.handover.draining.takes(bytes)) {
            let why = "the client left, and the rest of its answer is larger than is read without it";
            return Error::e_explain(ErrorType::Custom("too much to drain"), why);
        }
        self.piece(body, end, ctx);
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        error.as_up();
        let again = self.gives_up(ctx, UpstreamFailure::Connect)
            || ctx.forward().is_some_and(|forward| {
                let url = &forward.attempts.chosen.upstream.base_url;
                self.resolver.has_others(url) && forward.attempts.tries_again()
            });
        error.set_retry(again);
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Context,
        reused: bool,
    ) -> Box<Error> {
        if failover::is_next_upstream(&error) {
            return error;
        }
        let Some(forward) = ctx.forward() else { return error };
        if forward.handover.silence.take_too_long() {
            // Pingora takes it for the client's, whose session it came from
            error.as_up();
        }
        // once an answer was accepted its request is gone, whether or not the client has its header yet
        let unanswered = matches!(forward.answer, Answer::None)
            && session.response_written().is_none_or(|header| header.status.is_informational());
        if !unanswered || *error.esource() != ErrorSource::Upstream {
            error.set_retry(false);
            return error;
        }
        // a kept connection that the upstream closed just now, before it said a word: the request was not taken
        let closed = matches!(error.etype(), ErrorType::ConnectionClosed | ErrorType::WriteError);
        let again = (reused && closed && forward.attempts.replaces_stale())
            || self.gives_up(ctx, UpstreamFailure::of(&error));
        error.set_retry(again);
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Context) -> FailToProxy {
        let error_code = self.tell_failure(session, error, ctx).await;
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Context) {
        #[cfg(debug_assertions)]
        crate::failpoint::panic_at("logging", &ctx.request_id);
        ctx.in_flight = None;
        self.close(error, ctx);
        put_back(session, ctx);
    }

    /// `tell_failure` logs each failure once, with its request id.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Context, _error: &Error) -> bool {
        true
    }
}

impl QuotaProxy {
    /// Tells the client of a failure, if it can still be told. Returns the status.
    async fn tell_failure(&self, session: &mut Session, error: &Error, ctx: &mut Context) -> u16 {
        if *error.esource() == ErrorSource::Downstream {
            return 0;
        }
        if ctx.forward().is_some_and(|forward| forward.handover.draining.is_on()) {
            tracing::info!(%error, request_id = %ctx.request_id, "an answer without its client was not read to its end");
            return 0;
        }
        let from_us =
            matches!(error.esource(), ErrorSource::Internal | ErrorSource::Unset) && ctx.forward().is_none();
        let timed_out = matches!(
            error.etype(),
            ErrorType::ReadTimedout
                | ErrorType::ConnectTimedout
                | ErrorType::WriteTimedout
                | ErrorType::TLSHandshakeTimedout
        );
        let problem = match (from_us, timed_out) {
            (true, _) => Problem::new(Kind::Internal, "The gateway failed to handle this request."),
            (false, true) => Problem::new(
                Kind::UpstreamTimeout,
                "The upstream did not answer in time. Nothing was charged.",
            ),
            (false, false) => {
                Problem::new(Kind::Upstream, "The upstream could not be reached. Nothing was charged.")
            }
        };
        tracing::warn!(%error, request_id = %ctx.request_id, upstream = %ctx.labels.upstream, "a request failed");
        if session.response_written().is_some() {
            self.break_off(session, ctx).await;
            return problem.status;
        }
        let status = problem.status;
        let counted = if from_us { outcome::ERROR } else { outcome::UPSTREAM_ERROR };
        if let Some(forward) = ctx.forward() {
            self.ended(forward, Outcome::UpstreamError);
            put_back(session, ctx);
        }
        // Pingora closes the connection after a failure: the client must hear it, or its next request is lost
        session.set_keepalive(None);
        if respond::refuse(session, ctx, Rejection::new(problem, counted)).await.is_err() {
            tracing::debug!("the client had gone before it could be told of a failure");
        }
        status
    }

    /// An answer breaks off: the dialect's error event, and no clean end after it.
    async fn break_off(&self, session: &mut Session, ctx: &mut Context) {
        let dialect = ctx.dialect;
        let Some(forward) = ctx.forward() else { return };
        let Answer::Passing(reader) = &forward.answer else { return };
        let problem = Problem::new(Kind::Upstream, "The upstream broke off in the middle of its answer.");
        let event = stream_error_event(dialect, forward.route.endpoint, &problem);
        let is_stream = session.response_written().is_some_and(|header| {
            header
                .headers
                .get(http::header::CONTENT_TYPE)
                .is_some_and(|media| media.as_bytes().starts_with(b"text/event-stream"))
        });
        if !is_stream {
            return;
        }
        let event = if reader.between_events() { event } else { format!("\n\n{event}") };
        if session.write_response_body(Some(event.into()), false).await.is_err() {
            tracing::debug!("the client had gone before the error event");
            return;
        }
        if session.req_header().version == http::Version::HTTP_2 {
            tokio::time::sleep(LAST_WORDS).await;
        }
    }

    /// The end of every request: the permit, if nothing has ended it yet, and the metrics.
    fn close(&self, error: Option<&Error>, ctx: &mut Context) {
        let (started, labels) = (ctx.started, mem::take(&mut ctx.labels));
        let forward = match &mut ctx.stage {
            Stage::Forwarding(forward) => forward,
            Stage::Answered(Some(outcome)) => {
                if outcome::is_refusal(outcome) {
                    self.gate.refusals.add(outcome);
                }
                return self.metrics.request(&labels, outcome);
            }
            Stage::Answered(None) | Stage::Arrived => return,
        };
        let (outcome, label) = match (&forward.answer, error.map(Error::esource)) {
            _ if forward.handover.draining.is_on() => (Outcome::Cancelled, outcome::CANCELLED),
            (Answer::None, Some(ErrorSource::Downstream)) => (Outcome::ClientGone, outcome::CANCELLED),
            (Answer::None | Answer::Error { .. }, _) => (Outcome::UpstreamError, outcome::UPSTREAM_ERROR),
            (Answer::Passing(_), Some(ErrorSource::Downstream)) => (Outcome::Cancelled, outcome::CANCELLED),
            (Answer::Passing(_), Some(_)) => (Outcome::Truncated, outcome::UPSTREAM_ERROR),
            (Answer::Passing(_), None) => (Outcome::Ok, outcome::OK),
            // recorded with the last byte; that the client left just then changes nothing
            (Answer::Ended, _) => {
                (Outcome::Ok, if forward.is_2xx { outcome::OK } else { outcome::UPSTREAM_ERROR })
            }
        };
        self.ended(forward, outcome);
        self.metrics.request(&labels, label);
        self.metrics.timing(&labels, started.elapsed(), forward.upstream_wait, forward.before_upstream);
    }
}

/// Puts the client's own session back in place of the wrapper.
fn put_back(session: &mut Session, ctx: &mut Context) {
    if let Some(forward) = ctx.forward() {
        forward.handover.put_back(session);
    }
}
