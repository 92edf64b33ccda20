//! The log: text on a terminal, JSON elsewhere, to standard error. `TOLLGATE_LOG` chooses the level.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Pingora reports each client that leaves as an error; those are ordinary here and counted as `cancelled`.
const DEFAULT_FILTER: &str =
    "info,refinery_core=warn,pingora=warn,pingora_core=error,pingora_proxy=off,pingora_http=error,h2=error";

/// Sets the log up. A second call changes nothing.
pub fn init() {
    let filter = EnvFilter::try_from_env("TOLLGATE_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let base =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let done = if std::io::stderr().is_terminal() { base.try_init() } else { base.json().try_init() };
    if let Err(error) = done {
        tracing::debug!(%error, "the log was set up before");
    }
}
