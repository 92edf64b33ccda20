//! The integration tests: one binary that starts real gateway processes with a stub model server behind them and asks
//! of them what `ARCHITECTURE.md` promises. Each test is named after its promise and ends with the harness's own check
//! that ledger, running totals, usage API and upstream agree.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on must say so at once"
)]

mod harness;

mod analytics;
mod analytics_servers;
mod apps;
mod background;
mod bodies;
mod browser;
mod chaos;
mod chat_apps;
mod claude_code;
mod client_rules;
mod clients;
mod compression;
mod crash;
mod demo;
mod door;
mod drain;
mod failover;
mod faults;
mod layers;
mod live;
mod metrics;
mod mixed;
mod openapi;
mod quota;
mod race;
mod refusals;
mod reload;
mod routing;
mod services;
mod start;
mod streams;
mod upstreams;
mod usage;
mod webhooks;
