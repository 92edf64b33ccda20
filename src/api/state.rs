//! What the handlers of the usage API and of the admin pages share. It must not know which calls there are.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

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
    /// A place for each usage stream that may be open.
    pub streams: Arc<Semaphore>,
}

/// The places of the usage streams.
pub fn stream_places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(STREAMS_MAX))
}

#[cfg(test)]
mod tests;
