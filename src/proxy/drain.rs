//! An answer whose client has left is read to its end, where the upstream's settings say so: what was used is in its last
//! bytes. Bounded by bytes and time, counted from the moment the client left. The wrapper of the client's session asks
//! here. A stop of the gateway ends it at once: a restart does not wait for what nobody reads.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Stopwatch;
use crate::upstream::Drain;

/// Where the draining of one answer stands. Until it is allowed, a client that leaves ends the request. Written and read by
/// one task.
#[derive(Default)]
pub struct Draining {
    bounds: OnceLock<Bounds>,
    /// The answer has ended, or there is none to be read.
    is_over: AtomicBool,
    /// Since the client left.
    since: OnceLock<Stopwatch>,
    /// How much has come since then.
    bytes: AtomicU64,
}

/// What ends the reading.
pub struct Bounds {
    /// How much, and for how long.
    pub drain: Drain,
    /// True once the gateway is asked to stop.
    pub stopping: watch::Receiver<bool>,
}

impl Draining {
    /// From now on the answer is read to its end, within these bounds, even if the client leaves. An answer is accepted
    /// once, so the first bounds stand.
    pub fn allow(&self, bounds: Bounds) {
        self.bounds.get_or_init(|| bounds);
    }

    /// The answer has ended, or there is none to be read: a client that leaves from now on ends the request.
    pub fn over(&self) {
        self.is_over.store(true, Relaxed);
    }

    /// The client has left. True: the answer is read to its end all the same.
    pub(super) fn client_left(&self) -> bool {
        if self.bounds.get().is_some() && !self.is_over.load(Relaxed) {
            self.since.get_or_init(Stopwatch::start);
        }
        self.is_on()
    }

    /// Has the client left, while its answer is, or was, read on?
    pub fn is_on(&self) -> bool {
        self.since.get().is_some()
    }

    /// So many bytes more have come. False: more than is read for nobody.
    pub fn takes(&self, bytes: usize) -> bool {
        let (Some(bounds), true) = (self.bounds.get(), self.is_on()) else { return true };
        let more = bytes as u64;
        self.bytes.fetch_add(more, Relaxed).saturating_add(more) <= bounds.drain.max_bytes
    }

    /// Returns when the time to read for nobody is over. May be dropped and called again.
    pub(super) async fn lasts_too_long(&self) {
        let (Some(bounds), Some(left)) = (self.bounds.get(), self.time_left()) else {
            return std::future::pending().await;
        };
        let mut stopping = bounds.stopping.clone();
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            // a closed channel is the end of the gateway as well
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }

    fn time_left(&self) -> Option<Duration> {
        let longest = Duration::from_millis(self.bounds.get()?.drain.max_time_ms);
        Some(longest.saturating_sub(self.since.get()?.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::{Bounds, Draining};
    use crate::upstream::Drain;

    fn allowed(max_bytes: u64) -> Draining {
        let (_stop, stopping) = watch::channel(false);
        let draining = Draining::default();
        draining.allow(Bounds { drain: Drain { max_bytes, max_time_ms: 3_600_000 }, stopping });
        draining
    }

    #[test]
    fn bytes_count_from_the_moment_the_client_left_and_only_then() {
        let draining = allowed(10);
        assert!(draining.takes(1_000), "the client still reads");
        assert!(draining.time_left().is_none());
        assert!(draining.client_left());
        assert!(draining.time_left().is_some());
        assert!(draining.takes(10), "the bound itself is within it");
        assert!(draining.client_left(), "leaving twice begins no second count");
        assert!(!draining.takes(1));
    }

    #[test]
    fn nothing_is_drained_unless_it_was_asked_for() {
        let draining = Draining::default();
        assert!(!draining.client_left());
        assert!(draining.takes(usize::MAX));
        assert!(draining.time_left().is_none());
    }

    #[test]
    fn an_answer_that_has_ended_is_not_drained_but_a_drained_one_stays_so() {
        let ended = allowed(10);
        ended.over();
        assert!(!ended.client_left());
        let drained = allowed(10);
        assert!(drained.client_left());
        drained.over();
        assert!(drained.is_on() && drained.client_left());
    }
}
