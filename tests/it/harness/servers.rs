//! Real Redis and PostgreSQL servers for a test, gateways that share them through chaos proxies, load over these
//! gateways, and the lines from which `docs/faults.md` is made. Each process ends with its value.
//!
//! It must not know what a test wants to prove.

mod load;
mod postgres;
mod redis;
mod rig;

use std::process::Command;

pub use load::{Load, Pace, Seen};
pub use postgres::Postgres;
pub use redis::{Cluster, Redis};
pub use rig::ServerRig;

/// Writes what a fault test has measured: `scripts/faults` collects these lines.
pub fn fault(number: &str, promise: &str, figure: impl std::fmt::Display) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("unnamed");
    eprintln!("FAULT|{number}|{promise}|{test}|{figure}");
}

/// A number of rounds, kills or seconds that `scripts/faults` may raise.
pub fn number_from(variable: &str, default: u32) -> u32 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// A program that ends with the thread that starts it, even if the test is killed. `setpriv` becomes the program, so its
/// process id is the program's.
fn bound_to_test(death_signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", death_signal]);
    command
}
