//! How long an upstream may be silent: until its first byte, and between two bytes of its answer. Pingora knows one
//! number for both and takes it once a connection, so the wrapper of the client's session watches instead.

use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::time::Duration;

use tokio::time::Sleep;

use crate::clock::Stopwatch;

/// What an upstream is given.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the request to the answer's header, in milliseconds.
    pub first_byte_ms: u64,
    /// Between two pieces of the answer, in milliseconds.
    pub idle_ms: u64,
}

/// How long nothing has come from the upstream. Written and read by one task.
pub struct Silence {
    clock: Stopwatch,
    /// When something came last, by `clock`.
    heard_ms: AtomicU64,
    limit_ms: AtomicU64,
    /// The limit once the answer has begun.
    idle_ms: AtomicU64,
    is_answering: AtomicBool,
    /// Changes when another limit begins to apply; 0: nothing is waited for.
    phase: AtomicU32,
    was_too_long: AtomicBool,
}

impl Default for Silence {
    fn default() -> Self {
        Self {
            clock: Stopwatch::start(),
            heard_ms: AtomicU64::default(),
            limit_ms: AtomicU64::default(),
            idle_ms: AtomicU64::default(),
            is_answering: AtomicBool::default(),
            phase: AtomicU32::default(),
            was_too_long: AtomicBool::default(),
        }
    }
}

impl Silence {
    /// The request goes out now, to an upstream that is waited for like this.
    pub fn begins(&self, patience: Patience) {
        self.was_too_long.store(false, Relaxed);
        self.is_answering.store(false, Relaxed);
        self.idle_ms.store(patience.idle_ms, Relaxed);
        self.applies(patience.first_byte_ms);
    }

    /// Something came; `with_header`: the answer's header was in it.
    pub(super) fn broken(&self, with_header: bool) {
        if self.phase.load(Relaxed) == 0 {
            return;
        }
        if with_header && !self.is_answering.load(Relaxed) {
            self.is_answering.store(true, Relaxed);
            self.applies(self.idle_ms.load(Relaxed));
        } else {
            self.heard_ms.store(self.clock.elapsed_ms(), Relaxed);
        }
    }

    /// Was the upstream given up because it was silent for too long? Asked once.
    pub fn take_too_long(&self) -> bool {
        self.was_too_long.swap(false, Relaxed)
    }

    fn applies(&self, limit_ms: u64) {
        self.limit_ms.store(limit_ms, Relaxed);
        self.phase.fetch_add(1, Relaxed);
        self.heard_ms.store(self.clock.elapsed_ms(), Relaxed);
    }

    /// Time left; zero: it is over.
    fn left(&self) -> Duration {
        let silent_ms = self.clock.elapsed_ms().saturating_sub(self.heard_ms.load(Relaxed));
        Duration::from_millis(self.limit_ms.load(Relaxed).saturating_sub(silent_ms))
    }
}

/// The timer. It is not moved with every piece of an answer: when it goes off too early, it is set anew.
#[derive(Default)]
pub(super) struct Alarm(Option<(u32, Pin<Box<Sleep>>)>);

impl Alarm {
    /// Returns when the upstream has been silent for too long. May be dropped and called again.
    pub(super) async fn rings(&mut self, silence: &Silence) {
        loop {
            let phase = silence.phase.load(Relaxed);
            if phase == 0 {
                return std::future::pending().await;
            }
            match &mut self.0 {
                Some((of, sleep)) if *of == phase && !sleep.is_elapsed() => sleep.as_mut().await,
                other => {
                    let left = silence.left();
                    if left.is_zero() {
                        return silence.was_too_long.store(true, Relaxed);
                    }
                    *other = Some((phase, Box::pin(tokio::time::sleep(left))));
                }
            }
        }
    }
}
