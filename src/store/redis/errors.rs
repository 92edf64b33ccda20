//! Which of the driver's and the server's errors may pass by themselves.
//!
//! It must not know what the caller does about them.

use fred::error::{Error, ErrorKind};

use crate::store::{StoreError, StoreKind};

/// First words of server replies that say "later": starting, busy, full, failing over, moving a slot.
const PASSING: [&str; 13] = [
    "LOADING",
    "BUSY",
    "OOM",
    "READONLY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "NOREPLICAS",
    "MISCONF",
    "NOSCRIPT",
    "MOVED",
    "ASK",
    "UNBLOCKED",
];

/// How the driver says that it was redirected and may not follow.
const REDIRECTED: &str = "Too many redirections";

/// The driver's error as the room's.
pub(super) fn fault(operation: &'static str, error: &Error) -> StoreError {
    let transient = match error.kind() {
        ErrorKind::Config
        | ErrorKind::Auth
        | ErrorKind::Url
        | ErrorKind::InvalidArgument
        | ErrorKind::InvalidCommand
        | ErrorKind::Parse
        | ErrorKind::Tls => false,
        ErrorKind::Unknown | ErrorKind::NotFound | ErrorKind::Protocol => {
            PASSING.contains(&first_word(error.details()))
        }
        ErrorKind::IO
        | ErrorKind::Timeout
        | ErrorKind::Canceled
        | ErrorKind::Routing
        | ErrorKind::Cluster
        | ErrorKind::Sentinel
        | ErrorKind::Backpressure => true,
    };
    let message = error.details().trim();
    let message = if message.is_empty() { error.kind().to_str() } else { message };
    if transient {
        StoreError::transient(StoreKind::Redis, operation, message)
    } else {
        StoreError::permanent(StoreKind::Redis, operation, message)
    }
}

/// The server does not have the script: another process, or `SCRIPT FLUSH`.
pub(super) fn is_no_script(error: &Error) -> bool {
    first_word(error.details()) == "NOSCRIPT"
}

/// The slot is served by another node, or is on its way there.
pub(super) fn is_slot_moving(error: &Error) -> bool {
    let details = error.details();
    matches!(first_word(details), "TRYAGAIN" | "MOVED" | "ASK") || details.starts_with(REDIRECTED)
}

/// The server was not reached or did not answer: what opens the breaker. A reply, of whatever kind, does not.
pub(super) fn is_unreachable(error: &Error) -> bool {
    !is_slot_moving(error)
        && matches!(
            error.kind(),
            ErrorKind::IO
                | ErrorKind::Timeout
                | ErrorKind::Canceled
                | ErrorKind::Routing
                | ErrorKind::Sentinel
                | ErrorKind::Backpressure
        )
}

fn first_word(text: &str) -> &str {
    text.split([' ', ':']).next().unwrap_or_default()
}
