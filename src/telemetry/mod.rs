//! What operators see: the set-up of the log and every metric's name and labels. Never a user, team or key id in a
//! label, never a credential in a log.

mod log;
mod metrics;
pub mod outcome;
mod table;

pub use log::init as init_log;
pub use metrics::{InFlight, Labels, Metrics, raise, set};
