//! Which upstream a request is at, and which it goes to when that one fails: the next candidate of its model, then the
//! models that may stand in. One hold covers them all; nothing is tried for ever.

use std::collections::VecDeque;
use std::sync::Arc;

use pingora::{Error, ErrorType};

use super::QuotaProxy;
use super::problem::{self, Rejection};
use crate::dialect::Dialect;
use crate::gate::Who;
use crate::snapshot::ConfigSnapshot;
use crate::upstream::{Chosen, Fleet, Slot};

/// Upstreams that are asked for one model, the first included. A retry takes no second hold.
const ATTEMPTS_MAX: usize = 3;

/// Kept connections that turn out to be closed: so often one is replaced before that counts as a failure.
const STALE_MAX: usize = 2;

/// The way of one request through the upstreams.
pub struct Attempts {
    /// Where it is now.
    pub chosen: Chosen,
    /// The model that is sent there.
    pub model: String,
    /// Its place there.
    pub slot: Slot,
    config: Arc<ConfigSnapshot>,
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
pub enum UpstreamFailure {
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

impl UpstreamFailure {
    /// The metric label.
    pub fn as_str(self) -> &'static str {
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

    /// Moves on to the next upstream, and then to the next model that may stand in. False: there is none.
    pub fn advance(&mut self, fleet: &Arc<Fleet>, now_ms: u64) -> bool {
        if self.tried < ATTEMPTS_MAX && self.take(fleet, now_ms) {
            self.tried += 1;
            return true;
        }
        while let Some(model) = self.stand_ins.pop_front() {
            let candidates = self.config.upstreams.candidates(self.dialect.as_str(), &model, self.turn);
            let Ok(list) = candidates else { continue };
            self.waiting = list.into();
            if self.take(fleet, now_ms) {
                (self.model, self.tried) = (model, 1);
                return true;
            }
        }
        false
    }

    fn take(&mut self, fleet: &Arc<Fleet>, now_ms: u64) -> bool {
        match fleet.take(&mut self.waiting, now_ms) {
            Ok((chosen, slot)) => {
                (self.chosen, self.slot) = (chosen, slot);
                true
            }
            Err(_) => false,
        }
    }
}

impl QuotaProxy {
    /// The first upstream for a model, and a place there, if the plan includes the model.
    pub(super) fn first_attempt(
        &self,
        config: &Arc<ConfigSnapshot>,
        dialect: Dialect,
        model: &str,
        who: &Who,
    ) -> Result<Attempts, Rejection> {
        let turn = self.gate.new_id().as_u64_pair().1;
        // who asks for a model that does not exist hears that, and not that the plan lacks it
        let candidates = config.upstreams.candidates(dialect.as_str(), model, turn);
        let mut waiting = candidates.map_err(|error| problem::of_no_upstream(&error))?.into();
        who.check_model(model).map_err(problem::of_denied)?;
        let may_stand_in = |instead: &&String| who.may_stand_in(model, instead);
        let stand_ins = config.upstreams.fallbacks(model).iter().filter(may_stand_in).cloned().collect();
        let (chosen, slot) =
            self.fleet.take(&mut waiting, self.age.elapsed_ms()).map_err(problem::of_full)?;
        let (model, config) = (model.to_owned(), Arc::clone(config));
        Ok(Attempts { chosen, model, slot, config, dialect, turn, waiting, stand_ins, tried: 1, stale: 0 })
    }
}
