//! How a gateway is asked to stop: by a signal.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

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
