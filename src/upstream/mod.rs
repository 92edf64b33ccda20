//! Which upstream serves a model in a dialect. Pure: no sockets, no clock; health and time come in as arguments.

mod settings;
mod table;

pub use settings::{BaseUrl, UpstreamSettings};
pub use table::{Chosen, NoUpstream, UpstreamTable};
