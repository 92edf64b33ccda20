//! How a gateway is asked to stop: by a signal, or by the program that runs it.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Something that will ask for a stop.
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// By SIGTERM or SIGINT. A second signal ends the wait for open streams at once.
    ///
    /// # Errors
    /// The operating system's.
    pub fn on_signals() -> std::io::Result<Self> {
        let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (asked, ask) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! { _ = term.recv() => {} _ = interrupt.recv() => {} }
            tracing::info!("asked to stop");
            asked.send_replace(true);
            // the sender stays until the process ends: a closed channel would read as a stop as well
            std::future::pending::<()>().await;
        });
        Ok(Self(ask))
    }

    /// By the program that runs the gateway.
    pub fn by_hand() -> (watch::Sender<bool>, Self) {
        let (asked, ask) = watch::channel(false);
        (asked, Self(ask))
    }

    /// True once a stop is asked for.
    pub(super) fn watch(self) -> watch::Receiver<bool> {
        self.0
    }
}
