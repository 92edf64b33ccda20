//! How the upstreams are doing, shared by all requests: open requests and health of each, by name, so that a reload of
//! the configuration changes neither. Time is passed in.
//!
//! Owns which candidate a request takes next. Must not know how a request is sent.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::health::{Leave, UpstreamHealth};
use super::{Chosen, UpstreamSettings};

/// The state of all upstreams.
#[derive(Debug, Default)]
pub struct Fleet(Mutex<HashMap<String, State>>);

#[derive(Debug, Default)]
struct State {
    open: u32,
    health: UpstreamHealth,
    /// The active check says that it is down.
    checked_down: bool,
}

/// A place at an upstream: it counts as one open request there until it is dropped.
#[derive(Debug)]
pub struct Slot {
    fleet: Arc<Fleet>,
    name: String,
    /// The request is the trial of an ejected upstream, and nobody has said yet what it came to.
    trial: bool,
}

/// Every candidate has as many open requests as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("every upstream of the model is at its limit of requests at once")]
pub struct Full;

impl Fleet {
    /// Takes the next of the candidates: the first that is in service and has room. If none is in service, the first
    /// that has room: a request that may fail is better than one that must. What is taken leaves the list.
    ///
    /// # Errors
    /// No candidate has room, or there is none.
    pub fn take(
        self: &Arc<Self>,
        candidates: &mut VecDeque<Chosen>,
        now_ms: u64,
    ) -> Result<(Chosen, Slot), Full> {
        let mut states = self.lock();
        let mut place = None;
        for (at, candidate) in candidates.iter().enumerate() {
            let state = states.entry(candidate.upstream.name.clone()).or_default();
            if !has_room(state, &candidate.upstream) {
                continue;
            }
            if !state.checked_down {
                match state.health.ask(now_ms) {
                    Leave::Stay => {}
                    leave => {
                        place = Some((at, leave == Leave::Trial));
                        break;
                    }
                }
            }
            place = place.or(Some((at, false)));
        }
        let (at, trial) = place.ok_or(Full)?;
        let chosen = candidates.remove(at).ok_or(Full)?;
        let name = chosen.upstream.name.clone();
        states.entry(name.clone()).or_default().open += 1;
        Ok((chosen, Slot { fleet: Arc::clone(self), name, trial }))
    }

    /// What an active check found. True if that changed.
    pub fn checked(&self, name: &str, is_up: bool) -> bool {
        let mut states = self.lock();
        let state = states.entry(name.to_owned()).or_default();
        std::mem::replace(&mut state.checked_down, !is_up) == is_up
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_room(state: &State, upstream: &UpstreamSettings) -> bool {
    upstream.max_concurrent.is_none_or(|max| state.open < max)
}

impl Slot {
    /// The upstream answered.
    pub fn succeeded(&mut self) {
        self.trial = false;
        self.with(|state| state.health.succeeded());
    }

    /// The upstream failed. True if that ejected it.
    pub fn failed(&mut self, now_ms: u64) -> bool {
        self.trial = false;
        self.with(|state| state.health.failed(now_ms)).unwrap_or(false)
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> Option<T> {
        self.fleet.lock().get_mut(&self.name).map(act)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let trial = self.trial;
        self.with(|state| {
            state.open = state.open.saturating_sub(1);
            if trial {
                state.health.given_back();
            }
        });
    }
}

#[cfg(test)]
mod tests;
