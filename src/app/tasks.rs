//! What runs beside the requests, and how each of it ends: with the gateway, in order when asked, or never.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use crate::gate::Gate;
use crate::quota::Calendar;
use crate::store::Day;
use crate::store::replica::Reads;
use crate::telemetry::Metrics;

/// How often the roll-ups are asked for the active users.
const ACTIVE_EVERY: Duration = Duration::from_secs(60);

/// A task that is asked to stop, and then waited for.
pub(super) struct Stoppable {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Stoppable {
    pub(super) fn start<F>(work: impl FnOnce(watch::Receiver<bool>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        Self { stop, task: tokio::spawn(work(stopped)) }
    }

    pub(super) async fn stop(self) -> Result<(), JoinError> {
        self.stop.send_replace(true);
        self.task.await
    }
}

/// Keeps the gauges of active users fresh, for ever: asked of the roll-ups, never of the rows.
pub(super) async fn keep_active_users(gate: Arc<Gate>, reads: Arc<Reads>, metrics: Arc<Metrics>) {
    loop {
        let today = Calendar::Day.period_at(gate.now(), gate.rules().policy.zone).id;
        if let Some(today) = Day::parse(&today) {
            match reads.analytics(&today, &today).await {
                Ok(found) => {
                    let active = found.active_users;
                    metrics.active_users([active.day, active.week, active.month]);
                }
                Err(error) => tracing::debug!(%error, "the active users are not known"),
            }
        }
        tokio::time::sleep(ACTIVE_EVERY).await;
    }
}

/// True once SIGTERM or SIGINT has come.
///
/// # Errors
/// The operating system's.
pub fn on_signals() -> std::io::Result<watch::Receiver<bool>> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (asked, ask) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {} _ = interrupt.recv() => {} }
        tracing::info!("asked to stop");
        asked.send_replace(true);
        // the sender stays until the process ends: a closed channel would read as a stop as well
        std::future::pending::<()>().await;
    });
    Ok(ask)
}
