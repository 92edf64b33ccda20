//! An answer whose client has left is read to its end, where the upstream's settings say so: what was used is in its last
//! bytes. Bounded by bytes and time, counted from the moment the client left. The wrapper of the client's session asks
//! here. A stop of the gateway ends it at once: a restart does not wait for what nobody reads.

use std::time::Duration;

use tokio::sync::watch;

use super::replay::Shared;
use crate::clock::Stopwatch;
use crate::upstream::Drain;

/// Where the draining of one answer stands.
#[derive(Default)]
pub(super) enum Draining {
    /// The upstream is stopped when the client leaves: nothing is being answered, or the settings want it so.
    #[default]
    Off,
    /// The client is there; within these bounds the answer would be read without it.
    Ready(Bounds),
    /// The client has left.
    On { bounds: Bounds, since: Stopwatch, bytes: u64 },
}

/// What ends the reading.
#[derive(Clone)]
pub struct Bounds {
    /// How much, and for how long.
    pub drain: Drain,
    /// True once the gateway is asked to stop.
    pub stopping: watch::Receiver<bool>,
}

impl Draining {
    fn begin(&mut self) -> bool {
        if let Self::Ready(bounds) = self {
            *self = Self::On { bounds: bounds.clone(), since: Stopwatch::start(), bytes: 0 };
        }
        matches!(self, Self::On { .. })
    }

    fn take(&mut self, more: usize) -> bool {
        let Self::On { bounds, bytes, .. } = self else { return true };
        *bytes = bytes.saturating_add(more as u64);
        *bytes <= bounds.drain.max_bytes
    }

    /// Until when, and what ends it before.
    fn time_left(&self) -> Option<(Duration, watch::Receiver<bool>)> {
        let Self::On { bounds, since, .. } = self else { return None };
        let left = Duration::from_millis(bounds.drain.max_time_ms).saturating_sub(since.elapsed());
        Some((left, bounds.stopping.clone()))
    }
}

impl Shared {
    /// From now on the answer is read to its end, within these bounds, even if the client leaves.
    pub fn may_drain(&self, bounds: Bounds) {
        self.draining(|draining| *draining = Draining::Ready(bounds));
    }

    /// The answer has ended, or there is none to be read: a client that leaves from now on ends the request.
    pub fn nothing_to_drain(&self) {
        self.draining(|draining| {
            if matches!(draining, Draining::Ready(_)) {
                *draining = Draining::Off;
            }
        });
    }

    /// The client has left. True: the answer is read to its end all the same.
    pub(super) fn client_left(&self) -> bool {
        self.draining(Draining::begin)
    }

    /// Has the client left, while its answer is, or was, read on?
    pub fn is_draining(&self) -> bool {
        self.draining(|draining| matches!(draining, Draining::On { .. }))
    }

    /// So many bytes more have come. False: more than is read for nobody.
    pub fn takes(&self, bytes: usize) -> bool {
        self.draining(|draining| draining.take(bytes))
    }

    /// Returns when the time to read for nobody is over. May be dropped and called again.
    pub(super) async fn drained_for_too_long(&self) {
        match self.draining(|draining| draining.time_left()) {
            Some((left, mut stopping)) => tokio::select! {
                () = tokio::time::sleep(left) => {}
                // a closed channel is the end of the gateway as well
                _ = stopping.wait_for(|stopping| *stopping) => {}
            },
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::{Bounds, Draining};
    use crate::upstream::Drain;

    #[test]
    fn bytes_count_from_the_moment_the_client_left_and_only_then() {
        let (_stop, stopping) = watch::channel(false);
        let drain = Drain { max_bytes: 10, max_time_ms: 3_600_000 };
        let mut draining = Draining::Ready(Bounds { drain, stopping });
        assert!(draining.take(1_000), "the client still reads");
        assert!(draining.time_left().is_none());
        assert!(draining.begin());
        assert!(draining.time_left().is_some());
        assert!(draining.take(10), "the bound itself is within it");
        assert!(draining.begin(), "leaving twice begins no second count");
        assert!(!draining.take(1));
    }

    #[test]
    fn nothing_is_drained_unless_it_was_asked_for() {
        let mut draining = Draining::Off;
        assert!(!draining.begin());
        assert!(draining.take(usize::MAX));
        assert!(draining.time_left().is_none());
    }
}
