//! What becomes of a request whose upstream fails before its first byte: it goes to the next one, as long as nothing was
//! passed on. Which one that is, `attempts` decides.

use pingora::{Error, ErrorType};

use super::QuotaProxy;
use super::attempts::UpstreamFailure;
use super::context::{Context, Stage};

/// The error with which a phase sends the request to the upstream that was just chosen.
const NEXT: ErrorType = ErrorType::Custom("the next upstream is asked");

/// The error with which a phase sends the request to the next upstream.
#[expect(clippy::unnecessary_box_returns, reason = "Pingora's results hold boxed errors")]
pub fn next_upstream() -> Box<Error> {
    let mut error = Error::new_up(NEXT);
    error.set_retry(true);
    error
}

/// Is it that error?
pub fn is_next_upstream(error: &Error) -> bool {
    *error.etype() == NEXT
}

impl QuotaProxy {
    /// The upstream has failed before its first byte. True if the request now goes to another.
    pub(super) fn gives_up(&self, ctx: &mut Context, failure: UpstreamFailure) -> bool {
        let Stage::Forwarding(forward) = &mut ctx.stage else { return false };
        let (attempts, now_ms) = (&mut forward.attempts, self.age.elapsed_ms());
        let name = attempts.chosen.upstream.name.clone();
        if failure != UpstreamFailure::Busy && attempts.slot.failed(now_ms) {
            tracing::warn!(upstream = %name, "an upstream failed several times in a row: it is passed over for a while");
        }
        let model = attempts.model.clone();
        if !attempts.advance(&self.fleet, now_ms) {
            return false;
        }
        let next = &attempts.chosen.upstream.name;
        self.metrics.moved_on(&name, failure.as_str());
        tracing::info!(
            request_id = %ctx.request_id, upstream = %name, failure = failure.as_str(), %next, model = %attempts.model,
            "an upstream failed before its first byte: the next one is asked"
        );
        ctx.labels.upstream.clone_from(next);
        if let Some(permit) = &mut forward.permit {
            permit.dispatched(next, &attempts.model);
        }
        if model != attempts.model {
            forward.offer_body();
        }
        true
    }

    /// The upstream has answered with this status. True if the answer is not passed on, because another upstream is
    /// asked instead.
    pub(super) fn passes_over(&self, status: u16, ctx: &mut Context) -> bool {
        match status {
            100..200 => false,
            429 => self.gives_up(ctx, UpstreamFailure::Busy),
            500.. => self.gives_up(ctx, UpstreamFailure::Status),
            _ => {
                if let Some(forward) = ctx.forward() {
                    forward.attempts.slot.succeeded();
                }
                false
            }
        }
    }
}
