//! Which upstream serves a model in a dialect. Pure: no sockets, no clock; health and time come in as arguments.

mod fleet;
mod health;
mod settings;
mod table;

pub use fleet::{Fleet, Full, Slot};
pub use health::{Leave, UpstreamHealth};
pub use settings::{BaseUrl, Check, Drain, OnDisconnect, UpstreamSettings};
pub use table::{Chosen, NoUpstream, UpstreamTable};
