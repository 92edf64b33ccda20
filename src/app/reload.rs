//! A changed configuration is taken over while running: on SIGHUP, and when the file or its list of prices changes. A
//! bad file is refused with its reasons and the old one stays. Requests in flight are not touched, and neither is usage.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Clock;
use crate::config::{self, Settings};
use crate::gate::Gate;
use crate::notify::WebhookSettings;
use crate::snapshot::{ConfigSnapshot, InForce};
use crate::telemetry::Metrics;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Who is told of thresholds, for a reload to swap: no request reads it.
pub type Receivers = Arc<ArcSwap<Vec<WebhookSettings>>>;

/// Everything that a reload swaps.
pub struct Reload {
    /// The file.
    pub path: PathBuf,
    /// The settings in force.
    pub settings: Settings,
    /// The gate, for work that belongs to no request.
    pub gate: Arc<Gate>,
    /// What requests go by.
    pub config: InForce,
    /// Who is told of thresholds.
    pub webhooks: Receivers,
    /// For `tollgate_config_reloads_total`.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Clock,
}

impl Reload {
    /// Watches for ever.
    pub async fn run(mut self) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => return tracing::error!(%error, "SIGHUP cannot be received: no reload"),
        };
        let mut seen = self.digest();
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            let now = self.digest();
            if asked || (now != seen && now.is_some()) {
                seen = now;
                self.take_over();
                // where another list is named now, the next look differs and takes it over once more
            }
        }
    }

    /// What the file and the list of prices hold; `None` while an editor has one of them away.
    fn digest(&self) -> Option<[u8; 32]> {
        let mut digest = Sha256::new();
        for path in [Some(&self.path), self.settings.prices_file.as_ref()].into_iter().flatten() {
            // each by its own digest: a line that moves from one to the other is a change
            digest.update(Sha256::digest(std::fs::read(path).ok()?));
        }
        Some(digest.finalize().into())
    }

    fn take_over(&mut self) {
        match self.try_take_over() {
            Ok(()) => {
                self.metrics.reloaded("ok");
                tracing::info!(file = %self.path.display(), "the configuration was taken over");
            }
            Err(error) => {
                self.metrics.reloaded("refused");
                tracing::error!("the changed configuration was refused, the old one stays: {error}");
            }
        }
    }

    fn try_take_over(&mut self) -> anyhow::Result<()> {
        let new = config::load(&self.path, &|name| std::env::var(name).ok())?;
        let config = ConfigSnapshot::new(&new, &self.clock)?;
        config.auth.take_over_keys(&self.config.load().auth);
        if new.server.listen != self.settings.server.listen
            || new.server.admin_listen != self.settings.server.admin_listen
        {
            tracing::warn!("`server.listen` and `server.admin_listen` change with a restart only");
        }
        if new.storage != self.settings.storage {
            tracing::warn!("`[storage]` changes with a restart only");
        }
        tokio::spawn(config.auth.keep_fresh());
        self.gate.set_rules(Arc::clone(&config.rules));
        self.config.store(Arc::new(config));
        self.webhooks.store(Arc::new(new.webhooks.clone()));
        self.settings = new;
        Ok(())
    }
}
