//! The notifier beside the gateway: started before the doors open, stopped when the last rows are in the ledger.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::App;
use crate::notify::{Notifier, WebhookSettings};
use crate::store::Outbox;
use crate::telemetry::Metrics;

/// Who is told of thresholds, for a reload to swap: no request reads it.
pub type Receivers = Arc<ArcSwap<Vec<WebhookSettings>>>;

/// A notifier at work.
pub struct Notify {
    webhooks: Receivers,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Notify {
    /// Starts it.
    ///
    /// # Errors
    /// A machine without CA certificates.
    pub fn start(app: &App, outbox: Arc<dyn Outbox>, metrics: &Arc<Metrics>) -> Result<Self> {
        let webhooks = Arc::new(ArcSwap::from_pointee(app.settings.webhooks.clone()));
        let notifier =
            Notifier::new(outbox, Arc::clone(&webhooks), Arc::clone(metrics), app.clock.clone()).map_err(|error| {
                anyhow!("no HTTP client for webhooks: {error}\nhint: check that the machine has CA certificates (`ca-certificates`)")
            })?;
        let (stop, stopped) = watch::channel(false);
        Ok(Self { webhooks, stop, task: tokio::spawn(notifier.run(stopped)) })
    }

    /// The receivers.
    pub fn webhooks(&self) -> Receivers {
        Arc::clone(&self.webhooks)
    }

    /// Claims no more, and waits some seconds for what is on its way.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that delivers webhooks broke off");
        }
    }
}
