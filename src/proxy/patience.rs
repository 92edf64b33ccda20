//! How long an upstream may be silent: until its first byte, and between two bytes of its answer. Pingora knows one
//! number for both and takes it once a connection, so the wrapper of the client's session watches instead.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::Sleep;

use super::replay::Shared;
use crate::clock::Stopwatch;

/// What an upstream is given.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the request to the answer's header.
    pub first_byte: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
}

/// Where the waiting stands.
pub(super) struct Pace {
    patience: Patience,
    answering: bool,
    /// Changes when another limit begins to apply.
    pub(super) phase: u32,
    since: Stopwatch,
}

impl Pace {
    pub(super) fn new(patience: Patience, phase: u32) -> Self {
        Self { patience, answering: false, phase, since: Stopwatch::start() }
    }

    pub(super) fn next_phase(&self) -> u32 {
        self.phase.wrapping_add(1)
    }

    /// Something came; `begins`: the answer's header was in it.
    pub(super) fn heard(&mut self, begins: bool) {
        if begins && !self.answering {
            self.answering = true;
            self.phase = self.next_phase();
        }
        self.since = Stopwatch::start();
    }

    /// Time left; zero: it is over.
    pub(super) fn left(&self) -> Duration {
        let limit = if self.answering { self.patience.idle } else { self.patience.first_byte };
        limit.saturating_sub(self.since.elapsed())
    }
}

/// The timer. It is not moved with every piece of an answer: when it goes off too early, it is set anew.
#[derive(Default)]
pub(super) struct Alarm(Option<(u32, Pin<Box<Sleep>>)>);

impl Alarm {
    /// Returns when the upstream has been silent for too long. May be dropped and called again.
    pub(super) async fn rings(&mut self, shared: &Shared) {
        loop {
            let Some((phase, left)) = shared.time_left() else { return std::future::pending().await };
            if left.is_zero() {
                return shared.set_late();
            }
            match &mut self.0 {
                Some((of, sleep)) if *of == phase && !sleep.is_elapsed() => sleep.as_mut().await,
                other => *other = Some((phase, Box::pin(tokio::time::sleep(left)))),
            }
        }
    }
}
