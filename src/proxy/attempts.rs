//! Which upstream a request is at, and which it goes to when that one fails before the first byte: the next candidate
//! of its model, then the models that may stand in. One hold covers them all; nothing is tried for ever.

use std::collections::VecDeque;
use std::sync::Arc;

use pingora::{Error, ErrorType};

use super::context::{Context, Stage};
use super::problem::{self, Refused};
use super::{ATTEMPTS_MAX, Gateway};
use crate::dialect::{Dialect, rewrite};
use crate::upstream::{Chosen, Slot, UpstreamTable};

/// The error with which a phase sends the request to the upstream that was just chosen.
const NEXT: ErrorType = ErrorType::Custom("the next upstream is asked");

/// Kept connections that turn out to be closed: so often one is replaced before that counts as a failure.
const STALE_MAX: usize = 2;

/// The way of one request through the upstreams.
pub struct Attempts {
    /// Where it is now.
    pub chosen: Chosen,
    /// The model that is sent there.
    pub model: String,
    /// Its place there.
    slot: Slot,
    table: Arc<UpstreamTable>,
    dialect: Dialect,
    turn: u64,
    waiting: VecDeque<Chosen>,
    stand_ins: VecDeque<String>,
    /// Tries for this model, this one included.
    tried: usize,
    stale: usize,
}

/// Why an upstream is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Connect,
    /// It answered 429: it is well, but has nothing for us.
    Busy,
    /// It answered 5xx.
    Status,
    /// It did not answer in time.
    Timeout,
    /// It closed the connection, or spoke no HTTP.
    Broken,
}

impl Failure {
    /// The metric label.
    fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Busy => "busy",
            Self::Status => "status",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
        }
    }

    /// What an error of a connection is.
    pub fn of(error: &Error) -> Self {
        match error.etype() {
            ErrorType::ReadTimedout | ErrorType::WriteTimedout => Self::Timeout,
            _ => Self::Broken,
        }
    }
}

impl Attempts {
    /// A kept connection was closed just now: once more at the same upstream?
    pub fn replaces_stale(&mut self) -> bool {
        self.stale += 1;
        self.stale <= STALE_MAX
    }

    /// The upstream's name has another address: once more at the same upstream?
    pub fn tries_again(&mut self) -> bool {
        self.tried += 1;
        self.tried <= ATTEMPTS_MAX
    }

    fn advance(&mut self, gateway: &Gateway) -> bool {
        if self.tried < ATTEMPTS_MAX && self.take(gateway) {
            self.tried += 1;
            return true;
        }
        while let Some(model) = self.stand_ins.pop_front() {
            let Ok(list) = self.table.candidates(self.dialect.as_str(), &model, self.turn) else { continue };
            self.waiting = list.into();
            if self.take(gateway) {
                (self.model, self.tried) = (model, 1);
                return true;
            }
        }
        false
    }

    fn take(&mut self, gateway: &Gateway) -> bool {
        match gateway.fleet.take(&mut self.waiting, gateway.age.elapsed_ms()) {
            Ok((chosen, slot)) => {
                (self.chosen, self.slot) = (chosen, slot);
                true
            }
            Err(_) => false,
        }
    }
}

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

impl Gateway {
    /// The first upstream for a model, and a place there. `stand_ins` are tried when all of the model's have failed.
    pub(super) fn attempts(
        &self,
        table: Arc<UpstreamTable>,
        dialect: Dialect,
        model: &str,
        stand_ins: VecDeque<String>,
    ) -> Result<Attempts, Refused> {
        let turn = self.gate.new_id().as_u64_pair().1;
        let candidates = table.candidates(dialect.as_str(), model, turn);
        let mut waiting = candidates.map_err(|error| problem::of_no_upstream(&error))?.into();
        let (chosen, slot) =
            self.fleet.take(&mut waiting, self.age.elapsed_ms()).map_err(problem::of_full)?;
        let model = model.to_owned();
        Ok(Attempts { chosen, model, slot, table, dialect, turn, waiting, stand_ins, tried: 1, stale: 0 })
    }

    /// The upstream has failed before its first byte. True if the request now goes to another.
    pub(super) fn gives_up(&self, ctx: &mut Context, failure: Failure) -> bool {
        let Stage::Forwarding(forward) = &mut ctx.stage else { return false };
        let attempts = &mut forward.attempts;
        let name = attempts.chosen.upstream.name.clone();
        if failure != Failure::Busy && attempts.slot.failed(self.age.elapsed_ms()) {
            tracing::warn!(upstream = %name, "an upstream failed several times in a row: it is passed over for a while");
        }
        let model = attempts.model.clone();
        if !attempts.advance(self) {
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
            let body = rewrite(
                &forward.route,
                &forward.ask,
                &forward.raw,
                Some(&attempts.model),
                forward.usage_added,
            );
            let body = body.map_or_else(|| forward.raw.clone(), Into::into);
            forward.body_bytes = body.len();
            forward.shared.set_body(body);
        }
        true
    }

    /// The upstream has answered with this status. True if the answer is not passed on, because another upstream is
    /// asked instead.
    pub(super) fn passes_over(&self, status: u16, ctx: &mut Context) -> bool {
        match status {
            100..200 => false,
            429 => self.gives_up(ctx, Failure::Busy),
            500.. => self.gives_up(ctx, Failure::Status),
            _ => {
                if let Some(forward) = ctx.forward() {
                    forward.attempts.slot.succeeded();
                }
                false
            }
        }
    }
}
