//! tollgate: a reverse-proxy quota gateway for LLM providers.
//!
//! The rooms and who may import whom stand in `ARCHITECTURE.md`; `tests/it/layers.rs` enforces them.

pub mod clock;
pub mod quota;
pub mod store;
pub mod upstream;
