//! What operators see: the set-up of the log and every metric's name and labels. Never a user, team or key id in a
//! label, never a credential in a log.

mod log;
mod metrics;
mod stores;

pub use log::init as init_log;
pub use metrics::{InFlight, JournalGauges, Labels, Metrics, outcome, raise};
pub use stores::CacheCounts;
