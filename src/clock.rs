//! The only "now", the only source of random ids, and how a time is written. Every other room takes a [`Clock`] (or a
//! time) as an argument, so tests decide what time it is.

mod timestamp;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

pub use timestamp::Timestamp;

/// Where the time comes from. Cheap to clone; all clones of a manual clock share one time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<AtomicI64>),
    Shifted(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.as_microsecond()))))
    }

    /// The machine's clock moved by an offset (for tests of a whole process near a month's turn).
    pub fn shifted(by: Duration) -> Self {
        Self(Source::Shifted(Arc::new(AtomicI64::new(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))))
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.now_us())
    }

    /// The current time in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.now_us() / 1_000
    }

    /// The current time in microseconds since 1970.
    pub fn now_us(&self) -> i64 {
        match &self.0 {
            Source::System => system_us(),
            Source::Manual(us) => us.load(Ordering::SeqCst),
            Source::Shifted(by) => system_us().saturating_add(by.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual or shifted clock on. The system clock ignores it.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        if let Source::Manual(us) | Source::Shifted(us) = &self.0 {
            us.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// A new `UUIDv7`: unique, and sorted by time of creation (RFC 9562 §5.7).
    #[expect(clippy::disallowed_methods, reason = "this is the room that hands out ids")]
    pub fn request_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the room that reads the time")]
fn system_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// A stopwatch on the machine's monotonic clock: for durations that a step of the wall clock must not bend.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the room that reads the time")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Whole milliseconds since the start.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
