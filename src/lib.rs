//! tollgate: a reverse-proxy quota gateway for LLM providers.
//!
//! The rooms and who may import whom stand in `ARCHITECTURE.md`; `tests/it/layers.rs` enforces them.

pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dialect;
#[cfg(debug_assertions)]
pub mod failpoint;
pub mod gate;
pub mod notify;
pub mod proxy;
pub mod quota;
pub mod snapshot;
pub mod store;
pub mod telemetry;
pub mod upstream;
