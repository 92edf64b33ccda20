//! What the handlers of the usage API and of the admin pages share. It must not know which calls there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::clock::Clock;
use crate::gate::Gate;
use crate::snapshot::InForce;
use crate::store::Outbox;
use crate::store::replica::Reads;
use crate::store::writer::WriterHandle;
use crate::telemetry::Metrics;

/// Streams at once; one more is refused with 503.
const STREAMS_MAX: usize = 2_000;

/// What the handlers of the API and of the admin pages need.
#[derive(Clone)]
pub struct ApiState {
    /// Quota.
    pub gate: Arc<Gate>,
    /// History and analytics.
    pub reads: Arc<Reads>,
    /// Webhooks that are not delivered.
    pub outbox: Arc<dyn Outbox>,
    /// The time.
    pub clock: Clock,
    /// The configuration, for who is calling.
    pub config: InForce,
    /// For the cache of verified tokens.
    pub metrics: Arc<Metrics>,
    /// The writer to the ledger, for the admin pages.
    pub writer: WriterHandle,
    /// True once the gateway is asked to stop.
    pub stopping: watch::Receiver<bool>,
    /// Usage streams that are open.
    pub streams: OpenStreams,
}

/// Streams that are open.
#[derive(Clone, Default)]
pub struct OpenStreams(Arc<AtomicUsize>);

/// One open stream.
pub struct Place(OpenStreams);

impl OpenStreams {
    /// A place for one more; `None` when all are taken.
    pub fn enter(&self) -> Option<Place> {
        let place = Place(self.clone());
        (self.0.fetch_add(1, Ordering::AcqRel) < STREAMS_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
